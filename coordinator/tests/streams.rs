//! What the program does when a stream that it writes to is closed, full, or no terminal.
#![allow(clippy::unwrap_used, reason = "what a helper cannot do fails the test")]
#![allow(clippy::disallowed_methods)] // the program as an operator runs it

use std::{
    fs::File,
    process::{Command, Output, Stdio},
};

/// Nobody listens there.
const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: nobody, user: {}}]
"#;

fn usher(arguments: &[&str]) -> Command {
    let mut usher = Command::new(env!("CARGO_BIN_EXE_usher"));
    usher.args(arguments).stdin(Stdio::null());
    for variable in ["USHER_LOG", "USHER_CLUSTER_FILE", "NO_COLOR", "CLICOLOR_FORCE"] {
        usher.env_remove(variable);
    }
    usher
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// The end of a pipe whose reader has gone.
fn closed() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A command that fails because no API server answers.
fn fails(arguments: &[&str]) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kubeconfig"), KUBECONFIG).unwrap();
    let cluster_file = folder.path().join("cluster.toml");
    std::fs::write(&cluster_file, "[api]\nkubeconfig = \"kubeconfig\"\n[control_plane]\nmachines = [\"cp1\"]\n")
        .unwrap();
    let mut usher = usher(arguments);
    usher.arg("status").env("USHER_CLUSTER_FILE", cluster_file);
    (folder, usher)
}

#[test]
fn a_result_that_does_not_fit_on_the_disk_is_an_error() {
    let output = usher(&["completion", "bash"]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("could not be written") && said.contains("No space left"), "{said}");
}

#[test]
fn a_reader_that_has_seen_enough_of_a_result_is_no_error() {
    let output = usher(&["completion", "bash"]).stdout(closed()).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn a_command_ends_as_it_would_if_nobody_can_read_why() {
    for nobody in [Stdio::from(full()), Stdio::from(closed())] {
        let (_folder, mut usher) = fails(&["-vv"]);
        assert_eq!(usher.stderr(nobody).status().unwrap().code(), Some(1));
    }
}

#[test]
fn log_lines_in_a_pipe_have_no_colour_codes() {
    let logs = |color| {
        let (_folder, mut usher) = fails(&["-vv", color]);
        stderr(&usher.output().unwrap())
    };
    let plain = logs("--color=auto");
    assert!(plain.contains("DEBUG") && !plain.contains('\u{1b}'), "{plain}");
    assert!(logs("--color=always").contains('\u{1b}'));
}

#[test]
fn an_api_that_does_not_answer_is_told_in_ushers_words_alone_unless_each_request_is_asked_for() {
    let said = |arguments: &[&str]| {
        let (_folder, mut usher) = fails(arguments);
        stderr(&usher.output().unwrap())
    };
    let quiet = said(&[]);
    assert!(quiet.starts_with("error: cannot list the nodes: no answer from http://127.0.0.1:1"), "{quiet}");
    assert_eq!(said(&["-v"]), quiet);
    let verbose = said(&["-vv"]);
    assert!(
        verbose.contains("method=GET uri=http://127.0.0.1:1/api/v1/nodes") && verbose.ends_with(&quiet),
        "{verbose}"
    );
}

#[test]
fn programs_find_nothing_but_events_on_standard_error() {
    let (_folder, mut usher) = fails(&["-vv", "--progress=json"]);
    let said = stderr(&usher.output().unwrap());
    let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let events: Vec<serde_json::Value> = said.lines().map(event).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"logged"), "{said}");
    let ended = events.last().unwrap();
    assert_eq!((ended["event"].as_str(), ended["exit"].as_str()), (Some("ended"), Some("failed")), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains("\\u001b"), "{said}");
}
