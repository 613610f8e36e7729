//! The rest of the cluster, while a roll goes through many of its Nodes.

use super::Subject;
use crate::{
    facts::{Fleet, Inventory},
    nodeset,
    problem::Problem,
    request::{Kind, Request},
    text,
};

/// What the operator consents to by name: the roll goes on although more Nodes are not Ready than at its beginning.
const FLEET: &str = "fleet";

/// No more Nodes are not Ready than when the roll began. Each machine of it may be proved to be well and the next one still make the
/// cluster worse: a kernel that loses its network after minutes, a kubelet that cannot bear the load of the pods that were moved.
pub(super) fn is_as_well_as_before(subject: &Subject<'_>) -> Result<(), Problem> {
    let overridden = subject.request.override_blockers().iter().any(|name| name == FLEET);
    let Some(fleet) = fleet_of_a_roll(subject.request, subject.facts).filter(|_| !overridden) else { return Ok(()) };
    let own = subject.machine.node.as_ref().map_or(subject.name(), |node| node.name.as_str());
    let Some(worse) = fleet.worse_besides(own) else { return Ok(()) };
    let nodes = text::count(worse.now, "other node");
    let (verb, name) = (if worse.now == 1 { "is" } else { "are" }, subject.name());
    Err(Problem::refused(format!(
        "{nodes} {verb} not Ready, and {} when this roll began, so {name} is not touched",
        match worse.before {
            0 => "none was".to_owned(),
            1 => "1 was".to_owned(),
            several => format!("{several} were"),
        }
    ))
    .detail(format!("not Ready since: {}", nodeset::listed(&worse.lost)))
    .hint("find out whether the roll does it; see them: usher nodes --only not-ready")
    .hint(format!("to go on nevertheless: --override-blocker {FLEET}")))
}

/// What the plan of a roll says of the cluster; None of a plan for one machine.
pub(in crate::plan) fn said(request: &Request, facts: &Inventory) -> Option<String> {
    let now = &fleet_of_a_roll(request, facts)?.now;
    let (nodes, down) = (text::count(now.nodes, "node"), now.not_ready.len());
    let limit = if down == 0 { "any is".to_owned() } else { format!("more than {down} are") };
    Some(format!(
        "Of {nodes} {down} {} not Ready and {} cordoned; the roll stops when {limit} not Ready besides the one whose turn it is.",
        if down == 1 { "is" } else { "are" },
        now.cordoned
    ))
}

fn fleet_of_a_roll<'a>(request: &Request, facts: &'a Inventory) -> Option<&'a Fleet> {
    matches!(&request.kind, Kind::Reboot(reboot) if reboot.is_roll()).then_some(facts.fleet.as_ref()).flatten()
}
