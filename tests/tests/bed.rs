//! usher on the real bed: real systemd, D-Bus, mutual TLS, etcd, Kubernetes, kubelets and containers.
//!
//! Needs root, and the programs that `make bed` names if they are missing. All tests use the one bed that `make bed`
//! starts, or start it; they take turns, and each begins with a bed that is whole.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "what helps a test may fail it, and say so"
)]

#[path = "bed/break_glass.rs"]
mod break_glass;
#[path = "bed/door.rs"]
mod door;
#[path = "bed/drain.rs"]
mod drain;
#[path = "bed/failures.rs"]
mod failures;
#[path = "bed/interruptions.rs"]
mod interruptions;
#[path = "bed/observe.rs"]
mod observe;
#[path = "bed/proxy.rs"]
mod proxy;
#[path = "bed/reboot.rs"]
mod reboot;
#[path = "bed/refusals.rs"]
mod refusals;
#[path = "bed/restart.rs"]
mod restart;
#[path = "bed/run.rs"]
mod run;
#[path = "bed/turn.rs"]
mod turn;
