use serde_json::{Value, json};

use super::*;

fn printed(pod: Value) -> (String, String, u32) {
    let printed = print(&serde_json::from_value(pod).unwrap());
    (format!("{}/{}", printed.ready, printed.containers), printed.status, printed.restarts)
}

fn pod(phase: &str, containers: Value) -> Value {
    json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
        "status": {"phase": phase, "containerStatuses": containers},
    })
}

fn running(name: &str, ready: bool, restarts: u32) -> Value {
    json!({"name": name, "ready": ready, "restartCount": restarts, "state": {"running": {"startedAt": null}}})
}

fn waiting(name: &str, reason: &str) -> Value {
    json!({"name": name, "ready": false, "restartCount": 3, "state": {"waiting": {"reason": reason}}})
}

fn ended(name: &str, exit_code: i32, signal: i32, reason: &str) -> Value {
    json!({"name": name, "state": {"terminated": {"exitCode": exit_code, "signal": signal, "reason": reason}}})
}

#[test]
fn the_status_of_containers_is_told_in_kubectls_words() {
    for (what, phase, containers, ready, status, restarts) in [
        ("nothing is known yet", "Pending", json!([]), "0/2", "Pending", 0),
        ("all is well", "Running", json!([running("a", true, 1), running("b", true, 2)]), "2/2", "Running", 3),
        ("one is not ready", "Running", json!([running("a", true, 0), running("b", false, 0)]), "1/2", "Running", 0),
        (
            "one crashes",
            "Running",
            json!([running("a", true, 0), waiting("b", "CrashLoopBackOff")]),
            "1/2",
            "CrashLoopBackOff",
            3,
        ),
        (
            "the first one that is not well has the word",
            "Pending",
            json!([waiting("a", "ImagePullBackOff"), waiting("b", "ErrImagePull")]),
            "0/2",
            "ImagePullBackOff",
            6,
        ),
        (
            "all have ended",
            "Succeeded",
            json!([ended("a", 0, 0, "Completed"), ended("b", 0, 0, "Completed")]),
            "0/2",
            "Completed",
            0,
        ),
        ("an end without a reason", "Failed", json!([ended("a", 3, 0, "")]), "0/2", "ExitCode:3", 0),
        ("a signal", "Failed", json!([ended("a", 137, 9, "")]), "0/2", "Signal:9", 0),
        ("out of memory", "Failed", json!([ended("a", 137, 0, "OOMKilled")]), "0/2", "OOMKilled", 0),
    ] {
        assert_eq!(printed(pod(phase, containers)), (ready.to_owned(), status.to_owned(), restarts), "{what}");
    }
}

#[test]
fn one_container_that_still_runs_keeps_a_pod_from_being_completed() {
    let mut some = pod("Running", json!([ended("a", 0, 0, "Completed"), running("b", true, 0)]));
    assert_eq!(printed(some.clone()).1, "NotReady");
    some["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    assert_eq!(printed(some).1, "Running");
}

#[test]
fn init_containers_come_first() {
    for (what, state, status) in [
        ("it runs", json!({"running": {}}), "Init:1/2"),
        ("it is about to", json!({"waiting": {"reason": "PodInitializing"}}), "Init:1/2"),
        ("its image is missing", json!({"waiting": {"reason": "ErrImagePull"}}), "Init:ErrImagePull"),
        ("it failed", json!({"terminated": {"exitCode": 1, "reason": "Error"}}), "Init:Error"),
        ("it failed without a reason", json!({"terminated": {"exitCode": 2}}), "Init:ExitCode:2"),
        ("it was killed", json!({"terminated": {"exitCode": 137, "signal": 9}}), "Init:Signal:9"),
    ] {
        let pod = json!({
            "spec": {"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "a"}]},
            "status": {
                "phase": "Pending",
                "initContainerStatuses": [
                    {"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}},
                    {"name": "j", "restartCount": 4, "state": state},
                ],
                "containerStatuses": [waiting("a", "PodInitializing")],
            },
        });
        assert_eq!(printed(pod), ("0/1".to_owned(), status.to_owned(), 5), "{what}");
    }
}

#[test]
fn a_sidecar_counts_as_a_container_and_other_init_containers_restarts_are_history() {
    let pod = json!({
        "spec": {
            "initContainers": [{"name": "i"}, {"name": "side", "restartPolicy": "Always"}],
            "containers": [{"name": "a"}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Initialized", "status": "True"}],
            "initContainerStatuses": [
                {"name": "i", "restartCount": 7, "state": {"terminated": {"exitCode": 0}}},
                {"name": "side", "ready": true, "started": true, "restartCount": 2, "state": {"running": {}}},
            ],
            "containerStatuses": [running("a", true, 1)],
        },
    });
    assert_eq!(printed(pod), ("2/2".to_owned(), "Running".to_owned(), 3));
}

#[test]
fn what_is_true_of_the_whole_pod_has_the_last_word() {
    let going = |phase: &str, reason: &str| {
        let mut pod = pod(phase, json!([]));
        pod["metadata"]["deletionTimestamp"] = "2026-11-02T12:00:00Z".into();
        pod["status"]["reason"] = reason.into();
        printed(pod).1
    };
    assert_eq!(going("Running", ""), "Terminating");
    assert_eq!(going("Running", "NodeLost"), "Unknown");
    assert_eq!(going("Succeeded", ""), "Succeeded");
    assert_eq!(printed(json!({"status": {"phase": "Failed", "reason": "Evicted"}})).1, "Evicted");
    let gated = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"});
    assert_eq!(printed(json!({"status": {"phase": "Pending", "conditions": [gated]}})).1, "SchedulingGated");
}

#[test]
fn the_last_restart_is_the_latest_end_of_any_container() {
    let ended_at =
        |name: &str, at: &str| json!({"name": name, "lastState": {"terminated": {"exitCode": 1, "finishedAt": at}}});
    let pod = pod("Running", json!([ended_at("a", "2026-11-02T12:00:00Z"), ended_at("b", "2026-11-02T11:00:00Z")]));
    let printed = print(&serde_json::from_value(pod).unwrap());
    assert_eq!(printed.last_restart, "2026-11-02T12:00:00Z".parse().ok());
}
