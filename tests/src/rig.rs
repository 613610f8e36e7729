//! What suites share: agents and whole sites put together in this process, and the tables that two servers must fulfil.

pub mod agent;
pub mod component;
pub mod greedy;
pub mod site;
pub mod stored;
pub mod streams;
pub mod tables;
pub mod until;
