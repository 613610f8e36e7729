//! Rollouts of Deployments, StatefulSets and DaemonSets: restarts, waiting for them, and taking them back.
//!
//! The rooms, each of which imports only from those before it: `kind`, `workload` (plain data), `standing` (kubectl's rules of
//! completion), `places`, `find`; then `budgets` and `plan`; `change` and `undo` (what is written); `pods` (why a
//! pod is not available), `updates` (watches), `outcome`, `ledger` (the rules of a run) and `run`, its loop.

mod budgets;
mod change;
mod find;
#[cfg(test)]
pub(crate) mod fixtures;
mod kind;
mod ledger;
mod outcome;
mod places;
mod plan;
mod pods;
mod run;
mod standing;
mod undo;
mod updates;
mod workload;

pub(super) use self::find::all;
pub use self::{
    change::Change,
    find::{FindError, find},
    kind::{Kind, Wanted},
    ledger::Settings,
    outcome::{Ended, Entry, Event, Named, Outcome, Stop},
    places::Places,
    plan::{Action, Row, plan},
    pods::reasons,
    run::Run,
    standing::{Standing, standing},
    undo::undo,
    workload::{Status, Strategy, Workload, WorkloadId},
};
