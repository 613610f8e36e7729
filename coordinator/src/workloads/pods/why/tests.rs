use serde_json::{Value, json};

use super::*;

fn why(spec: Value, status: Value) -> Option<String> {
    let pod = json!({"metadata": {"name": "p"}, "spec": spec, "status": status});
    why_not_ready(&serde_json::from_value(pod).unwrap(), Timestamp::from_second(1_000_000).unwrap())
}

#[test]
fn the_reason_is_the_one_that_describe_would_show() {
    let probed = json!({"containers": [{"name": "a", "readinessProbe": {"httpGet": {"port": 80}}}]});
    let plain = json!({"containers": [{"name": "a"}]});
    let gated = json!({"readinessGates": [{"conditionType": "lb/ready"}]});
    let container = |state: Value, more: Value| {
        let mut status = json!({"name": "a", "ready": false, "state": state});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"phase": "Running", "containerStatuses": [status]})
    };
    let crashed = json!({"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}});
    for (spec, status, expected) in [
        (&plain, json!({"phase": "Succeeded"}), None),
        (
            &plain,
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
            Some("Unschedulable: 0/3 nodes are available"),
        ),
        (
            &plain,
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}),
            Some("Evicted: The node was low on memory."),
        ),
        (&plain, container(json!({"waiting": {"reason": "ContainerCreating"}}), json!({})), None),
        (
            &plain,
            container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling x"}}), json!({})),
            Some("a: ImagePullBackOff: Back-off pulling x"),
        ),
        (
            &plain,
            container(json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}), crashed),
            Some("a: CrashLoopBackOff: back-off 40s; it ended: OOMKilled, exit code 137"),
        ),
        (&plain, container(json!({"terminated": {"exitCode": 2}}), json!({})), Some("a ended: exit code 2")),
        (&plain, container(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}), json!({})), None),
        (
            &probed,
            container(json!({"running": {}}), json!({"started": false})),
            Some("a runs, but its startup probe has not succeeded yet"),
        ),
        (
            &probed,
            container(json!({"running": {}}), json!({"started": true})),
            Some("a runs, but its readiness probe fails"),
        ),
        (&plain, container(json!({"running": {}}), json!({"ready": true})), None),
        (&gated, json!({"phase": "Running"}), Some("readiness gate lb/ready is not true")),
        (
            &plain,
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False",
            "reason": "NodeNotReady"}]}),
            Some("NodeNotReady: its node does not answer"),
        ),
    ] {
        let shown = status.to_string();
        assert_eq!(why(spec.clone(), status).as_deref(), expected, "{shown}");
    }
}

#[test]
fn a_pod_that_does_not_end_in_its_time_says_since_when() {
    let going = |due: i64| {
        let due = Timestamp::from_second(due).unwrap().to_string();
        let pod = json!({"metadata": {"deletionTimestamp": due}, "status": {"phase": "Running"}});
        why_not_ready(&serde_json::from_value(pod).unwrap(), Timestamp::from_second(1_000_000).unwrap())
    };
    assert_eq!(going(1_000_030), None);
    assert_eq!(going(999_700).as_deref(), Some("should have ended 5m ago"));
}

#[test]
fn of_several_containers_the_one_tells_most_whose_image_is_missing() {
    let waiting = |name: &str, reason: &str| json!({"name": name, "state": {"waiting": {"reason": reason}}});
    let containers = json!([
        waiting("a", "CreateContainerConfigError"),
        waiting("b", "CrashLoopBackOff"),
        waiting("c", "ErrImagePull")
    ]);
    let pod =
        |containers: &Value| serde_json::from_value(json!({"status": {"containerStatuses": containers}})).unwrap();
    let now = Timestamp::from_second(1_000_000).unwrap();
    let found = |containers: &Value| {
        let Trouble { cause, container, .. } = trouble(&pod(containers), now).unwrap();
        (cause, container)
    };
    assert_eq!(found(&containers), (Cause::Image, None));
    let without_images = json!([containers[0], containers[1]]);
    assert_eq!(found(&without_images), (Cause::Crash, Some("b".to_owned())));
    assert_eq!(found(&json!([containers[0]])), (Cause::Stopped, None));
}
