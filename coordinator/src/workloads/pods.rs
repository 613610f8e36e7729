//! Pods, as an operator wants to see them first: whether each is well, and if not, why.

mod list;
pub(super) mod object;
pub(super) mod printer;
pub(super) mod why;

pub use self::list::{PodFilter, PodRow, pods};
