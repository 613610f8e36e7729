//! Plans: what to do, in which order, and what forbids it. Pure: from a request and an [`Inventory`] to a value that can be
//! printed and stored.
//!
//! A plan is made before anything is touched. Where the order follows facts that change, it is made again before each turn,
//! without the turns that are done, from facts about the next machine; its first turn is the next one. So the order follows
//! the leaders, and each gate is asked right before the machine that it protects.

mod etcd;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod gates;
mod left;
mod obstacles;
mod rebalance;
mod reboot;
mod restart;
mod sequence;
pub mod step;
#[cfg(test)]
mod tests;
mod text;
mod turn;
mod warnings;

use serde::{Deserialize, Serialize};

use self::{
    gates::{Moment, Subject},
    step::Step,
    turn::Steps,
};
pub use self::{left::Left, obstacles::obstacles, turn::Turn};
use crate::{
    event::{self, PlannedTurn},
    facts::{Inventory, Machine, Scope},
    problem::Problem,
    request::{Kind, Request},
    site::Site,
};
pub use crate::{
    schedule::{Begin, Next, Pace, Slot, Stage, Wait, next},
    target::Target,
};

/// What to do, turn by turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub turns: Vec<Turn>,
    #[serde(flatten)]
    pub pace: Pace,
    /// What else the plan goes by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the operator should know before saying yes.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The plan as it is told before anybody is asked. `text` is what people read of it.
    pub fn as_event(&self, text: Vec<String>) -> event::Kind {
        let turn = |turn: &Turn| PlannedTurn {
            target: turn.target.clone(),
            leads: turn.leads.clone(),
            steps: turn.steps.iter().map(|step| step.word().to_owned()).collect(),
        };
        event::Kind::Planned { turns: self.turns.iter().map(turn).collect(), warnings: self.warnings.clone(), text }
    }
}

/// Plans what `request` asks for, and asks the gates of every machine.
///
/// # Errors
///
/// The first gate that is closed, or a machine or component that nobody knows.
pub fn make(request: &Request, facts: &Inventory, site: &Site) -> Result<Plan, Problem> {
    let mut plan = draw(request, None, facts, site)?;
    plan.warnings.extend(warnings::of(request, &plan.turns, facts, site));
    for turn in &plan.turns {
        ask(Moment::Plan, request, turn, facts, site)?;
    }
    if let Some(next) = plan.turns.first() {
        ask(Moment::Turn, request, next, facts, site)?;
    }
    Ok(plan)
}

/// Plans what is left of a plan, from facts about the next machine and, if control planes are next, about all of those. The
/// first turn is the next one; only its gates are asked.
///
/// # Errors
///
/// As [`make`].
pub fn again(request: &Request, left: &[Turn], facts: &Inventory, site: &Site) -> Result<Plan, Problem> {
    let plan = draw(request, Some(left), facts, site)?;
    if let Some(next) = plan.turns.first() {
        ask(Moment::Turn, request, next, facts, site)?;
    }
    Ok(plan)
}

/// The facts that [`again`] needs.
pub fn scope_of_next(request: &Request, left: &[Turn]) -> Scope {
    let Some(next) = left.iter().find(|turn| !turn.control_plane).or(left.first()) else { return Scope::default() };
    match request.kind {
        Kind::Restart(_) => Scope { control_plane: true, ..Scope::default() },
        Kind::Reboot(ref reboot) if next.control_plane => Scope {
            control_plane: true,
            machines: left.iter().map(|turn| turn.machine().to_owned()).collect(),
            fleet: reboot.is_roll(),
            ..Scope::default()
        },
        Kind::Reboot(ref reboot) => {
            Scope { machines: [next.machine().to_owned()].into(), fleet: reboot.is_roll(), ..Scope::default() }
        }
        Kind::Rebalance(_) => Scope { nodes: [next.machine().to_owned()].into(), ..Scope::default() },
        Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Drain(_) => Scope::default(),
    }
}

/// The turns in order. `left` are those of an earlier plan that are not done; None at the first plan.
fn draw(request: &Request, left: Option<&[Turn]>, facts: &Inventory, site: &Site) -> Result<Plan, Problem> {
    let (turns, warnings) = match &request.kind {
        Kind::Restart(restart) => restart::turns(restart, left, facts, site)?,
        Kind::Reboot(reboot) => reboot::turns(reboot, left, facts, site)?,
        Kind::Cordon(on) => (simple(&on.nodes, &[Step::Cordon { keep: true }]), Vec::new()),
        Kind::Uncordon(on) => (simple(&on.nodes, &[Step::Uncordon { only_ours: false }]), Vec::new()),
        Kind::Drain(drain) => {
            let steps = [Step::Preflight, Step::Cordon { keep: true }, Step::Drain, Step::ProveCordoned];
            (simple(&drain.nodes, &steps), Vec::new())
        }
        Kind::Rebalance(rebalance) => (rebalance::turns(rebalance, left), Vec::new()),
    };
    let notes = gates::fleet::said(request, facts).into_iter().collect();
    Ok(Plan { turns, pace: request.pace(), notes, warnings })
}

fn simple(nodes: &[String], steps: &[Step]) -> Vec<Turn> {
    let turn = |node: &String| Turn {
        target: Target::machine_turn(node),
        control_plane: false,
        leads: Vec::new(),
        steps: steps.to_vec(),
    };
    nodes.iter().map(turn).collect()
}

fn ask(moment: Moment, request: &Request, turn: &Turn, facts: &Inventory, site: &Site) -> Result<(), Problem> {
    match facts.machine(turn.machine()) {
        Some(machine) => gates::ask(moment, &Subject { request, turn, machine, facts, site, step: None }),
        // A plan that needs no facts of the machine has no gate for it.
        None => Ok(()),
    }
}

/// The components that a machine leads now.
fn leads(machine: &str, facts: &Inventory) -> Vec<String> {
    facts.led_by(machine).into_iter().map(str::to_owned).collect()
}

fn known<'a>(name: &str, machine: Option<&'a Machine>) -> Result<&'a Machine, Problem> {
    machine.ok_or_else(|| {
        Problem::refused(format!("{name} is neither a Node of this cluster nor one of its control-plane machines"))
            .hint("see them: usher nodes")
    })
}
