//! Compiles the contract with protox, so that no protoc need be installed, and keeps the descriptor for reflection. Beside it, what the
//! agent asks of etcd.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost::Message as _;

#[allow(clippy::disallowed_methods)] // a build script has no runtime to block
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["usher/agent/v1/agent.proto"], ["proto"])?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("usher.agent.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=etcd");
    tonic_prost_build::configure().compile_fds(protox::compile(["rpc.proto"], ["etcd"])?)?;
    Ok(())
}
