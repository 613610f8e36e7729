//! Which pods go, which stay, and which forbid the drain: kubectl's filters, in kubectl's order and words.
//!
//! The first filter that keeps a pod ends the chain; of the warnings of those that let it pass, the last one counts. So a
//! warning that kubectl loses is lost here too.

use std::ops::ControlFlow::{self, Break, Continue};

use jiff::Timestamp;
use usher_core::drain::DrainOptions;

use super::{
    pods::{Phase, PodFacts},
    policy,
};
use crate::drain::report::StayReason;

/// kubectl's reasons for refusing a pod.
const DAEMON_SET: &str = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
const LOCAL_STORAGE: &str = "Pods with local storage (use --delete-emptydir-data to override)";
const UNMANAGED: &str = "Pods that declare no controller (use --force to override)";

/// The reason of usher's own filter.
const PROTECTED: &str = "Pods in protected namespaces (use --allow-namespace to override)";

/// kubectl's warnings.
const DAEMON_SET_IGNORED: &str = "ignoring DaemonSet-managed Pods";
const LOCAL_STORAGE_DELETED: &str = "deleting Pods with local storage";
const UNMANAGED_DELETED: &str = "deleting Pods that declare no controller";

/// What the filters decide about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filtered {
    /// It is evicted.
    Evict { warning: Option<String> },
    /// It is left alone.
    Stay { reason: StayReason, warning: Option<String> },
    /// It forbids the drain.
    Refuse { message: String, cause: RefusalCause },
}

/// Why a pod forbids the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalCause {
    /// Its DaemonSet is not to be ignored.
    DaemonSet,
    /// Its DaemonSet no longer exists.
    DaemonSetGone,
    /// The API does not tell whether its DaemonSet exists.
    DaemonSetUnknown,
    /// It has an `emptyDir`.
    LocalStorage,
    /// It has no controller.
    Unmanaged,
    /// The site protects its namespace.
    Protected,
}

/// What the API says about the DaemonSet that a pod claims as its controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DaemonSet {
    Exists,
    /// With the API's message.
    Gone(String),
    /// With the API's message.
    Unknown(String),
}

/// One filter's decision: pass the pod on, perhaps with a warning, or keep it.
type Decision = ControlFlow<Filtered, Option<String>>;

/// `daemon_set` describes the pod's controlling DaemonSet, if it has one.
pub(crate) fn filter(
    pod: &PodFacts,
    daemon_set: Option<&DaemonSet>,
    options: &DrainOptions,
    now: Timestamp,
) -> Filtered {
    // Before kubectl's filters, so that a skipped pod cannot forbid anything.
    if policy::skips(&options.policy, pod) {
        return Filtered::Stay { reason: StayReason::Policy, warning: None };
    }
    let decisions = [
        long_deleted(pod, options, now),
        daemon_set_pod(pod, daemon_set, options),
        mirror(pod),
        local_storage(pod, options),
        unmanaged(pod, options),
    ];
    let mut last_warning = None;
    for decision in decisions {
        match decision {
            Continue(warning) => last_warning = warning,
            Break(kept) => return kept,
        }
    }
    // After kubectl's, where kubectl has its hook for additional filters.
    if policy::protects(&options.policy, pod) {
        return Filtered::Refuse { message: PROTECTED.into(), cause: RefusalCause::Protected };
    }
    Filtered::Evict { warning: last_warning }
}

fn refuse(message: &str, cause: RefusalCause) -> Decision {
    Break(Filtered::Refuse { message: message.to_owned(), cause })
}

fn long_deleted(pod: &PodFacts, options: &DrainOptions, now: Timestamp) -> Decision {
    match options.skip_wait_for_delete {
        Some(limit) if pod.is_overdue(limit, now) => {
            Break(Filtered::Stay { reason: StayReason::LongDeleted, warning: None })
        }
        _ => Continue(None),
    }
}

fn daemon_set_pod(pod: &PodFacts, daemon_set: Option<&DaemonSet>, options: &DrainOptions) -> Decision {
    if pod.daemon_set().is_none() || pod.phase == Phase::Finished {
        return Continue(None);
    }
    match daemon_set {
        Some(DaemonSet::Gone(message)) if options.force => Continue(Some(message.clone())),
        Some(DaemonSet::Gone(message)) => refuse(message, RefusalCause::DaemonSetGone),
        Some(DaemonSet::Unknown(message)) => refuse(message, RefusalCause::DaemonSetUnknown),
        Some(DaemonSet::Exists) | None if options.ignore_daemon_sets => {
            Break(Filtered::Stay { reason: StayReason::DaemonSet, warning: Some(DAEMON_SET_IGNORED.into()) })
        }
        Some(DaemonSet::Exists) | None => refuse(DAEMON_SET, RefusalCause::DaemonSet),
    }
}

fn mirror(pod: &PodFacts) -> Decision {
    if pod.is_mirror { Break(Filtered::Stay { reason: StayReason::Mirror, warning: None }) } else { Continue(None) }
}

fn local_storage(pod: &PodFacts, options: &DrainOptions) -> Decision {
    if !pod.has_empty_dir || pod.phase == Phase::Finished {
        Continue(None)
    } else if options.delete_empty_dir_data {
        Continue(Some(LOCAL_STORAGE_DELETED.into()))
    } else {
        refuse(LOCAL_STORAGE, RefusalCause::LocalStorage)
    }
}

fn unmanaged(pod: &PodFacts, options: &DrainOptions) -> Decision {
    if pod.owner.is_some() || pod.phase == Phase::Finished {
        Continue(None)
    } else if options.force {
        Continue(Some(UNMANAGED_DELETED.into()))
    } else {
        refuse(UNMANAGED, RefusalCause::Unmanaged)
    }
}

#[cfg(test)]
mod tests;
