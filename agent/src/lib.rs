//! The agent of usher: one on each node. It restarts the node's allow-listed systemd units and reboots the node, over mutual
//! TLS and for listed callers alone, and proves by identities (InvocationID, boot id) what has happened.
//!
//! A call goes one way through it: [`listener`] (TLS) → [`guard`] (allow-list) → [`service`] (gRPC) → [`operations`] (checks,
//! the record on disk, one running operation) → [`systemd`], [`login`], [`probe`]. [`agent::Agent`] puts it together.

pub mod access;
pub mod agent;
mod audit;
pub mod bus;
pub mod config;
pub mod guard;
pub mod identity;
pub mod journal;
pub mod listener;
pub mod live;
pub mod logging;
pub mod login;
pub mod node;
pub mod notify;
pub mod operation;
pub mod operations;
pub mod probe;
pub mod refusal;
pub mod service;
pub mod store;
pub mod stream;
pub mod systemd;
pub mod tls;

/// An error and its sources in one line: `cannot read a.toml: No such file or directory`.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        // Some of the crates below repeat their source in their own words.
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    words
}
