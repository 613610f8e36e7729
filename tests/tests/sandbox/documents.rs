//! What scripts read: each command prints one JSON document that says what it is, whatever comes of the command.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::{Map, Value};
use tokio::process::Command;
use usher_testkit::{
    apiserver::fixtures::{cron_job, job, lease, pod},
    sandbox::{Programs, Sandbox},
};

use super::programs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_prints_one_document_that_says_what_it_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let programs = Programs::built_in(programs()).unwrap();
    let sandbox = Sandbox::start(&programs, Path::new(env!("CARGO_BIN_EXE_sandbox"))).await.unwrap();
    // Once the workloads' pods are ready, some of them wait for their budget.
    while document(&programs, &sandbox, "preflight w1", 0).await["drains"][0]["wait"] == 0 {}
    // Nothing would bring it back, so a drain of w2 is refused.
    sandbox.api().add(pod("shop/lone").on("w2"));

    // A job that runs with an image of before, and one of no cron job.
    sandbox.api().add(cron_job("shop/report").image("report:2").time_zone("Europe/Berlin"));
    sandbox.api().add(job("shop/report-1").of("report").image("report:1")).add(job("shop/import"));
    // A job says what it waits for until its pods are ready.
    while document(&programs, &sandbox, "jobs list -n shop", 0).await.to_string().contains("\"reason\":\"") {}

    let results = [
        ("status", "Status", 0),
        ("nodes", "NodeList", 0),
        ("doctor", "Doctor", 0),
        ("leaders", "LeaderList", 0),
        ("version", "Version", 0),
        ("versions", "VersionList", 0),
        ("clusters list", "ClusterList", 0),
        ("clusters show sandbox", "Cluster", 0),
        ("clusters env sandbox", "ClusterEnvironment", 0),
        ("config check", "ConfigCheck", 0),
        ("config view", "ConfigView", 0),
        ("preflight w1", "Preflight", 0),
        ("preflight w2", "Preflight", 3),
        ("drain w1 --dry-run", "Plan", 0),
        ("drain w2 --dry-run", "Plan", 3),
        ("rebalance w1 --dry-run", "Plan", 0),
        ("drain w2 -r test --yes", "Failure", 3),
        ("cordon w1 -r test --yes", "Report", 0),
        ("pods list -A", "PodList", 0),
        ("jobs list -n shop", "JobList", 0),
        ("cronjobs list -n shop", "CronJobList", 0),
        ("job delete import -n shop --dry-run=server", "JobPlan", 0),
        ("job delete import -n shop --yes", "JobReport", 0),
        ("job delete import -n shop --yes", "Failure", 3),
        ("job delete import -n shpo --yes", "Failure", 3),
        ("cronjob refresh report -n shop --dry-run", "JobPlan", 0),
        ("cronjob refresh -n shop --run --yes", "JobReport", 0),
        ("pods list --node w9", "Failure", 3),
        ("agent status cp1", "AgentStatus", 0),
        ("agent units cp1", "UnitList", 0),
        ("agent restart cp1 kube-scheduler -r test --yes", "Task", 0),
        ("agent restart cp1 sshd.service -r test --yes", "Failure", 3),
        ("agent audit cp1", "AuditRecordList", 0),
        ("agent cancel cp1 4f7k2 -r test --yes", "Failure", 3),
        ("lock show", "Lock", 0),
        ("restart --wanted -r test --yes", "Plan", 0),
        ("reboot w9 -r test --yes", "Failure", 3),
        ("rollout restart deployment/search -n shop --dry-run=server", "RolloutPlan", 0),
        ("rollout restart deployment/search -n shop --yes", "RolloutReport", 0),
        ("rollout status -n shop --wait", "RolloutList", 0),
        ("rollout undo deployment/search -n shop --dry-run", "RolloutPlan", 0),
        ("helmfile roll search --dry-run", "HelmfilePlan", 0),
        ("helmfile roll search --yes", "HelmfileReport", 0),
        ("helmfile roll serach --yes", "Failure", 3),
        ("helmfile roll search search --yes", "Failure", 2),
        ("helmfile roll search -e live --yes", "Failure", 3),
        ("helmfile roll search --token secret --yes", "Failure", 2),
        ("rollout restart deployment/serach -n shop --yes", "Failure", 3),
        ("rollout restart deployment -n shpo --yes", "Failure", 3),
        ("rollout restart replicaset/search -n shop --yes", "Failure", 2),
        ("rollout restart deployment/web -n shop -l app=web --yes", "Failure", 2),
        ("rollout restart deployment --namespaces-matching no=where --yes", "Failure", 3),
        ("rollout restart daemonset -A --yes", "Failure", 3),
    ];
    for (line, kind, exit) in results {
        let document = document(&programs, &sandbox, line, exit).await;
        assert_eq!((document["apiVersion"].as_str(), document["kind"].as_str()), (Some("usher.dev/v1"), Some(kind)));
        if exit == 0 {
            let name = line.split(" -r ").next().unwrap().replace([' ', '/'], "_");
            insta::assert_json_snapshot!(name, shape(&document));
        }
    }

    let metrics = sandbox.folder().join("usher.prom");
    let roll = "restart kube-scheduler -r test --yes --progress=json";
    let roll = usher_with(&programs, &sandbox, roll, &[("USHER_METRICS_TEXTFILE", &metrics)]).await;
    let told = std::fs::read_to_string(&metrics).unwrap();
    let ended = "usher_coordinator_run_in_progress{cluster=\"sandbox\",command=\"restart\"} 0\n";
    assert!(told.contains(ended) && told.contains("state=\"done\"} 3\n"), "{told}");
    let report: Value = serde_json::from_slice(&roll.stdout).unwrap();
    insta::assert_json_snapshot!("report", shape(&report));
    let mut events: BTreeMap<String, Value> = BTreeMap::new();
    let lines = String::from_utf8(roll.stderr).unwrap();
    // Nothing else goes there.
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let known = events.entry(event["event"].as_str().unwrap().to_owned()).or_insert(Value::Null);
        *known = merged(known.take(), shape(&event));
    }
    insta::assert_json_snapshot!("events", events);

    // What was written to both goes into one file, as a script may have it.
    let log = sandbox.folder().join("roll.jsonl");
    std::fs::write(&log, [&lines[..], &report.to_string()].concat()).unwrap();
    let written = document(&programs, &sandbox, &format!("report {}", log.display()), 0).await;
    assert_eq!(written["kind"], "ReportPage");
    let page = std::fs::read_to_string(written["file"].as_str().unwrap()).unwrap();
    assert!(
        page.contains("usher restart · ") && page.contains("id=\"turn-3\"") && page.contains("and a report"),
        "{page}"
    );
    assert!(page.contains("<h3>Leaders</h3>") && page.contains("<h3>Apiservers</h3>"), "{page}");
    document(&programs, &sandbox, "report /nowhere", 2).await;

    sandbox.api().add(lease("kube-system/usher").held_by("ann@bastion/4f7k2"));
    let held = document(&programs, &sandbox, "reboot w1 -r test --yes", 6).await;
    assert_eq!((held["exit"].as_str(), held["exitCode"].as_u64()), (Some("locked"), Some(6)), "{held}");
    assert!(held["message"].as_str().is_some_and(|text| text.contains("ann@bastion")), "{held}");
    assert!(held["hints"][0].as_str().is_some_and(|text| text.starts_with("wait for it to end")), "{held}");
    let check = usher(&programs, &sandbox, "status --check").await;
    let said = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(3), "{said}");
    assert!(said.contains("the lock is held by ann@bastion"), "{said}");
}

async fn document(programs: &Programs, sandbox: &Sandbox, line: &str, exit: i32) -> Value {
    let output = usher(programs, sandbox, line).await;
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{line}: {printed}{said}");
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}: {printed}{said}"))
}

async fn usher(programs: &Programs, sandbox: &Sandbox, line: &str) -> Output {
    usher_with(programs, sandbox, line, &[]).await
}

async fn usher_with(programs: &Programs, sandbox: &Sandbox, line: &str, variables: &[(&str, &Path)]) -> Output {
    let mut usher = Command::new(programs.usher());
    usher.envs(variables.iter().copied());
    usher.args(line.split(' ')).args(["-o", "json"]).stdin(Stdio::null());
    usher.env("USHER_CLUSTER_FILE", sandbox.folder().join("cluster.toml")).output().await.unwrap()
}

/// What a script may rely on: the names, and of what type each value is. Values themselves differ from run to run.
pub(crate) fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "boolean".into(),
        Value::Number(_) => "number".into(),
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => "time".into(),
        Value::String(_) => "string".into(),
        Value::Array(items) => {
            let item = items.iter().map(shape).reduce(merged);
            Value::Array(item.into_iter().collect())
        }
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
    }
}

/// The shape of values that have one of two shapes: a field that one of them lacks or leaves empty has the other's.
fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Null, shape) | (shape, Value::Null) => shape,
        (Value::Object(one), Value::Object(other)) => {
            let mut fields: Map<String, Value> = one;
            for (name, shape) in other {
                let known = fields.remove(&name).unwrap_or(Value::Null);
                fields.insert(name, merged(known, shape));
            }
            Value::Object(fields)
        }
        (Value::Array(one), Value::Array(other)) => {
            Value::Array(one.into_iter().chain(other).reduce(merged).into_iter().collect())
        }
        (one, _) => one,
    }
}
