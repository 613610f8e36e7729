//! Deleting jobs for good, and starting new ones in their place.
//!
//! A job is deleted in the foreground: the API server keeps it, marked as going, until the garbage collector has deleted its
//! pods. So its end is the end of its pods as well, nobody can make a job of the same name meanwhile, and other operators see that
//! it is going. In the background it would be gone at once, and its pods some time later; with no policy at all the API
//! server leaves the pods of a job alone and running.

mod carry_out;
mod gone;
mod plan;
mod refresh;
mod remove;
mod requests;

pub use self::{
    carry_out::{Ended, Options, Progress, Trouble, carry_out},
    plan::{JobPlan, JobRef, JobToDelete, KeptJob, LookupError, PodOfJob, Replacement, Start},
    refresh::{CronJobs, refresh},
    remove::removal,
    requests::{Refusal, try_out},
};
