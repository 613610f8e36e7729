//! Empties a node the polite way: by eviction, so that every disruption budget is honoured.
//!
//! kubectl's own filters decide which pods go and which stay. Each eviction carries the UID of the pod that the filters saw, so
//! that it never hits a successor of the same name. One LIST and one WATCH follow the node's pods; a pod that a scheduler with a
//! stale cache binds after the cordon is drained as well; at the end the node is listed once more, and only an empty list is a
//! drained node. The deadline ends everything, requests in flight included.
//!
//! An apiserver that restarts in the meantime is no failure: a drain often runs beside a roll of the control plane.
//!
//! The rooms, each of which imports only from those before it: `report` (data and text), `select` (pods, filters, policy),
//! `evict` (requests and their pace), `verdict` (what would happen), `follow` (watches, the ledger, the deadline); then `run`, the
//! loop of one drain, and `drainer`, the entry point. [`crate::rebalance`] uses the first five as well.

mod drainer;
pub(crate) mod evict;
pub(crate) mod follow;
pub(crate) mod report;
mod run;
pub(crate) mod select;
pub(crate) mod verdict;

pub use usher_core::drain::{DrainOptions, DrainPolicy, Escalation, PodSelector};

pub use self::{
    drainer::Drainer,
    follow::{Whereabouts, whereabouts},
    report::{
        BlockedPod, BudgetPreview, DrainError, DrainPreview, DrainProgress, Drained, EscalatedPod, FailedPod, MovedPod,
        Owner, PodRef, PodVerdict, RefusedPod, Remains, StayReason, StayingPod, UnusedVolume, Verdict, never_lines,
    },
    verdict::Confirm,
};
