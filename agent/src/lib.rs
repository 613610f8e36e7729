//! The agent of usher: one on each node. It restarts the node's allow-listed systemd units and reboots the node, over mutual
//! TLS and for listed callers alone, and proves by identities (InvocationID, boot id) what has happened.
//!
//! A call passes the rooms in this order: [`door`] (TLS, allow-list, role) → `service` (gRPC) → `operations` (checks, the
//! record on disk, one running operation) → [`machine`] (systemd, login1, probes). [`agent::Agent`] puts it together. [`local`] is
//! the other side of its Unix socket: what root on the node types.

pub mod access;
pub mod agent;
pub mod arguments;
mod audit;
pub mod binary;
pub mod caller;
pub mod certificate;
pub mod check;
pub mod config;
mod counters;
pub mod disk;
pub mod door;
mod host;
pub mod local;
pub mod logging;
pub mod machine;
mod metrics;
pub mod notify;
mod operations;
mod reexec;
mod refusal;
mod service;
pub mod sockets;
pub mod wait;
