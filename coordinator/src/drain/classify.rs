//! Which pods go, which stay, and which forbid the drain: kubectl's filters, in kubectl's order and words.
//!
//! The first filter that keeps a pod ends the chain; of the warnings of those that let it go, the last one counts. So a
//! warning that kubectl loses is lost here too.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    DrainOptions, PodRef, StayReason,
    pods::{Phase, PodFacts},
    policy,
};

/// kubectl's words for why a pod forbids the drain.
const DAEMON_SET_FORBIDS: &str = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
const LOCAL_STORAGE_FORBIDS: &str = "Pods with local storage (use --delete-emptydir-data to override)";
const UNMANAGED_FORBIDS: &str = "Pods that declare no controller (use --force to override)";

/// The same for usher's own filter.
const PROTECTED_FORBIDS: &str = "Pods in protected namespaces (use --allow-namespace to override)";

/// kubectl's words for what is done all the same.
const DAEMON_SET_IGNORED: &str = "ignoring DaemonSet-managed Pods";
const LOCAL_STORAGE_DELETED: &str = "deleting Pods with local storage";
const UNMANAGED_DELETED: &str = "deleting Pods that declare no controller";

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is evicted.
    Evict { warning: Option<String> },
    /// It is left alone.
    Stay { reason: StayReason, warning: Option<String> },
    /// It forbids the drain.
    Refuse { message: String, cause: Forbids },
}

/// What about a pod forbids the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forbids {
    /// It is of a DaemonSet, and those are not to be left alone.
    DaemonSet,
    /// It is of a DaemonSet that is no more.
    DaemonSetGone,
    /// It is of a DaemonSet of which the API tells nothing.
    DaemonSetUnknown,
    /// It has an `emptyDir`.
    LocalStorage,
    /// Nothing would bring it back.
    Unmanaged,
    /// The site protects its namespace.
    Protected,
}

fn refuse(message: &str, cause: Forbids) -> Opinion {
    Opinion::Keep(Verdict::Refuse { message: message.to_owned(), cause })
}

/// What the API says about the DaemonSet that a pod claims as its controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DaemonSet {
    Exists,
    /// The API's words for "not found".
    Gone(String),
    /// The API's words for anything else.
    Unknown(String),
}

/// One filter's opinion.
enum Opinion {
    Evict(Option<String>),
    Keep(Verdict),
}

/// `daemon_set` tells about the pod's controlling DaemonSet, if it has one.
pub(super) fn verdict(
    pod: &PodFacts,
    daemon_set: Option<&DaemonSet>,
    options: &DrainOptions,
    now: Timestamp,
) -> Verdict {
    // Before kubectl's filters, so that a pod that is to be left alone forbids nothing.
    if policy::skips(&options.policy, pod) {
        return Verdict::Stay { reason: StayReason::Policy, warning: None };
    }
    let filters = [
        long_deleted(pod, options, now),
        daemon_set_pod(pod, daemon_set, options),
        mirror(pod),
        local_storage(pod, options),
        unmanaged(pod, options),
    ];
    let mut last_warning = None;
    for opinion in filters {
        match opinion {
            Opinion::Evict(warning) => last_warning = warning,
            Opinion::Keep(verdict) => return verdict,
        }
    }
    // Behind kubectl's, where its own hook for more filters is.
    if policy::protects(&options.policy, pod) {
        return Verdict::Refuse { message: PROTECTED_FORBIDS.into(), cause: Forbids::Protected };
    }
    Verdict::Evict { warning: last_warning }
}

fn long_deleted(pod: &PodFacts, options: &DrainOptions, now: Timestamp) -> Opinion {
    match options.skip_wait_for_delete {
        Some(limit) if pod.is_overdue(limit, now) => {
            Opinion::Keep(Verdict::Stay { reason: StayReason::LongDeleted, warning: None })
        }
        _ => Opinion::Evict(None),
    }
}

fn daemon_set_pod(pod: &PodFacts, daemon_set: Option<&DaemonSet>, options: &DrainOptions) -> Opinion {
    if pod.daemon_set().is_none() || pod.phase == Phase::Finished {
        return Opinion::Evict(None);
    }
    match daemon_set {
        Some(DaemonSet::Gone(words)) if options.force => Opinion::Evict(Some(words.clone())),
        Some(DaemonSet::Gone(words)) => refuse(words, Forbids::DaemonSetGone),
        Some(DaemonSet::Unknown(words)) => refuse(words, Forbids::DaemonSetUnknown),
        Some(DaemonSet::Exists) | None if options.ignore_daemon_sets => {
            Opinion::Keep(Verdict::Stay { reason: StayReason::DaemonSet, warning: Some(DAEMON_SET_IGNORED.into()) })
        }
        Some(DaemonSet::Exists) | None => refuse(DAEMON_SET_FORBIDS, Forbids::DaemonSet),
    }
}

fn mirror(pod: &PodFacts) -> Opinion {
    if pod.is_mirror {
        Opinion::Keep(Verdict::Stay { reason: StayReason::Mirror, warning: None })
    } else {
        Opinion::Evict(None)
    }
}

fn local_storage(pod: &PodFacts, options: &DrainOptions) -> Opinion {
    if !pod.has_empty_dir || pod.phase == Phase::Finished {
        Opinion::Evict(None)
    } else if options.delete_empty_dir_data {
        Opinion::Evict(Some(LOCAL_STORAGE_DELETED.into()))
    } else {
        refuse(LOCAL_STORAGE_FORBIDS, Forbids::LocalStorage)
    }
}

fn unmanaged(pod: &PodFacts, options: &DrainOptions) -> Opinion {
    if pod.owner.is_some() || pod.phase == Phase::Finished {
        Opinion::Evict(None)
    } else if options.force {
        Opinion::Evict(Some(UNMANAGED_DELETED.into()))
    } else {
        refuse(UNMANAGED_FORBIDS, Forbids::Unmanaged)
    }
}

/// Pods by what is said about them, one line each: `MESSAGE: ns/a, ns/b`.
pub(super) fn grouped<'p>(said: impl IntoIterator<Item = (&'p PodRef, &'p str)>) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (pod, message) in said {
        groups.entry(message).or_default().push(pod.to_string());
    }
    groups.into_iter().map(|(message, pods)| format!("{message}: {}", pods.join(", "))).collect()
}

#[cfg(test)]
mod tests;
