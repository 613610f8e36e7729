//! What usher decides, and from what: facts, a site, a request, a plan, gates. Pure functions over plain data, without
//! Kubernetes, gRPC, sockets or files, so that the compiler keeps decisions apart from what they are carried out with.
//!
//! ```text
//! text, exit → site → facts → plan (steps, gates, sequence) → event
//! ```

pub mod drain;
pub mod event;
pub mod exit;
pub mod facts;
pub mod plan;
pub mod site;
pub mod text;
