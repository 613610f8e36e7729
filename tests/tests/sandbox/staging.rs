//! `usher staging` as it is shipped, on two sandboxes and with real commands.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use tokio::process::Command;
use usher_testkit::sandbox::{Pair, Programs};

use super::{documents::shape, programs};

async fn usher(programs: &Programs, folder: &Path, line: &str) -> Output {
    let mut usher = Command::new(programs.usher());
    usher.args(line.split(' ')).env_clear().env("HOME", folder).env("USHER_CLUSTER_FILE", folder);
    usher.env("PATH", std::env::var("PATH").unwrap()).stdin(Stdio::null()).output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_active_cluster_is_shown_planned_and_switched_and_the_way_back_is_the_same() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let programs = Programs::built_in(programs()).unwrap();
    let control = Path::new(env!("CARGO_BIN_EXE_sandbox"));
    let pair = Pair::start(&programs, control).await.unwrap();
    let path = pair.folder();
    let run = async |line: &str, exit: i32| {
        let output = usher(&programs, path, line).await;
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(exit), "{line}: {out}{err}");
        (out, err)
    };
    let active = || fs::read_to_string(pair.active_file()).unwrap();

    let (out, _) = run("config check", 0).await;
    assert!(out.contains("_staging.toml: a or b, by record") && out.contains("The cluster files are right."), "{out}");
    let (out, _) = run("staging status", 0).await;
    assert!(out.starts_with("a is the active staging cluster"), "{out}");

    for line in ["staging status", "staging switch b --dry-run --ignore workloads"] {
        let document: Value = serde_json::from_str(&run(&format!("{line} -o json"), 0).await.0).unwrap();
        insta::assert_json_snapshot!(line.replace(" --", "_").replace(' ', "_"), shape(&detailed(document)));
    }
    let (out, err) = run("staging switch b --dry-run --ignore workloads", 0).await;
    assert!(err.contains("b · ") && err.contains(" · as operator") && err.contains("nothing is changed"), "{err}");
    assert!(out.contains("1. record: the record points to dc-b") && out.contains("5 agents answer"), "{out}");
    assert!(out.contains("missing: everything of a is there"), "{out}");
    assert_eq!(active(), "a\n");

    // Nobody can be asked.
    let (_, err) = run("staging switch b -r test --ignore workloads", 2).await;
    assert!(err.contains("--yes") && active() == "a\n", "{err}");

    let (out, _) = run("staging switch b -r test --yes --ignore workloads -o json", 0).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (report["kind"].as_str(), report["steps"][0]["state"].as_str()),
        (Some("StagingReport"), Some("applied"))
    );
    insta::assert_json_snapshot!("staging_report", shape(&detailed(report)));
    assert_eq!(active(), "b\n");
    let (out, _) = run("staging switch b -r test --yes", 0).await;
    assert!(out.contains("b is the active staging cluster already"), "{out}");

    // a lacks something of b, which is the active one now.
    pair.b().api().add(usher_testkit::apiserver::fixtures::deployment("new/thing"));
    let (_, err) = run("staging switch a -r test --yes --ignore workloads", 3).await;
    assert!(err.contains("namespace new") && err.contains("if that does not matter: --ignore missing"), "{err}");
    assert_eq!(active(), "b\n");

    fs::remove_file(path.join("active-a")).unwrap();
    let (_, err) = run("staging switch a -r test --yes --ignore workloads,missing", 1).await;
    assert!(err.contains("record was not applied") && err.contains("b is the active one as before"), "{err}");
    let again = "to go on: usher staging switch a --ignore=workloads --ignore=missing --cluster-file=";
    assert!(err.contains(again) && err.contains(" -r test\n"), "{err}");
    assert_eq!(active(), "b\n");
    run("staging switch a -r test --kubeconfig x --dry-run", 2).await;
}

/// Whether the workloads have rolled out yet depends on when somebody looks: a detail stands in for theirs.
fn detailed(mut document: Value) -> Value {
    let findings = document.get_mut("findings").and_then(Value::as_array_mut);
    for finding in findings.into_iter().flatten() {
        finding["details"] = json!(["web is not rolled out"]);
    }
    document
}
