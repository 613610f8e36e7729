//! The first hour, as the shipped program goes through it: a cluster file by looking, certificates of a small authority, what doctor
//! says.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use usher_testkit::sandbox::{Programs, Sandbox};

use super::programs;

fn usher(program: &Path, home: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").output().unwrap()
}

/// What it prints; its exit code must be this.
fn told(output: Output, exit: i32) -> String {
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(exit), "{out}{err}");
    format!("{out}{err}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_cluster_file_comes_from_looking_and_doctor_says_what_is_missing_then() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = Programs::built_in(programs()).unwrap();
    let sandbox = Sandbox::start(&built, Path::new(env!("CARGO_BIN_EXE_sandbox"))).await.unwrap();
    let (program, home) = (programs().join("usher"), tempfile::tempdir().unwrap());
    let kubeconfig = sandbox.folder().join("kubeconfig").display().to_string();
    // Named, since root's would be /etc/usher.
    let file = home.path().join("usher/cluster.toml");
    let named = file.display().to_string();
    let run = |arguments: &[&str], exit: i32| told(usher(&program, home.path(), arguments), exit);

    let said = run(&["config", "init", "--yes", "--kubeconfig", &kubeconfig, "--cluster-file", &named], 0);
    assert!(said.contains(&format!("{} is written", file.display())) && said.contains("usher doctor"), "{said}");
    let text = fs::read_to_string(&file).unwrap();
    for part in [
        "name = \"",
        "# cp2 holds a lease of the control plane, and is no Node.",
        "# An agent listens on w1 and w2.",
        "lease = \"kube-system/kube-scheduler\"",
        &format!("kubeconfig = \"{kubeconfig}\""),
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // A second run replaces nothing.
    let said = run(&["config", "init", "--yes", "--kubeconfig", &kubeconfig, "--cluster-file", &named], 3);
    assert!(said.contains("is there already") && said.contains("--print"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    run(&["config", "view", "--cluster-file", &named], 0);

    // It has no certificate, so no agent answers; the API does.
    let examined: Value = serde_json::from_str(&run(&["doctor", "-o", "json", "--cluster-file", &named], 1)).unwrap();
    let state = |check: &str| -> Vec<_> {
        let findings = examined["findings"].as_array().unwrap().iter();
        findings.filter(|finding| finding["check"] == check).map(|finding| finding["state"].as_str().unwrap()).collect()
    };
    assert_eq!(
        (state("clusterFile"), state("api"), state("rights")),
        (vec!["ok"], vec!["ok"], vec!["ok"]),
        "{examined}"
    );
    assert_eq!(state("certificate"), ["wrong"], "{examined}");
    assert!(state("agents").contains(&"wrong"), "{examined}");

    // With the sandbox's own file all is well.
    let own = sandbox.folder().join("cluster.toml").display().to_string();
    // On a busy machine an agent may miss the time that a look gives it.
    while usher(&program, home.path(), &["doctor", "--cluster-file", &own]).status.code() != Some(0) {}
    let said = run(&["doctor", "--cluster-file", &own], 0);
    assert!(said.contains("all 5 answer, with version "), "{said}");
    assert!(said.contains("usher can do its work here"), "{said}");

    // A right that is missing is told with its rule, before anything is touched.
    sandbox.api().forbid("patch", "nodes");
    let said = run(&["doctor", "--cluster-file", &own], 1);
    assert!(
        said.contains("patch nodes: reboot, drain, cordon and uncordon") && said.contains("verbs: [\"patch\"]"),
        "{said}"
    );
    let said = run(&["cordon", "w1", "-r", "test", "--yes", "--cluster-file", &own], 3);
    assert!(said.contains("may not patch nodes, which usher cordon needs") && said.contains("(exit 3)"), "{said}");
}

#[test]
fn certificates_are_issued_with_what_to_do_next_renewed_in_place_and_never_replaced_by_accident() {
    let (program, home) = (programs().join("usher"), tempfile::tempdir().unwrap());
    let run = |arguments: &[&str], exit: i32| told(usher(&program, home.path(), arguments), exit);
    let pki = home.path().join(".config/usher/pki");

    assert!(run(&["certificates", "issue", "operator", "ann"], 2).contains("usher certificates init"));
    run(&["certificates", "init"], 0);
    assert!(run(&["certificates", "init"], 3).contains("is there already"));
    let said = run(&["certificates", "issue", "agent", "w1", "--address", "10.0.0.7"], 0);
    assert!(said.contains(&format!("scp {}/agents/w1.pem w1:/etc/usher/agent.pem", pki.display())), "{said}");
    let said = run(&["certificates", "issue", "operator", "ann"], 0);
    assert!(said.contains("operator = [\"CN=ann\"]") && said.contains("certificate = \""), "{said}");

    let (certificate, key) = (pki.join("agents/w1.pem"), pki.join("agents/w1-key.pem"));
    let before = [fs::read(&certificate).unwrap(), fs::read(&key).unwrap()];
    // As a shell fills in *.pem: keys are left alone.
    run(&["certificates", "renew", certificate.to_str().unwrap(), key.to_str().unwrap()], 0);
    let after = [fs::read(&certificate).unwrap(), fs::read(&key).unwrap()];
    assert!(before[0] != after[0] && before[1] == after[1]);

    let made: Value = serde_json::from_str(&run(&["certificates", "issue", "viewer", "bob", "-o", "json"], 0)).unwrap();
    assert_eq!((made["kind"].as_str(), made["items"][0]["name"].as_str()), (Some("CertificateList"), Some("bob")));
    assert!(run(&["certificates", "issue", "operator", "../x"], 2).contains("is no name of a caller"));
}

#[test]
fn kubectl_finds_usher_as_its_plugin_and_completes_it() {
    let home = tempfile::tempdir().unwrap();
    let link = |name: &str| {
        let link = home.path().join(name);
        symlink(programs().join("usher"), &link).unwrap();
        link
    };
    let said = told(usher(&link("kubectl-usher"), home.path(), &["drain"]), 2);
    assert!(said.contains("Usage: kubectl usher drain"), "{said}");
    let said = told(usher(&link("kubectl_complete-usher"), home.path(), &["reb"]), 0);
    let mut offered: Vec<_> = said.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(offered.pop(), Some(":4"), "{said}");
    offered.sort_unstable();
    assert_eq!(offered, ["rebalance", "reboot"]);
}
