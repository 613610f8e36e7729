//! The agent over real gRPC and mutual TLS on loopback, with a fake systemd and login1 below it.
//!
//! One binary for all of it: linking one costs more than running them all.

mod audit;
mod door;
mod flood;
mod info;
mod probed;
mod reboot;
mod refusals;
mod resume;
mod revocation;
mod rotation;
mod store;
mod streams;
mod units;
