use serde_json::json;

use super::*;

fn template() -> Value {
    json!({
        "metadata": {"creationTimestamp": null, "labels": {"app": "report"}},
        "spec": {
            "containers": [
                {"name": "main", "image": "report:1", "resources": {}, "env": [{"name": "LEVEL", "value": "info"}]},
                {"name": "side", "image": "side:1", "args": ["a", "b"]},
            ],
            "restartPolicy": "Never",
        },
    })
}

/// As the API server makes it of the CronJob's.
fn of_job() -> Value {
    let mut template = template();
    for label in ADDED_LABELS {
        template["metadata"]["labels"][label] = "report-1".into();
    }
    template
}

fn found(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut now = template();
    change(&mut now);
    differences(&of_job(), &now).iter().map(ToString::to_string).collect()
}

#[test]
fn a_job_of_an_unchanged_cron_job_does_not_differ() {
    assert!(found(|_| ()).is_empty());
    assert!(found(|now| now["metadata"] = json!({"labels": {"app": "report"}, "annotations": {}})).is_empty());
    assert!(found(|now| now["spec"]["securityContext"] = json!({})).is_empty());
    let bare = |labels: Value| json!({"metadata": {"labels": labels}, "spec": {"containers": []}});
    assert!(differences(&bare(json!({"job-name": "x", "controller-uid": "y"})), &bare(Value::Null)).is_empty());
}

#[test]
fn images_come_first_with_both_values_and_other_fields_by_their_path_alone() {
    let changed = found(|now| {
        now["metadata"]["labels"]["app"] = "reports".into();
        now["spec"]["containers"][0]["env"][0]["value"] = "secret".into();
        now["spec"]["containers"][1]["image"] = "side:2".into();
        now["spec"]["containers"][1]["args"] = json!(["a"]);
        now["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    });
    assert_eq!(
        changed,
        [
            "spec.containers[side].image: side:1 → side:2",
            "metadata.labels.app",
            "spec.containers[main].env[LEVEL].value",
            "spec.containers[side].args",
            "spec.nodeSelector.disk",
        ]
    );
}

#[test]
fn a_container_that_came_or_went_is_named_once() {
    let came =
        found(|now| now["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "new", "image": "n:1"})));
    assert_eq!(came, ["spec.containers[new]"]);
    let went = found(|now| drop(now["spec"]["containers"].as_array_mut().unwrap().pop()));
    assert_eq!(went, ["spec.containers[side]"]);
    let swapped = found(|now| now["spec"]["containers"].as_array_mut().unwrap().swap(0, 1));
    assert_eq!(swapped, ["spec.containers"]);
}
