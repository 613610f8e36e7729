//! How the containers of a pod start: well, or in one of the ways that a rollout is held up by.

use serde_json::{Value, json};

use crate::apiserver::fixtures::LOG;

/// How a pod's only container starts, as its kubelet tells. The words are containerd's and the kubelet's of Kubernetes 1.33.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Its image is not in the registry.
    NoImage,
    /// It ends with this exit code, again and again, after it has logged a line.
    Crashes { exit_code: i32, log: &'static str },
    /// It runs, and its readiness probe never passes.
    NeverReady,
}

pub(super) fn goes_wrong(pod: &mut Value, start: &Start) {
    let image = pod["spec"]["containers"][0]["image"].clone();
    let (phase, restarts, state, last) = match start {
        Start::NoImage => {
            let message = format!("Back-off pulling image {image}: not found");
            ("Pending", 0, json!({"waiting": {"reason": "ImagePullBackOff", "message": message}}), json!({}))
        }
        Start::Crashes { exit_code, log } => {
            pod["metadata"]["annotations"][LOG] = (*log).into();
            let message = "back-off 40s restarting failed container";
            let last = json!({"terminated": {"exitCode": exit_code, "reason": "Error"}});
            ("Running", 3, json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}}), last)
        }
        Start::NeverReady => ("Running", 0, json!({"running": {}}), json!({})),
    };
    pod["status"]["phase"] = phase.into();
    pod["status"]["containerStatuses"] = json!([{
        "name": "main", "image": image, "imageID": "", "ready": false, "restartCount": restarts,
        "state": state, "lastState": last,
    }]);
}

/// Takes back what a start that went wrong has left.
pub(super) fn goes_well(pod: &mut Value) {
    if let Some(container) = pod.pointer_mut("/status/containerStatuses/0")
        && !container["state"].is_null()
    {
        container["ready"] = true.into();
        container["state"] = json!({"running": {}});
    }
}
