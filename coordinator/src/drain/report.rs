//! What a drain reports: data for callers and for JSON, and its text.

mod error;
mod outcome;
mod pod;
mod text;
mod verdict;

pub(crate) use self::text::grouped;
pub use self::{
    error::DrainError,
    outcome::{
        BlockedPod, DrainProgress, Drained, EscalatedPod, FailedPod, MovedPod, RefusedPod, Remains, StayReason,
        StayingPod,
    },
    pod::{Owner, PodRef},
    text::never_lines,
    verdict::{BudgetPreview, DrainPreview, PodVerdict, UnusedVolume, Verdict},
};
