//! The limits that a shell passes on.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::resource::{Resource, getrlimit};

use super::programs;

/// What usher asks for.
const DESCRIPTORS: u64 = 65_536;

/// A kubeconfig whose credential plugin notes the soft limit of open files that it was given, and gives no credentials.
fn kubeconfig(home: &Path) -> PathBuf {
    let (plugin, path) = (home.join("plugin"), home.join("kubeconfig"));
    fs::write(&plugin, format!("#!/bin/sh\nulimit -Sn > {}\nexit 1\n", home.join("limit").display())).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let exec = "{apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}";
    let text = format!(
        "{{clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}], users: [{{name: u, user: {{exec: {exec}}}}}],
          contexts: [{{name: x, context: {{cluster: c, user: u}}}}], current-context: x}}"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn usher_may_open_as_many_files_as_it_is_allowed_to_and_no_more_than_it_needs() {
    let home = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(home.path());
    fs::write(home.path().join("cluster.toml"), "").unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    for (limits, expected) in [("ulimit -Sn 200", hard.min(DESCRIPTORS)), ("ulimit -Sn 200; ulimit -Hn 600", 600)] {
        let mut usher = Command::new("sh");
        usher.args(["-c", &format!("{limits}; exec \"$@\""), "sh"]).arg(programs().join("usher"));
        usher.arg("nodes").arg("--kubeconfig").arg(&kubeconfig);
        usher.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
        let output = usher.env("USHER_CLUSTER_FILE", home.path().join("cluster.toml")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("gave no credentials"), "{said}");
        // A child inherits it.
        let limit = fs::read_to_string(home.path().join("limit")).unwrap();
        assert_eq!(limit.trim(), expected.to_string(), "{limits}");
    }
}
