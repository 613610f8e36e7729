//! Gates: what must be true before a machine is touched. One table, one caller, three moments.
//!
//! A closed gate is a [`Problem`] that says what forbids, since when, by whom, and what would open it.

mod agent;
mod apiservers;
mod etcd;
pub(super) mod fleet;
mod identity;
mod leaders;
mod node;

pub use self::node::{was_cordoned, was_uncordoned};
use super::{Turn, step::Step};
use crate::{
    facts::{Inventory, Machine},
    problem::Problem,
    request::{Kind, Request},
    site::Site,
};

/// When gates are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At the first plan, of every machine: nobody wants to hear at night of what was known in the evening.
    Plan,
    /// Right before a machine's turn.
    Turn,
    /// Right before each irreversible step, when the turn's own drain may have taken an hour.
    PointOfNoReturn,
}

/// What a gate looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) request: &'a Request,
    pub(crate) turn: &'a Turn,
    pub(crate) machine: &'a Machine,
    pub(crate) facts: &'a Inventory,
    pub(crate) site: &'a Site,
    /// The irreversible step that comes next, at its moment.
    pub(crate) step: Option<&'a Step>,
}

/// A condition, by name.
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    moments: &'static [Moment],
    verdict: fn(&Subject<'_>) -> Result<(), Problem>,
}

/// What a gate answered.
#[derive(Debug)]
pub struct Verdict {
    /// The gate's name.
    pub gate: &'static str,
    /// Why it is closed and what would open it.
    pub closed: Option<Problem>,
}

use Moment::{Plan as AtPlan, PointOfNoReturn, Turn as AtTurn};

/// All gates, in the order in which they are asked: what makes the others moot comes first.
const GATES: &[Gate] = &[
    Gate { name: "leaders-known", moments: &[AtPlan, AtTurn], verdict: leaders::are_known },
    Gate { name: "agent-willing", moments: &[AtPlan, AtTurn, PointOfNoReturn], verdict: agent::is_willing },
    Gate { name: "machine-is-its-node", moments: &[AtPlan, AtTurn, PointOfNoReturn], verdict: identity::is_its_node },
    Gate { name: "usher-elsewhere", moments: &[AtPlan, AtTurn], verdict: identity::does_not_run_usher },
    Gate { name: "control-plane-listed", moments: &[AtPlan, AtTurn], verdict: identity::is_listed },
    Gate { name: "control-plane-complete", moments: &[AtPlan, AtTurn], verdict: identity::is_complete },
    Gate { name: "unit-managed", moments: &[AtPlan, AtTurn], verdict: agent::manages_the_unit },
    Gate { name: "reboot-budget", moments: &[AtPlan, AtTurn, PointOfNoReturn], verdict: agent::has_reboots_left },
    Gate { name: "reboot-allowed", moments: &[AtPlan, AtTurn, PointOfNoReturn], verdict: agent::may_reboot },
    Gate { name: "units-start-at-boot", moments: &[AtPlan, AtTurn], verdict: agent::starts_its_units_at_boot },
    Gate { name: "reboot-blockers", moments: &[AtPlan, AtTurn, PointOfNoReturn], verdict: agent::is_not_blocked },
    Gate { name: "node-in-service", moments: &[AtPlan, AtTurn, PointOfNoReturn], verdict: node::is_in_service },
    Gate { name: "takes-pods", moments: &[AtPlan, AtTurn], verdict: node::takes_pods },
    Gate { name: "cordon-ours", moments: &[AtPlan, AtTurn], verdict: node::cordon_is_ours_or_none },
    Gate { name: "still-cordoned", moments: &[PointOfNoReturn], verdict: node::is_still_cordoned },
    Gate { name: "leads-no-more", moments: &[PointOfNoReturn], verdict: leaders::were_handed_over },
    Gate { name: "etcd-quorum", moments: &[AtPlan, AtTurn, PointOfNoReturn], verdict: etcd::can_spare_the_member },
    // With this machine down the others must serve; later machines are asked when it is their turn.
    Gate { name: "apiservers-ready", moments: &[AtTurn, PointOfNoReturn], verdict: apiservers::are_ready },
    Gate { name: "fleet", moments: &[AtTurn], verdict: fleet::is_as_well_as_before },
];

/// Asks every gate of this moment.
pub(crate) fn verdicts<'a>(moment: Moment, subject: &'a Subject<'_>) -> impl Iterator<Item = Verdict> + 'a {
    let of_moment = GATES.iter().filter(move |gate| gate.moments.contains(&moment));
    of_moment.map(|gate| Verdict { gate: gate.name, closed: (gate.verdict)(subject).err() })
}

/// The first gate that is closed.
pub(crate) fn ask(moment: Moment, subject: &Subject<'_>) -> Result<(), Problem> {
    verdicts(moment, subject).find_map(|verdict| verdict.closed).map_or(Ok(()), Err)
}

/// Asks the gates of the point of no return: right before `step`, from facts that were read just now.
///
/// # Errors
///
/// The first gate that is closed.
pub fn before_irreversible(
    step: &Step,
    request: &Request,
    turn: &Turn,
    facts: &Inventory,
    site: &Site,
) -> Result<(), Problem> {
    let Some(machine) = facts.machine(turn.machine()) else {
        return Err(Problem::failed(format!("{} is not there any more", turn.machine())));
    };
    ask(PointOfNoReturn, &Subject { request, turn, machine, facts, site, step: Some(step) })
}

impl Subject<'_> {
    fn name(&self) -> &str {
        &self.machine.name
    }

    fn reboots(&self) -> bool {
        matches!(self.request.kind, Kind::Reboot(_))
    }

    fn restarts(&self) -> bool {
        matches!(self.request.kind, Kind::Restart(_))
    }

    /// Whether the turn goes through the machine's agent.
    fn needs_agent(&self) -> bool {
        self.reboots() || self.restarts()
    }
}
