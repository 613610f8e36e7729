//! The demonstration: what an operator types, and what comes of it.

use std::{path::PathBuf, process::ExitStatus};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{Programs, Sandbox, programs::command};

/// One command line of the demonstration.
struct Line {
    why: &'static str,
    arguments: &'static [&'static str],
    exit: i32,
}

const SCRIPT: &[Line] = &[
    Line { why: "Is it safe to begin?", arguments: &["status"], exit: 0 },
    Line {
        why: "What would a restart of the whole control plane do?",
        arguments: &["restart", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "--dry-run"],
        exit: 0,
    },
    Line {
        why: "Do it: each apiserver out of the balancer's pool first, each leader last.",
        arguments: &["restart", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "-r", "new CA", "--yes"],
        exit: 0,
    },
    Line {
        why: "A polite reboot: cordon, drain under the budget, reboot, proof, uncordon.",
        arguments: &["reboot", "w1", "-r", "kernel 6.1.0-31", "--yes"],
        exit: 0,
    },
];

const AFTER_A_CORDON: &[Line] = &[
    Line {
        why: "Somebody else has cordoned w2 in the meantime. usher will not touch it.",
        arguments: &["reboot", "w2", "-r", "kernel 6.1.0-31", "--yes"],
        exit: 3,
    },
    Line { why: "Where things are now.", arguments: &["status"], exit: 0 },
];

/// Runs the demonstration; `say` gets every line that is not usher's own.
///
/// # Errors
/// If a command cannot be run, or ends otherwise than it should.
pub async fn demo(sandbox: &Sandbox, programs: &Programs, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    for line in SCRIPT {
        run(sandbox, programs, line, say).await?;
    }
    cordon(sandbox, "w2").await?;
    for line in AFTER_A_CORDON {
        run(sandbox, programs, line, say).await?;
    }
    Ok(())
}

async fn run(sandbox: &Sandbox, programs: &Programs, line: &Line, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    say(&format!("\n# {}\n$ usher {}", line.why, quoted(line.arguments)));
    let status = usher(sandbox, programs.usher(), line.arguments).await?;
    match status.code() {
        Some(code) if code == line.exit => say(&format!("[exit {code}]")),
        _ => bail!("usher {} ended with {status}, expected exit {}", quoted(line.arguments), line.exit),
    }
    Ok(())
}

async fn usher(sandbox: &Sandbox, program: PathBuf, arguments: &[&str]) -> anyhow::Result<ExitStatus> {
    let mut command = command(&program);
    command.args(arguments).env("USHER_CLUSTER_FILE", sandbox.folder().join("cluster.toml"));
    command.status().await.with_context(|| format!("run {} by setpriv", program.display()))
}

/// As `kubectl cordon` does it, which calls itself `kubectl`.
async fn cordon(sandbox: &Sandbox, node: &str) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(sandbox.api().client());
    let by = PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() };
    nodes.patch(node, &by, &Patch::Strategic(json!({"spec": {"unschedulable": true}}))).await?;
    Ok(())
}

fn quoted(arguments: &[&str]) -> String {
    let quote = |word: &&str| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}
