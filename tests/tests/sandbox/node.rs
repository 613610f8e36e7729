//! What the machines ask for, and other tools under the cluster's lock: the shipped programs on all sides.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use tokio::process::Command;
use usher_testkit::sandbox::{Programs, Sandbox};

use super::programs;

struct Site {
    programs: Programs,
    sandbox: Sandbox,
}

impl Site {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let programs = Programs::built_in(programs()).unwrap();
        let sandbox = Sandbox::start(&programs, Path::new(env!("CARGO_BIN_EXE_sandbox"))).await.unwrap();
        Self { programs, sandbox }
    }

    /// The exit code, and what was printed on both streams.
    async fn usher(&self, words: &[&str]) -> (Option<i32>, String) {
        let file = self.sandbox.folder().join("cluster.toml");
        run(Command::new(self.programs.usher()).args(words).env("USHER_CLUSTER_FILE", file)).await
    }

    /// The same for root on a machine.
    async fn root(&self, machine: &str, words: &[&str]) -> (Option<i32>, String) {
        let socket = self.sandbox.folder().join(machine).join("agent.sock");
        run(Command::new(self.programs.agent()).args(words).arg("--socket").arg(socket)).await
    }
}

async fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.code(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_asks_for_a_restart_and_usher_does_it_and_nothing_else() {
    let site = Site::start().await;
    let ask = ["request-restart", "kube-scheduler", "-r", "certificate renewed", "--requester", "puppet", "--wait"];
    let doing = async {
        let line = "cp2: a restart of kube-scheduler.service is wanted: certificate renewed (puppet)";
        while !site.usher(&["status"]).await.1.contains(line) {}
        site.usher(&["restart", "--wanted", "-r", "renewed certificates", "--yes"]).await
    };
    let ((code, said), (restarted, told)) = tokio::join!(site.root("cp2", &ask), doing);
    assert_eq!((code, restarted), (Some(0), Some(0)), "{said}{told}");
    assert!(told.contains("1 of 1 restarted"), "{told}");
    assert!(said.contains("kube-scheduler.service was restarted: active (running)"), "{said}");
    let (code, told) = site.usher(&["restart", "--wanted", "-r", "renewed certificates", "--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("nothing to do: nobody on these machines waits for a restart"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_another_tool_runs_under_the_lock_and_gives_its_exit_code() {
    let site = Site::start().await;
    let usher = site.programs.usher().display().to_string();
    let inner = format!("{usher} lock show -o json; exit $USHER_EPOCH");
    let run = ["lock", "run", "-r", "defragmentation", "-t", "T1", "--", "sh", "-c", &inner];
    let (code, said) = site.usher(&run).await;
    assert_eq!(code, Some(1), "the lock's first epoch: {said}");
    let shown: Value = serde_json::from_str(&said).unwrap();
    let holder = &shown["holder"];
    assert_eq!((&holder["reason"], &holder["taskId"]), (&"defragmentation".into(), &"T1".into()), "{said}");
    let (code, said) = site.usher(&["lock", "show"]).await;
    assert_eq!((code, said.trim()), (Some(0), "the lock is free"));

    let (code, said) = site.usher(&["lock", "run", "-r", "x", "--", "/nonexistent/tool"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/nonexistent/tool cannot be run"), "{said}");
    assert!(site.usher(&["lock", "show"]).await.1.contains("free"));
}
