//! Rolling restarts of Helmfile services: what the site says of them, the command lines that a service gets, and what helmfile's list
//! and Helm's records say about it.
//!
//! A roll restarts what runs. It neither installs nor removes a release, and it begins only where Helm has finished the operation
//! before.

mod listing;
mod process;
mod record;
mod settings;

pub use self::{
    listing::{Listed, is_unknown},
    process::{Concern, Process, concern},
    record::{Obstacle, Record, Revision, obstacle},
    settings::Helmfile,
};
