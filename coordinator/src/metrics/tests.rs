#![allow(clippy::disallowed_methods)] // the tests' own files

use std::{collections::BTreeMap, fs, time::Duration};

use usher_core::{plan::Target, problem::Problem, request};

use super::*;
use crate::{operation::Ended, request::Request, runner::Outcome};

fn event(kind: Kind) -> Event {
    Event { at: Timestamp::from_second(1_795_000_000).unwrap(), kind }
}

fn began() -> Event {
    event(Kind::Began {
        operation: "4f7k2".into(),
        command: "reboot".into(),
        cluster: "eq\"iad".into(),
        reason: "kernel".into(),
        requester: String::new(),
        task_id: None,
    })
}

fn target(machine: &str) -> Target {
    Target::machine_turn(machine)
}

/// The report of a reboot of which w1 is done, w2 in doubt and w3 and w4 untouched.
fn report() -> Report {
    let outcome = Outcome {
        exit: Exit::TimedOut,
        problem: Some(Problem::timed_out("w2 is away")),
        done: vec![target("w1")],
        failed: vec![target("w2")],
        untouched: vec![target("w3"), target("w4")],
        in_doubt: Some("w2".into()),
        moved: BTreeMap::new(),
        relocated: Vec::new(),
    };
    let took = Duration::from_millis(61_500);
    let ended = Ended { outcome, took, rebalance: None, nodes: Vec::new(), leaders: None, pods: None };
    let kind = request::Kind::Cordon(request::OnNodes { nodes: Vec::new() });
    let request = Request { kind, reason: "kernel".into(), task_id: None, connection: request::Connection::default() };
    Report::of("4f7k2", "eqiad", &request, ended)
}

#[test]
fn a_change_under_way_and_one_that_ended_are_told_in_prometheus_text_format() {
    let mut run = Run::default();
    assert!(run.heard(&began()), "a change that begins is written at once");
    let doubts = [("cp1", None), ("cp2", Some("no answer".to_owned()))].map(|(machine, doubt)| (machine.into(), doubt));
    assert!(!run.heard(&event(Kind::ControlPlane { leaders: BTreeMap::new(), apiservers: doubts.into() })));
    let under_way = run.text();
    assert!(
        under_way.contains("usher_coordinator_run_in_progress{cluster=\"eq\\\"iad\",command=\"reboot\"} 1\n"),
        "{under_way}"
    );
    assert!(!under_way.contains("last_run"), "{under_way}");

    run.ended(Timestamp::from_second(1_795_000_062).unwrap(), Ok(&report()));
    let expected = r#"
usher_coordinator_build_info{cluster="eq\"iad",version="VERSION"} 1
usher_coordinator_run_in_progress{cluster="eq\"iad",command="reboot"} 0
usher_coordinator_run_start_timestamp_seconds{cluster="eq\"iad",command="reboot"} 1795000000
usher_coordinator_last_run_timestamp_seconds{cluster="eq\"iad",command="reboot"} 1795000062
usher_coordinator_last_run_success{cluster="eq\"iad",command="reboot"} 0
usher_coordinator_last_run_exit_code{cluster="eq\"iad",command="reboot"} 5
usher_coordinator_last_run_duration_seconds{cluster="eq\"iad",command="reboot"} 61.5
usher_coordinator_last_run_turns{cluster="eq\"iad",command="reboot",state="done"} 1
usher_coordinator_last_run_turns{cluster="eq\"iad",command="reboot",state="failed"} 0
usher_coordinator_last_run_turns{cluster="eq\"iad",command="reboot",state="in_doubt"} 1
usher_coordinator_last_run_turns{cluster="eq\"iad",command="reboot",state="untouched"} 2
usher_coordinator_apiservers_ready{cluster="eq\"iad"} 1
usher_coordinator_apiservers{cluster="eq\"iad"} 2"#;
    let text = run.text();
    // For promtool, by tests/prometheus.sh.
    if let Some(folder) = std::env::var_os("USHER_METRICS_OUT") {
        fs::write(std::path::Path::new(&folder).join("coordinator.prom"), &text).unwrap();
    }
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples.join("\n"), expected.trim_start().replace("VERSION", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn the_file_is_replaced_at_the_end_and_not_touched_by_a_change_that_never_began() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.prom");
    let mut textfile = Textfile::at(path.clone()).unwrap();
    textfile.heard(&began());
    textfile.end(Ok(&report())).await.unwrap();
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written.contains("usher_coordinator_last_run_exit_code{cluster=\"eq\\\"iad\",command=\"reboot\"} 5\n"),
        "{written}"
    );

    let locked = Problem::new(usher_core::problem::Kind::Locked, "the lock is held by bob");
    Textfile::at(path.clone()).unwrap().end(Err(&locked)).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), written, "nothing had begun");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_change_that_was_left_at_once_has_ended_and_nobody_knows_how_its_turns_did() {
    let mut run = Run::default();
    run.heard(&began());
    run.ended(Timestamp::from_second(1_795_000_009).unwrap(), Err(&Problem::interrupted("left at once")));
    let text = run.text();
    assert!(text.contains("run_in_progress{cluster=\"eq\\\"iad\",command=\"reboot\"} 0\n"), "{text}");
    assert!(text.contains("last_run_exit_code{cluster=\"eq\\\"iad\",command=\"reboot\"} 130\n"), "{text}");
    assert!(text.contains("last_run_duration_seconds{cluster=\"eq\\\"iad\",command=\"reboot\"} 9\n"), "{text}");
    assert!(!text.contains("state="), "{text}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut textfile = Textfile::at(folder.path().join("gone/usher.prom")).unwrap();
    textfile.heard(&began());
    let error = textfile.end(Ok(&report())).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
