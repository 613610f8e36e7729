//! Pods, jobs and cron jobs on the in-memory API server, in paused time: what is shown of them, what is deleted and started.

mod cluster;
mod delete;
mod lists;
mod refresh;
mod replaced;
