//! Why a pod is not ready, in one line: what an operator would look for in `kubectl describe`.

use jiff::Timestamp;
use usher_core::text;

use super::{
    object::{ContainerStatus, Pod},
    printer::ending,
};
use crate::workloads::object::{condition, words};

/// Waiting reasons of a pod that is on its way: they say nothing is wrong.
const ON_ITS_WAY: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];

/// Why it is not ready; None for a pod that is, has succeeded, or is only just starting.
pub(in crate::workloads) fn why_not_ready(pod: &Pod, now: Timestamp) -> Option<String> {
    let status = &pod.status;
    if status.phase == "Succeeded" {
        return None;
    }
    if let Some(due) = pod.metadata.deletion_timestamp {
        return (due < now).then(|| format!("should have ended {} ago", text::age(due, now)));
    }
    if let Some(scheduled) = condition(&status.conditions, "PodScheduled").filter(|it| it.status == "False") {
        return Some(words(&scheduled.reason, &scheduled.message));
    }
    if status.phase == "Failed" && !(status.reason.is_empty() && status.message.is_empty()) {
        return Some(words(&status.reason, &status.message));
    }
    let all = || status.init_container_statuses.iter().chain(&status.container_statuses);
    // What keeps a container from running comes before what keeps another one from being ready.
    all().find_map(stopped).or_else(|| all().find_map(|container| unready(pod, container))).or_else(|| gate(pod))
}

/// Why a container does not run, unless it is only just starting or has done its work.
fn stopped(container: &ContainerStatus) -> Option<String> {
    let name = &container.name;
    if let Some(ended) = container.state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
        return Some(format!("{name} ended: {}", last_words(&ending(ended), ended.exit_code)));
    }
    let waiting = container.state.waiting.as_ref()?;
    if ON_ITS_WAY.contains(&waiting.reason.as_str()) {
        return None;
    }
    let last = container.last_state.terminated.as_ref();
    let last = last.map(|ended| format!("; it ended: {}", last_words(&ending(ended), ended.exit_code)));
    Some(format!("{name}: {}{}", words(&waiting.reason, &waiting.message), last.unwrap_or_default()))
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
