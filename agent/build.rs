//! How the agent is linked.

fn main() {
    // Packed relocations: a quarter of a MiB less in memory on each machine. glibc reads them from 2.36 on, which is Debian 12's.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    println!("cargo::rerun-if-changed=build.rs");
}
