//! usher: restarts and reboots the machines of a Kubernetes cluster the polite way.
//!
//! One way leads through the coordinator, with no way back up:
//!
//! ```text
//! cli → commands → world (facts → inventory) → plan (pure) → runner → steps → { cluster | node } → events → { progress | report }
//! ```
//!
//! `leader`, `plan`, `inventory` and `site` know neither kube nor tonic: kube's types stop at [`cluster`] and [`drain`],
//! tonic's at [`node`].

pub mod cli;
pub mod cluster;
pub mod commands;
pub mod drain;
pub mod exec;
pub mod interrupt;
pub mod node;
pub mod operation;
pub mod output;
pub mod problem;
pub mod progress;
pub mod report;
pub mod rotation;
pub mod runner;
pub mod show;
pub mod site_file;
pub mod steps;
mod tasks;
pub mod world;

pub use usher_core::{event, exit, facts as inventory, facts::leader, plan, request, site, text as words};
