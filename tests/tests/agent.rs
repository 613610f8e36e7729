//! The agent over real gRPC and mutual TLS on loopback, with a fake systemd and login1 below it.
//!
//! One binary for all of it: linking one costs more than running them all.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // clippy.toml allows them in #[test] functions alone

#[path = "agent/bench.rs"]
mod bench;
#[path = "agent/door.rs"]
mod door;
#[path = "agent/info.rs"]
mod info;
#[path = "agent/probed.rs"]
mod probed;
#[path = "agent/reboot.rs"]
mod reboot;
#[path = "agent/refusals.rs"]
mod refusals;
#[path = "agent/resume.rs"]
mod resume;
#[path = "agent/rotation.rs"]
mod rotation;
#[path = "agent/store.rs"]
mod store;
#[path = "agent/streams.rs"]
mod streams;
#[path = "agent/units.rs"]
mod units;
