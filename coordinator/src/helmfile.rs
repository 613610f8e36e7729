//! Rolling restarts of services that helmfile deploys: what stands against one, and carrying them out one after the other.
//!
//! helmfile and Helm do the work, by a command line that [`usher_core::helmfile`] makes. usher looks first, follows what they write,
//! and tells by Helm's own records what was rolled. It neither asks nor prints.

mod folder;
mod look;
mod others;
mod plan;
mod releases;
mod report;
mod roll;

pub use self::{
    plan::{Access, Planned, ServicePlan, plan},
    releases::{ReleaseId, ReleasePlan},
    report::{ReleaseReport, RollReport, ServiceReport, State},
    roll::{Roll, Told},
};
