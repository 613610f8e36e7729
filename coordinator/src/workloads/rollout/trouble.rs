//! Why a pod is not available, from its status alone. No I/O.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt as _;

/// Reasons with which a kubelet waits for an image (`kubernetes/pkg/kubelet/images/types.go`).
const IMAGE_REASONS: [&str; 6] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// Reasons with which a kubelet waits although nothing is wrong.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// What keeps a pod from being available.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    /// The likelier it is the cause, the lower.
    rank: u8,
    pub(super) pod: String,
    pub(super) what: String,
    /// The container whose last words would help.
    pub(super) container: Option<String>,
}

/// None if the pod is available, or on its way without trouble.
pub(super) fn trouble(pod: &Pod) -> Option<Trouble> {
    let found = |rank, what: String, container: Option<&str>| {
        Some(Trouble { rank, pod: pod.name_any(), what, container: container.map(str::to_owned) })
    };
    if pod.metadata.deletion_timestamp.is_some() {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
        return found(5, format!("is still ending on {node}"), None);
    }
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    if let Some(unbound) = condition("PodScheduled").filter(|it| it.reason.as_deref() == Some("Unschedulable")) {
        let message = unbound.message.as_deref().unwrap_or("no node takes it");
        return found(2, format!("cannot be scheduled: {message}"), None);
    }
    let containers = || {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    };
    let troubles = containers().filter_map(|container| Some((container, of_container(container)?)));
    if let Some((container, (rank, what, talks))) = troubles.min_by_key(|(_, (rank, ..))| *rank) {
        return found(rank, what, talks.then_some(&container.name));
    }
    let running = status.phase.as_deref() == Some("Running");
    let unready = condition("Ready").filter(|it| it.status != "True")?;
    if running && unready.reason.as_deref() == Some("ReadinessGatesNotReady") {
        let message = unready.message.as_deref().unwrap_or_default();
        return found(4, format!("waits for a readiness gate: {message}"), None);
    }
    let names: Vec<_> = containers().filter(|it| !it.ready && is_running(it)).map(|it| it.name.as_str()).collect();
    if running && let Some(first) = names.first() {
        return found(4, format!("runs and is not ready: its readiness probe does not pass (container {first})"), None);
    }
    None
}

fn is_running(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Its rank, what is wrong with it, and whether its log would tell more.
fn of_container(container: &ContainerStatus) -> Option<(u8, String, bool)> {
    let (name, image) = (&container.name, &container.image);
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or(reason);
    if IMAGE_REASONS.contains(&reason) {
        return Some((0, format!("its image {image} cannot be pulled: {message}"), false));
    }
    let ended = |state: Option<&ContainerState>| state.and_then(|state| state.terminated.clone());
    let last = ended(container.state.as_ref()).or_else(|| ended(container.last_state.as_ref()));
    let crashed = last.filter(|last| last.exit_code != 0);
    if !container.ready
        && let Some(last) =
            crashed.filter(|_| reason == "CrashLoopBackOff" || reason.is_empty() && !is_running(container))
    {
        let why = match last.reason.as_deref() {
            Some("OOMKilled") => "out of memory, ".to_owned(),
            _ => String::new(),
        };
        let (code, restarts) = (last.exit_code, container.restart_count);
        return Some((1, format!("container {name} crashes: {why}exit code {code}, {restarts} restarts"), true));
    }
    if reason == "CrashLoopBackOff" {
        return Some((1, format!("container {name} ends again and again, {} restarts", container.restart_count), true));
    }
    (!reason.is_empty() && !STARTING.contains(&reason))
        .then(|| (3, format!("container {name} cannot start: {reason}: {message}"), false))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(status: Value) -> Option<String> {
        let pod = json!({"metadata": {"name": "web-1"}, "spec": {"containers": []}, "status": status});
        trouble(&serde_json::from_value(pod).unwrap()).map(|trouble| trouble.what)
    }

    fn container(state: Value, last: Value) -> Value {
        json!({
            "phase": "Running",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
            "containerStatuses": [{
                "name": "main", "image": "web:2", "imageID": "", "ready": false, "restartCount": 4,
                "state": state, "lastState": last,
            }],
        })
    }

    #[test]
    fn a_pod_says_why_it_is_not_available() {
        let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
        let crashed = |reason: &str, code: i32| json!({"terminated": {"exitCode": code, "reason": reason}});
        for (status, expected) in [
            (
                container(waiting("ImagePullBackOff", "not found"), json!({})),
                "its image web:2 cannot be pulled: not found",
            ),
            (
                container(waiting("CrashLoopBackOff", "back-off"), crashed("Error", 3)),
                "container main crashes: exit code 3, 4 restarts",
            ),
            (
                container(crashed("OOMKilled", 137), json!({})),
                "container main crashes: out of memory, exit code 137, 4 restarts",
            ),
            (
                container(waiting("CrashLoopBackOff", "back-off"), crashed("Completed", 0)),
                "container main ends again and again, 4 restarts",
            ),
            (
                container(waiting("CreateContainerConfigError", "secret \"db\" not found"), json!({})),
                "container main cannot start: CreateContainerConfigError: secret \"db\" not found",
            ),
            (
                container(json!({"running": {}}), json!({})),
                "runs and is not ready: its readiness probe does not pass (container main)",
            ),
            (
                json!({"phase": "Pending", "conditions": [{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": "0/3 nodes are available: 3 Insufficient cpu.",
                }]}),
                "cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu.",
            ),
        ] {
            assert_eq!(said(status).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_pod_that_is_available_or_on_its_way_has_no_trouble() {
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let starting = container(json!({"waiting": {"reason": "ContainerCreating"}}), json!({}));
        for status in [ready, starting, json!({"phase": "Pending"})] {
            assert_eq!(said(status), None);
        }
    }
}
