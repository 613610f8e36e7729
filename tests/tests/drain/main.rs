//! Drains against the in-memory API server, in paused time: what is evicted, what is waited for, what is said.
//!
//! One binary for all of it: linking one costs more than running them all.
mod budgets;
mod cluster;
mod escalation;
mod evictions;
mod faults;
mod filters;
mod operation;
mod pace;
mod places;
mod policy;
mod rebalance;
mod rolls;
mod surge;
mod verdicts;
mod volumes;

use usher_testkit::{apiserver::ApiServer, rig::tables};

/// In real time, as on a real server: some rows are about the clock on the wall.
#[tokio::test]
async fn kubectls_filters_hold() {
    tables::filters::hold(&ApiServer::bare().client()).await;
}

#[tokio::test]
async fn each_answer_to_an_eviction_has_its_outcome() {
    tables::outcomes::hold(&ApiServer::bare().client()).await;
}
