//! Empties a node the polite way: by eviction, so that every disruption budget is honoured.
//!
//! What goes and what stays is decided by kubectl's own filters (`classify`, pure). Each eviction carries the UID
//! of the pod that was looked at, so that a successor of the same name is never hit. One LIST and one WATCH follow the
//! node's pods; a pod that was bound by a scheduler with a stale cache after the cordon is drained as well; at the end the
//! node is listed once more, and only an empty list is a drained node. The deadline ends everything, calls in flight
//! included.
//!
//! An apiserver that is restarted meanwhile is waited for: a drain often runs beside a roll of the control plane.

mod budget_watch;
mod budgets;
mod classify;
mod daemon_sets;
mod deadline;
mod display;
mod drainer;
mod error;
mod evict;
mod fit;
#[cfg(test)]
mod fixtures;
mod follow;
mod ledger;
mod list;
mod outlook;
mod pace;
mod pods;
mod policy;
mod preview;
mod report;
mod run;
mod surge;
mod survey;
mod verdicts;
mod volumes;
mod watching;
mod whereabouts;

pub use display::never_lines;
pub use drainer::{Drainer, Refill};
pub use error::DrainError;
pub use outlook::{Outlook, PodOutlook};
pub use pods::{Owner, PodRef};
pub use preview::{BudgetPreview, Confirm, DrainPreview};
pub use report::{
    BlockedPod, DrainProgress, Drained, EscalatedPod, FailedPod, MovedPod, RefusedPod, Remains, StayReason, StayingPod,
};
pub use usher_core::drain::{DrainOptions, DrainPolicy, Escalation, PodSelector};
pub use whereabouts::{Whereabouts, whereabouts};

/// The limit of a page of a list, if there are pages.
fn page(options: &DrainOptions) -> Option<u32> {
    (options.chunk_size > 0).then_some(options.chunk_size)
}

/// What is asked of the server for each pod.
fn manner(options: &DrainOptions) -> evict::Manner {
    evict::Manner { grace_seconds: options.grace_seconds, delete: options.disable_eviction, dry_run: false }
}
