//! What runs in the cluster, beyond machines: pods, jobs and workloads, looked at and changed object by object.
//!
//! Machines have turns, gates and a lock; workloads have none of these. Their controllers do the work, so usher changes an object
//! and then watches what the controllers make of it.

mod inventory;
mod namespaces;
pub mod rollout;

pub use self::{inventory::inventory, namespaces::Namespaces};
