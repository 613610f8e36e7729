//! usher on the real bed: real systemd, D-Bus, mutual TLS, etcd, Kubernetes, kubelets and containers.
//!
//! Needs root, and the programs that `make bed` names if they are missing. All tests use the one bed that `make bed`
//! starts, or start it; they take turns, and each begins with a bed that is whole.

#![allow(clippy::print_stderr, reason = "tests of minutes say where they are")]

mod break_glass;
mod bus;
mod configuration;
mod door;
mod drain;
mod etcd;
mod failures;
mod first_hour;
mod helmfile;
mod inhibitor;
mod interruptions;
mod jobs;
mod local;
mod logged_in;
mod observe;
mod packages;
mod polkit;
mod proxy;
mod puppet;
mod rebalance;
mod reboot;
mod reexec;
mod refusals;
mod restart;
mod rollout;
mod run;
mod stand_in;
mod turn;
mod unit;
