//! CronJobs: what they run next, and what of theirs still runs with an earlier template.

pub(super) mod facts;
pub(super) mod list;
pub(super) mod manual;
pub(super) mod object;
mod schedule;
pub(super) mod template;

pub use self::{
    facts::CronJobFacts,
    list::{CronJobRow, RunningJob, cron_jobs},
    template::Difference,
};
