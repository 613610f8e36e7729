//! What scripts read: each command prints one JSON document that says what it is, whatever comes of the command.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use tokio::process::Command;
use usher_testkit::{
    apiserver::fixtures::{lease, pod},
    sandbox::{Programs, Sandbox},
};

use super::programs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_prints_one_document_that_says_what_it_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let programs = Programs::built_in(programs()).unwrap();
    let sandbox = Sandbox::start(&programs, Path::new(env!("CARGO_BIN_EXE_sandbox"))).await.unwrap();
    // Nothing would bring it back, so a drain of w2 is refused.
    sandbox.api().add(pod("shop/lone").on("w2"));

    let results = [
        ("status", "Status", 0),
        ("nodes", "NodeList", 0),
        ("leaders", "LeaderList", 0),
        ("version", "Version", 0),
        ("config check", "ConfigCheck", 0),
        ("config view", "ConfigView", 0),
        ("preflight w1", "Preflight", 0),
        ("preflight w2", "Preflight", 3),
        ("drain w1 --dry-run", "Plan", 0),
        ("drain w2 --dry-run", "Plan", 3),
        ("drain w2 -r test --yes", "Failure", 3),
        ("cordon w1 -r test --yes", "Report", 0),
        ("agent status cp1", "AgentStatus", 0),
        ("agent units cp1", "UnitList", 0),
        ("agent restart cp1 kube-scheduler -r test --yes", "Operation", 0),
        ("agent restart cp1 sshd.service -r test --yes", "Failure", 3),
        ("reboot w9 -r test --yes", "Failure", 3),
    ];
    for (line, kind, exit) in results {
        let document = document(&programs, &sandbox, line, exit).await;
        assert_eq!((document["apiVersion"].as_str(), document["kind"].as_str()), (Some("usher.dev/v1"), Some(kind)));
    }

    sandbox.api().add(lease("kube-system/usher").held_by("ann@bastion/4f7k2"));
    let held = document(&programs, &sandbox, "reboot w1 -r test --yes", 6).await;
    assert_eq!((held["exit"].as_str(), held["exitCode"].as_u64()), (Some("locked"), Some(6)), "{held}");
    assert!(held["message"].as_str().is_some_and(|text| text.contains("ann@bastion")), "{held}");
    assert!(held["hints"][0].as_str().is_some_and(|text| text.starts_with("wait for it to end")), "{held}");
}

async fn document(programs: &Programs, sandbox: &Sandbox, line: &str, exit: i32) -> Value {
    let mut usher = Command::new(programs.usher());
    usher.args(line.split(' ')).args(["-o", "json"]).stdin(Stdio::null());
    let output = usher.env("USHER_CLUSTER_FILE", sandbox.folder().join("cluster.toml")).output().await.unwrap();
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{line}: {printed}{said}");
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}: {printed}{said}"))
}
