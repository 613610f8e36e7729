//! What will become of each pod of a node, before anything is changed: the filters, the budgets and the place of its successor,
//! put together, and confirmed by dry runs.

mod attachments;
mod budget_ledger;
mod budgets;
mod confirm;
mod fit;
mod homes;
mod node;
mod quantity;
mod selection;
mod survey;
mod surveys;
mod volumes;

pub use self::confirm::Confirm;
pub(crate) use self::{
    attachments::Attachments,
    budget_ledger::BudgetLedger,
    confirm::confirm,
    fit::{NodeCapacity, PodRequirements},
    node::{Assessment, NodePods},
    survey::Survey,
    surveys::Surveys,
    volumes::Volumes,
};
