//! The requests that move a pod, and how many of them may be in flight.

mod pace;
mod request;
pub(crate) mod surge;

pub(crate) use self::{
    pace::Pace,
    request::{EvictionOptions, Outcome, evict, outcome},
};
