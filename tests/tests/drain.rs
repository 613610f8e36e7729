//! Drains against the in-memory API server, in paused time: what is evicted, what is waited for, what is said.
//!
//! One binary for all of it: linking one costs more than running them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test's own functions cannot do fails the test"
)]

#[path = "drain/budgets.rs"]
mod budgets;
#[path = "drain/cluster.rs"]
mod cluster;
#[path = "drain/escalation.rs"]
mod escalation;
#[path = "drain/evictions.rs"]
mod evictions;
#[path = "drain/faults.rs"]
mod faults;
#[path = "drain/filters.rs"]
mod filters;
#[path = "drain/operation.rs"]
mod operation;
#[path = "drain/pace.rs"]
mod pace;
#[path = "drain/policy.rs"]
mod policy;
#[path = "drain/surge.rs"]
mod surge;
#[path = "tables/cases.rs"]
mod tables;
#[path = "drain/verdicts.rs"]
mod verdicts;
#[path = "drain/volumes.rs"]
mod volumes;

use usher_testkit::apiserver::ApiServer;

/// In real time, as on a real server: some rows are about the clock on the wall.
#[tokio::test]
async fn kubectls_filters_hold() {
    tables::filters::hold(&ApiServer::bare().client()).await;
}

#[tokio::test]
async fn each_answer_to_an_eviction_has_its_outcome() {
    tables::outcomes::hold(&ApiServer::bare().client()).await;
}
