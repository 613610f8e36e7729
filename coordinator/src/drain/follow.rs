//! What becomes of the pods: watches of a node's pods, of budgets and of volumes, the ledger of a drain, and its deadline.

mod budgets;
mod deadline;
mod ledger;
mod pods;
mod volumes;
mod whereabouts;

pub use self::whereabouts::{Whereabouts, whereabouts};
pub(crate) use self::{
    budgets::{BudgetUpdate, BudgetWatches},
    deadline::Deadline,
    ledger::{Action, Ledger, Request, Strategy},
    pods::{PodUpdate, pod_updates},
    volumes::detached,
};
