//! How far a Job is, in kubectl's words (`printJob` in k8s.io/kubernetes/pkg/printers/internalversion), and why it is not done.

use serde::Serialize;
use usher_core::text;

use super::object::Job;
use crate::workloads::object::{Condition, words};

/// How far a Job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum JobState {
    Complete,
    Failed,
    /// It is being deleted.
    Terminating,
    Suspended,
    /// It has failed, and its last pods are on their way out.
    FailureTarget,
    /// It has succeeded, and its last pods are on their way out.
    SuccessCriteriaMet,
    Running,
}

impl JobState {
    /// As kubectl writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
            Self::Suspended => "Suspended",
            Self::FailureTarget => "FailureTarget",
            Self::SuccessCriteriaMet => "SuccessCriteriaMet",
            Self::Running => "Running",
        }
    }

    /// Whether it has pods, or will have some.
    pub fn is_unfinished(self) -> bool {
        !matches!(self, Self::Complete | Self::Failed)
    }
}

/// How far the Job is.
pub(in crate::workloads) fn state(job: &Job) -> JobState {
    let is = |kind: &str| true_condition(job, kind).is_some();
    let by_condition = [
        ("Complete", JobState::Complete),
        ("Failed", JobState::Failed),
        ("Suspended", JobState::Suspended),
        ("FailureTarget", JobState::FailureTarget),
        ("SuccessCriteriaMet", JobState::SuccessCriteriaMet),
    ];
    let state = by_condition.iter().find(|(kind, _)| is(kind)).map_or(JobState::Running, |(_, state)| *state);
    match job.metadata.deletion_timestamp {
        Some(_) if state.is_unfinished() => JobState::Terminating,
        _ => state,
    }
}

/// Why it is not done, as far as the Job itself says; None if it is, or if its pods are simply at work.
pub(in crate::workloads) fn why_not_done(job: &Job) -> Option<String> {
    let status = &job.status;
    match state(job) {
        JobState::Failed => true_condition(job, "Failed").map(of),
        JobState::FailureTarget => true_condition(job, "FailureTarget").map(of),
        JobState::Running => {
            let mut parts = Vec::new();
            if status.failed > 0 {
                let failed = text::count(usize::try_from(status.failed).unwrap_or(usize::MAX), "pod");
                let limit = job.spec.backoff_limit.map(|limit| format!(" (backoff limit {limit})"));
                parts.push(format!("{failed} failed{}", limit.unwrap_or_default()));
            }
            if status.active == 0 {
                parts.push("no pod runs".to_owned());
            } else if let Some(ready) = status.ready.filter(|ready| *ready < status.active) {
                parts.push(format!("{ready} of {} active pods are ready", status.active));
            }
            (!parts.is_empty()).then(|| parts.join(", "))
        }
        JobState::Complete | JobState::Terminating | JobState::Suspended | JobState::SuccessCriteriaMet => None,
    }
}

fn true_condition<'j>(job: &'j Job, kind: &str) -> Option<&'j Condition> {
    job.status.conditions.iter().find(|condition| condition.kind == kind && condition.status == "True")
}

fn of(condition: &Condition) -> String {
    words(&condition.reason, &condition.message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(metadata: Value, status: Value) -> (JobState, Option<String>) {
        let job = json!({"metadata": metadata, "spec": {"backoffLimit": 6}, "status": status});
        let job = serde_json::from_value(job).unwrap();
        (state(&job), why_not_done(&job))
    }

    fn is(kind: &str) -> Value {
        json!([{"type": kind, "status": "True", "reason": "Because", "message": "of this"}])
    }

    #[test]
    fn a_job_says_how_far_it_is_and_why_it_is_not_done() {
        let going = json!({"deletionTimestamp": "2026-11-02T12:00:00Z"});
        for (metadata, status, expected, why) in [
            (json!({}), json!({"conditions": is("Complete")}), JobState::Complete, None),
            (json!({}), json!({"conditions": is("Failed")}), JobState::Failed, Some("Because: of this")),
            (going.clone(), json!({"conditions": is("Failed")}), JobState::Failed, Some("Because: of this")),
            (going, json!({"active": 1}), JobState::Terminating, None),
            (json!({}), json!({"conditions": is("Suspended")}), JobState::Suspended, None),
            (json!({}), json!({"conditions": is("FailureTarget")}), JobState::FailureTarget, Some("Because: of this")),
            (json!({}), json!({"active": 1, "ready": 1}), JobState::Running, None),
            (json!({}), json!({"active": 3, "ready": 1}), JobState::Running, Some("1 of 3 active pods are ready")),
            (json!({}), json!({"failed": 2}), JobState::Running, Some("2 pods failed (backoff limit 6), no pod runs")),
        ] {
            let shown = status.to_string();
            assert_eq!(seen(metadata, status), (expected, why.map(str::to_owned)), "{shown}");
        }
    }
}
