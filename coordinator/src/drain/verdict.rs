//! What will become of each pod of a node, before anything is changed: the filters, the budgets and the place of its successor,
//! put together, and confirmed by dry runs.

mod budget_ledger;
mod budgets;
mod confirm;
mod fit;
mod node;
mod quantity;
mod selection;
mod survey;

pub use self::confirm::Confirm;
pub(crate) use self::{
    budget_ledger::BudgetLedger,
    confirm::confirm,
    fit::{NodeCapacity, PodRequirements},
    node::NodeAssessment,
    survey::{Survey, Surveys},
};
