//! How far a rollout has come, by kubectl's rules. No I/O.
//!
//! Source: `kubectl/pkg/polymorphichelpers/rollout_status.go`.

use usher_core::text;

use super::{
    Kind,
    workload::{Strategy, Workload},
};

/// How far a rollout has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// All pods are of the present template, and available.
    Complete,
    /// The controller is at work; what is missing, in a few words.
    Rolling(String),
    /// The controller has given up.
    Failed(String),
    /// Nobody works on it although pods are old (it is paused, or its strategy is OnDelete); what is missing.
    ByHand(String),
}

/// How far the rollout of the workload's present template has come.
pub fn standing(workload: &Workload) -> Standing {
    match workload.id.kind {
        Kind::Deployment => deployment(workload),
        Kind::StatefulSet => stateful_set(workload),
        Kind::DaemonSet => daemon_set(workload),
    }
}

fn deployment(workload: &Workload) -> Standing {
    let Workload { generation, replicas, status, .. } = workload;
    if status.observed < *generation {
        return unseen();
    }
    if let Some(message) = &status.deadline_exceeded {
        let after = workload.deadline.map(|deadline| format!(" within {} s", deadline.as_secs())).unwrap_or_default();
        let message = if message.is_empty() { "ProgressDeadlineExceeded" } else { message };
        return Standing::Failed(format!("no progress{after}: {message}"));
    }
    if status.updated < *replicas {
        let new = format!("{} of {replicas} pods are new", status.updated);
        return if workload.paused { Standing::ByHand(format!("paused: {new}")) } else { Standing::Rolling(new) };
    }
    if status.pods > status.updated {
        let old = usize::try_from(status.pods - status.updated).unwrap_or_default();
        return Standing::Rolling(format!("{} still there", text::count(old, "old pod")));
    }
    available(status.available, status.updated)
}

fn stateful_set(workload: &Workload) -> Standing {
    let Workload { generation, replicas, status, strategy, .. } = workload;
    if status.observed == 0 || status.observed < *generation {
        return unseen();
    }
    let Strategy::RollingUpdate { partition, .. } = strategy else { return by_hand(workload) };
    if status.ready < *replicas {
        return Standing::Rolling(format!("{} of {replicas} pods are ready", status.ready));
    }
    let to_update = (replicas - partition).max(0);
    if *partition > 0 {
        return match status.updated >= to_update {
            true => Standing::Complete,
            false => Standing::Rolling(format!("{} of {to_update} pods are new", status.updated)),
        };
    }
    let (current, update) = &status.revisions;
    if current == update || status.updated >= *replicas {
        return Standing::Complete;
    }
    Standing::Rolling(format!("{} of {replicas} pods are new", status.updated))
}

fn daemon_set(workload: &Workload) -> Standing {
    let Workload { generation, replicas, status, strategy, .. } = workload;
    if status.observed < *generation {
        return unseen();
    }
    if *strategy == Strategy::OnDelete {
        return by_hand(workload);
    }
    if status.updated < *replicas {
        return Standing::Rolling(format!("{} of {replicas} pods are new", status.updated));
    }
    available(status.available, *replicas)
}

fn unseen() -> Standing {
    Standing::Rolling("its controller has not seen the change yet".to_owned())
}

fn available(available: i32, wanted: i32) -> Standing {
    match available >= wanted {
        true => Standing::Complete,
        false => Standing::Rolling(format!("{available} of {wanted} pods are available")),
    }
}

/// Of OnDelete kubectl only says that it cannot tell.
fn by_hand(workload: &Workload) -> Standing {
    let (replicas, updated) = (workload.replicas, workload.status.updated);
    match updated >= replicas {
        true => Standing::Complete,
        false => Standing::ByHand(format!(
            "OnDelete: {updated} of {replicas} pods are new, the others change when they are deleted"
        )),
    }
}

#[cfg(test)]
mod tests;
