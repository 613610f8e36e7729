//! kubectl's columns READY, STATUS and RESTARTS: the API server makes them (`printPod` in
//! k8s.io/kubernetes/pkg/printers/internalversion), and operators know their words.

use jiff::Timestamp;

use super::object::{ContainerStatus, Pod, Terminated};
use crate::workloads::object::condition;

/// What kubectl shows of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::workloads) struct Printed {
    pub(in crate::workloads) ready: u32,
    pub(in crate::workloads) containers: u32,
    pub(in crate::workloads) status: String,
    pub(in crate::workloads) restarts: u32,
    pub(in crate::workloads) last_restart: Option<Timestamp>,
}

/// The columns of one pod.
pub(in crate::workloads) fn print(pod: &Pod) -> Printed {
    let (spec, status) = (&pod.spec, &pod.status);
    let sidecars = spec.init_containers.iter().filter(|container| spec.is_sidecar(&container.name)).count();
    let mut printed = Printed {
        ready: 0,
        containers: u32::try_from(spec.containers.len() + sidecars).unwrap_or(u32::MAX),
        status: first_of([&status.reason, &status.phase]).to_owned(),
        restarts: 0,
        last_restart: None,
    };
    if condition(&status.conditions, "PodScheduled").is_some_and(|it| it.reason == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut printed.status);
    }
    let initializing = init_containers(pod, &mut printed);
    let initialized = condition(&status.conditions, "Initialized").is_some_and(|it| it.status == "True");
    if !initializing || initialized {
        containers(pod, &mut printed);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        if status.reason == "NodeLost" {
            "Unknown".clone_into(&mut printed.status);
        } else if !status.is_finished() {
            "Terminating".clone_into(&mut printed.status);
        }
    }
    printed
}

/// The init containers, in their order, up to the first one that is not done. Whether there is such a one.
fn init_containers(pod: &Pod, printed: &mut Printed) -> bool {
    for (number, container) in pod.status.init_container_statuses.iter().enumerate() {
        printed.count_restarts(container);
        let state = &container.state;
        if state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0) {
            continue;
        }
        if pod.spec.is_sidecar(&container.name) && container.started == Some(true) {
            printed.ready += u32::from(container.ready);
            continue;
        }
        printed.status = match (&state.terminated, &state.waiting) {
            (Some(ended), _) => format!("Init:{}", ending(ended)),
            (None, Some(waiting)) if !matches!(waiting.reason.as_str(), "" | "PodInitializing") => {
                format!("Init:{}", waiting.reason)
            }
            _ => format!("Init:{number}/{}", pod.spec.init_containers.len()),
        };
        return true;
    }
    false
}

/// The containers, from the last to the first: the first one that is not well has the word.
fn containers(pod: &Pod, printed: &mut Printed) {
    // Restarts of init containers are history by now, but for those that still run.
    (printed.restarts, printed.last_restart) = (0, None);
    let sidecars = pod.status.init_container_statuses.iter().filter(|it| pod.spec.is_sidecar(&it.name));
    sidecars.for_each(|sidecar| printed.count_restarts(sidecar));
    let mut any_runs = false;
    for container in pod.status.container_statuses.iter().rev() {
        printed.count_restarts(container);
        let state = &container.state;
        if let Some(waiting) = state.waiting.as_ref().filter(|waiting| !waiting.reason.is_empty()) {
            printed.status.clone_from(&waiting.reason);
        } else if let Some(ended) = &state.terminated {
            printed.status = ending(ended);
        } else if container.ready && state.running.is_some() {
            any_runs = true;
            printed.ready += 1;
        }
    }
    if printed.status == "Completed" && any_runs {
        let ready = condition(&pod.status.conditions, "Ready").is_some_and(|it| it.status == "True");
        let word = if ready { "Running" } else { "NotReady" };
        word.clone_into(&mut printed.status);
    }
}

impl Printed {
    fn count_restarts(&mut self, container: &ContainerStatus) {
        self.restarts += container.restart_count;
        let ended = container.last_state.terminated.as_ref().and_then(|ended| ended.finished_at);
        self.last_restart = self.last_restart.max(ended);
    }
}

/// Why a container ended, in one word.
pub(super) fn ending(ended: &Terminated) -> String {
    match (ended.reason.as_str(), ended.signal) {
        ("", 0) => format!("ExitCode:{}", ended.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn first_of(texts: [&str; 2]) -> &str {
    if texts[0].is_empty() { texts[1] } else { texts[0] }
}

#[cfg(test)]
mod tests;
