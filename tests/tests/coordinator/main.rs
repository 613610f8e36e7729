//! Whole operations, from the first facts to the release of the lock: usher's library on the API server in memory and on real
//! agents, in paused time.
//!
//! What the world sees is asserted by the site's journal, what the operator sees by what was told. All goes through
//! [`usher_testkit::rig::site`], so that steps and runner can be rebuilt without touching a test.

mod doubts;
mod etcd;
mod fence;
mod fleet;
mod handover;
mod interrupts;
mod pace;
mod pool;
mod proof;
mod rebalance;
mod reboot;
mod restart;
mod rights;
mod undo;
mod versions;
mod wanted;
