//! Drains against the in-memory API server, in paused time: what is evicted, what is waited for, what is said.
//!
//! One binary for all of it: linking one costs more than running them all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what a test's own functions cannot do fails the test")]

#[path = "drain/budgets.rs"]
mod budgets;
#[path = "drain/cluster.rs"]
mod cluster;
#[path = "drain/evictions.rs"]
mod evictions;
#[path = "drain/faults.rs"]
mod faults;
#[path = "drain/filters.rs"]
mod filters;
#[path = "drain/pace.rs"]
mod pace;
#[path = "drain/policy.rs"]
mod policy;
#[path = "drain/verdicts.rs"]
mod verdicts;
