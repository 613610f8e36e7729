//! What usher decides, and from what: facts, a site, a request, a plan, gates. Pure functions over plain data, without
//! Kubernetes, gRPC, sockets or files, so that the compiler keeps decisions apart from what they are carried out with.
//!
//! ```text
//! text, seconds, exit, drain, facts, helmfile, target, schedule, rebalance → nodeset → problem, event, staging, versions → site → draft, request
//!     → rights, plan (steps, gates) → doctor, operation
//! ```

pub mod doctor;
pub mod draft;
pub mod drain;
pub mod event;
pub mod exit;
pub mod facts;
pub mod helmfile;
pub mod nodeset;
pub mod operation;
pub mod plan;
pub mod problem;
pub mod rebalance;
pub mod request;
pub mod rights;
pub mod schedule;
pub mod seconds;
pub mod site;
pub mod staging;
pub mod target;
pub mod text;
pub mod versions;
