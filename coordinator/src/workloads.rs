//! What runs in the cluster, beyond machines: pods, jobs and workloads, looked at and changed object by object.
//!
//! Machines have turns, gates and a lock; workloads have none of these. Their controllers do the work, so usher changes an object
//! and then watches what the controllers make of it.

mod cron_jobs;
mod inventory;
mod jobs;
mod namespaces;
mod object;
mod pods;
mod read;
pub mod replace;
pub mod rollout;

pub use self::{
    cron_jobs::{CronJobFacts, CronJobRow, Difference, RunningJob, cron_jobs},
    inventory::inventory,
    jobs::{JobRow, JobState, jobs},
    namespaces::Namespaces,
    pods::{PodFilter, PodRow, pods},
};
