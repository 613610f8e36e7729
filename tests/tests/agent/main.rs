//! The agent over real gRPC and mutual TLS on loopback, with a fake systemd and login1 below it.
//!
//! One binary for all of it: linking one costs more than running them all.

mod admission;
mod audit;
mod bus;
mod check;
mod disk;
mod door;
mod etcd;
mod flood;
mod info;
mod local;
mod probed;
mod reboot;
mod refusals;
mod replaced;
mod resume;
mod revocation;
mod rotation;
mod shutdowns;
mod start_again;
mod store;
mod streams;
mod unannounced;
mod units;
