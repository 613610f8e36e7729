//! Why a pod is not ready: what an operator would look for in `kubectl describe`. No I/O.

use jiff::Timestamp;
use usher_core::text;

use super::{
    object::{ContainerStatus, Pod},
    printer::ending,
};
use crate::workloads::object::{condition, words};

/// Reasons with which a kubelet waits for an image (`kubernetes/pkg/kubelet/images/types.go`).
const IMAGE_REASONS: [&str; 6] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// Waiting reasons of a pod that is on its way: they say nothing is wrong.
const ON_ITS_WAY: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];

/// Kinds of trouble; the likelier one is what keeps a whole workload from coming along, the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::workloads) enum Cause {
    /// An image cannot be had.
    Image,
    /// A container ends when it should run.
    Crash,
    /// No node takes the pod.
    Unschedulable,
    /// A container does not start, or the pod has failed.
    Stopped,
    /// Its containers run, and it is not ready.
    Unready,
    /// It does not end in its time.
    Overdue,
}

/// What keeps a pod from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::workloads) struct Trouble {
    pub(in crate::workloads) cause: Cause,
    /// In one line.
    pub(in crate::workloads) what: String,
    /// The container whose last words would help.
    pub(in crate::workloads) container: Option<String>,
}

impl Trouble {
    fn of_pod(cause: Cause, what: String) -> Self {
        Self { cause, what, container: None }
    }
}

/// Why it is not ready, in one line; None for a pod that is, has succeeded, or is only just starting.
pub(in crate::workloads) fn why_not_ready(pod: &Pod, now: Timestamp) -> Option<String> {
    trouble(pod, now).map(|trouble| trouble.what)
}

/// What keeps it from being ready; None for a pod that is ready, has succeeded, or is only just starting.
pub(in crate::workloads) fn trouble(pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let status = &pod.status;
    if status.phase == "Succeeded" {
        return None;
    }
    if let Some(due) = pod.metadata.deletion_timestamp {
        let what = || format!("should have ended {} ago", text::age(due, now));
        return (due < now).then(|| Trouble::of_pod(Cause::Overdue, what()));
    }
    if let Some(scheduled) = condition(&status.conditions, "PodScheduled").filter(|it| it.status == "False") {
        return Some(Trouble::of_pod(Cause::Unschedulable, words(&scheduled.reason, &scheduled.message)));
    }
    if status.phase == "Failed" && !(status.reason.is_empty() && status.message.is_empty()) {
        return Some(Trouble::of_pod(Cause::Stopped, words(&status.reason, &status.message)));
    }
    let all = || status.init_container_statuses.iter().chain(&status.container_statuses);
    // What keeps a container from running comes before what keeps another one from being ready.
    let stopped = all().filter_map(stopped).min_by_key(|trouble| trouble.cause);
    let unready = || all().find_map(|container| unready(pod, container)).or_else(|| gate(pod));
    stopped.or_else(|| unready().map(|what| Trouble::of_pod(Cause::Unready, what)))
}

/// Why a container does not run, unless it is only just starting or has done its work.
fn stopped(container: &ContainerStatus) -> Option<Trouble> {
    let name = &container.name;
    let crashed = |what| Some(Trouble { cause: Cause::Crash, what, container: Some(name.clone()) });
    if let Some(ended) = container.state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
        return crashed(format!("{name} ended: {}", last_words(&ending(ended), ended.exit_code)));
    }
    let waiting = container.state.waiting.as_ref()?;
    let reason = waiting.reason.as_str();
    if ON_ITS_WAY.contains(&reason) {
        return None;
    }
    let last = container.last_state.terminated.as_ref();
    let last = last.map(|ended| format!("; it ended: {}", last_words(&ending(ended), ended.exit_code)));
    let what = format!("{name}: {}{}", words(reason, &waiting.message), last.unwrap_or_default());
    match reason {
        "CrashLoopBackOff" => crashed(what),
        _ if IMAGE_REASONS.contains(&reason) => Some(Trouble::of_pod(Cause::Image, what)),
        _ => Some(Trouble::of_pod(Cause::Stopped, what)),
    }
}

fn last_words(word: &str, exit_code: i32) -> String {
    let code = format!("ExitCode:{exit_code}");
    if word == code { format!("exit code {exit_code}") } else { format!("{word}, exit code {exit_code}") }
}

/// Why a container that runs is not ready. The probe's own words are in an event, not in the pod.
fn unready(pod: &Pod, container: &ContainerStatus) -> Option<String> {
    if container.state.running.is_none() || container.ready {
        return None;
    }
    let name = &container.name;
    Some(match container.started {
        Some(false) => format!("{name} runs, but its startup probe has not succeeded yet"),
        _ if pod.spec.is_probed(name) => format!("{name} runs, but its readiness probe fails"),
        _ => format!("{name} runs, but is not ready"),
    })
}

/// A readiness gate that is not open, or what else the kubelet says of the pod as a whole.
fn gate(pod: &Pod) -> Option<String> {
    let conditions = &pod.status.conditions;
    let is_true = |kind: &str| condition(conditions, kind).is_some_and(|it| it.status == "True");
    let closed = pod.spec.readiness_gates.iter().find(|gate| !is_true(&gate.condition_type));
    if let Some(gate) = closed {
        return Some(format!("readiness gate {} is not true", gate.condition_type));
    }
    // Of a node that does not answer: its containers' states are the last ones that it reported.
    let ready = condition(conditions, "Ready").filter(|it| it.status != "True" && it.reason == "NodeNotReady")?;
    Some(words(&ready.reason, first_non_empty(&ready.message, "its node does not answer")))
}

fn first_non_empty<'t>(text: &'t str, fallback: &'t str) -> &'t str {
    if text.is_empty() { fallback } else { text }
}

#[cfg(test)]
mod tests;
