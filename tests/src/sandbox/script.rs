//! The demonstration: what an operator types, and what comes of it.

use std::{path::Path, process::ExitStatus};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{Programs, Sandbox, pair::Pair, programs::command};
use crate::apiserver::fixtures;

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

const AFTER_A_REBOOT: &[Line] = &[
    Line {
        why: "Pods do not come back by themselves: w1 runs only what belongs to the node.",
        arguments: &["pods", "list", "-A", "--node", "w1"],
        exit: 0,
    },
    Line {
        why: "Move some there, gently: one at a time, within the budget.",
        arguments: &["rebalance", "w1", "-r", "w1 is empty", "--yes"],
        exit: 0,
    },
    Line {
        why: "Replace the pods of a workload, and wait until the new ones are available.",
        arguments: &["rollout", "restart", "deployment/search", "-n", "shop", "--yes"],
        exit: 0,
    },
    Line {
        why: "The same for a service that helmfile deploys (a small script stands in for helmfile here).",
        arguments: &["helmfile", "roll", "search", "--yes"],
        exit: 0,
    },
];

const OF_JOBS: &[Line] = &[
    Line {
        why: "A deploy has changed the image of a cron job; a long job still runs the old one.",
        arguments: &["cronjobs", "list", "-n", "shop"],
        exit: 0,
    },
    Line {
        why: "Replace it by a job of the new image.",
        arguments: &["cronjob", "refresh", "report", "-n", "shop", "--run", "--yes"],
        exit: 0,
    },
    Line { why: "What runs now.", arguments: &["jobs", "list", "-n", "shop"], exit: 0 },
    Line {
        why: "Delete a job that nobody needs, with its pods.",
        arguments: &["job", "delete", "import", "-n", "shop", "--yes"],
        exit: 0,
    },
    Line { why: "Which versions run, and do they fit?", arguments: &["versions"], exit: 0 },
];

const AFTER_A_CORDON: &[Line] = &[
    Line {
        why: "Somebody else has cordoned w2 in the meantime. usher will not touch it.",
        arguments: &["reboot", "w2", "-r", "kernel 6.1.0-31", "--yes"],
        exit: 3,
    },
    Line { why: "Where things are now.", arguments: &["status"], exit: 0 },
];

const OF_TWO_SITES: &[Line] = &[
    Line { why: "With a second site beside it: which clusters are there?", arguments: &["clusters", "list"], exit: 0 },
    Line { why: "Which one is the active staging cluster?", arguments: &["staging", "status"], exit: 0 },
    Line {
        why: "Make b the active one: looked at first, each step proved, and taken back if one fails.",
        arguments: &["staging", "switch", "b", "-r", "a is worked on", "--yes"],
        exit: 0,
    },
];

/// Runs the demonstration; `say` gets every line that is not usher's own. `control` is as in [`Sandbox::start`].
///
/// # Errors
/// If a command cannot be run, or ends otherwise than it should.
pub async fn demo(sandbox: Sandbox, programs: &Programs, control: &Path, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    let file = sandbox.folder().join("cluster.toml");
    run(&file, programs, SCRIPT, say).await?;
    run(&file, programs, AFTER_A_REBOOT, say).await?;
    add_jobs(&sandbox);
    run(&file, programs, OF_JOBS, say).await?;
    cordon(&sandbox, "w2").await?;
    run(&file, programs, AFTER_A_CORDON, say).await?;
    drop(sandbox);
    let pair = Pair::start(programs, control).await?;
    run(pair.folder(), programs, OF_TWO_SITES, say).await
}

/// A cron job with a new image, a job of it that runs the old one, and a job of nobody.
fn add_jobs(sandbox: &Sandbox) {
    let api = sandbox.api();
    api.add(fixtures::cron_job("shop/report").image("report:2"));
    api.add(fixtures::job("shop/report-29412345").of("report").image("report:1"));
    api.add(fixtures::job("shop/import").image("import:1"));
}

async fn run(file: &Path, programs: &Programs, lines: &[Line], say: &dyn Fn(&str)) -> anyhow::Result<()> {
    for line in lines {
        say(&format!("\n# {}\n$ usher {}", line.why, quoted(line.arguments)));
        let status = usher(file, programs, line.arguments).await?;
        match status.code() {
            Some(code) if code == line.exit => say(&format!("[exit {code}]")),
            _ => bail!("usher {} ended with {status}, expected exit {}", quoted(line.arguments), line.exit),
        }
    }
    Ok(())
}

async fn usher(file: &Path, programs: &Programs, arguments: &[&str]) -> anyhow::Result<ExitStatus> {
    let program = programs.usher();
    let mut command = command(&program);
    command.args(arguments).env("USHER_CLUSTER_FILE", file);
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
