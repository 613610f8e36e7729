//! usher: restarts and reboots the machines of a Kubernetes cluster the polite way.
//!
//! What usher decides is in `usher-core`; here are the edges, and carrying it out. One way leads through, with no way back up:
//!
//! ```text
//! cli → commands → operation (world: facts → plan, under the lock) → runner → steps → { cluster, drain, rebalance | agents, tasks | exec }
//!                                                                       → events → { progress | report | report_page }
//! ```
//!
//! kube's types stop at [`cluster`], [`drain`], [`rebalance`] and [`workloads`], tonic's at [`agents`] (and `traces`, if built in).

pub mod agents;
pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod drain;
pub mod exec;
mod files;
pub mod helmfile;
pub mod interrupt;
mod left_behind;
pub mod metrics;
pub mod operation;
pub mod output;
pub mod problem;
pub mod progress;
pub mod rebalance;
pub mod report;
pub mod report_page;
pub mod rotation;
pub mod runner;
pub mod show;
pub mod site_file;
pub mod steps;
mod story;
pub mod switch;
mod tasks;
#[cfg(feature = "otel")]
pub mod traces;
mod wait;
pub mod workloads;
pub mod world;

pub use usher_core::{event, exit, facts, plan, request, site, text};
