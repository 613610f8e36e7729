//! What an operator should know before saying yes: facts that close no gate and may spoil the operation all the same. Each
//! warning has the command that shows more, or that mends it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::SignedDuration;

use super::{Turn, step::Step};
use crate::{
    facts::{Inventory, Machine, agent::AgentStatus, leader::Leadership},
    nodeset::words,
    request::{Kind, Request},
    site::{Component, Site},
    text::apart,
    versions::agent_skew,
};

/// A clock that is further off than this one's server's is told: leases and settle times bear it, the order of log lines does not.
const CLOCK_BEARS: SignedDuration = SignedDuration::from_secs(30);

/// A certificate that ends within this time is told, however short the operation is.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The version of this usher.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What to say of a request's turns.
pub(super) fn of(request: &Request, turns: &[Turn], facts: &Inventory, site: &Site) -> Vec<String> {
    let machines: Vec<_> = turns.iter().filter_map(|turn| facts.machine(turn.machine())).collect();
    let machines = each_once(machines);
    let mut warnings = Vec::new();
    if turns.is_empty() {
        return warnings;
    }
    warnings.extend(own_clock(facts));
    warnings.extend(clocks(&machines, facts));
    warnings.extend(certificates(&machines, facts, reach(request, turns, site)));
    warnings.extend(versions(&machines));
    warnings.extend(told_by_agents(&machines));
    if turns.iter().any(|turn| turn.steps.contains(&Step::Drain)) {
        warnings.extend(budgets(facts, site));
    }
    if matches!(request.kind, Kind::Reboot(_)) {
        warnings.extend(lock_files(&machines));
    }
    warnings
}

/// The machines without repetitions: a restart of three components has three turns for each.
fn each_once(mut machines: Vec<&Machine>) -> Vec<&Machine> {
    let mut seen = BTreeSet::new();
    machines.retain(|machine| seen.insert(&machine.name));
    machines
}

/// For how long the operation may last at most, as far as its limits say.
fn reach(request: &Request, turns: &[Turn], site: &Site) -> Duration {
    let defaults = &site.defaults;
    let each = match request.kind {
        Kind::Reboot(_) => defaults.drain_timeout + defaults.reboot_timeout + defaults.ready_timeout,
        Kind::Restart(_) => defaults.restart_timeout + defaults.lease_timeout,
        Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Drain(_) | Kind::Rebalance(_) => Duration::ZERO,
    };
    each.saturating_mul(turns.len().try_into().unwrap_or(u32::MAX))
}

fn own_clock(facts: &Inventory) -> Option<String> {
    let words = apart(facts.server_ahead?, CLOCK_BEARS)?;
    Some(format!(
        "the API server's clock is {words} this machine's, so ages and ends may be told wrongly; see: timedatectl"
    ))
}

/// Agents' clocks against the API server's, or against this machine's where the server shows none.
fn clocks(machines: &[&Machine], facts: &Inventory) -> Option<String> {
    let server = facts.server_ahead.unwrap_or_default();
    let off: Vec<_> = machines
        .iter()
        .filter_map(|machine| Some((machine, machine.clock_ahead?.saturating_sub(server))))
        .filter(|(_, ahead)| apart(*ahead, CLOCK_BEARS).is_some())
        .collect();
    let (worst, ahead) = off.iter().max_by_key(|(_, ahead)| ahead.abs())?;
    let words = apart(*ahead, CLOCK_BEARS)?;
    let whose = if facts.server_ahead.is_some() { "the API server's" } else { "this machine's" };
    let (worst, names) = (&worst.name, names(off.iter().map(|(machine, _)| **machine)));
    let of = if off.len() == 1 {
        format!("the clock of {worst}")
    } else {
        format!("clocks are off on {names}: that of {worst}")
    };
    Some(format!("{of} is {words} {whose}; see: ssh {worst} timedatectl"))
}

/// Agents whose certificates end before the operation does, or soon after it: nobody could follow it to its end.
fn certificates(machines: &[&Machine], facts: &Inventory, reach: Duration) -> Option<String> {
    let now = facts.server_time()?;
    let reach = SignedDuration::try_from(reach).unwrap_or(SignedDuration::MAX).max(ENDS_SOON);
    let until = |machine: &&Machine| machine.agent.status().and_then(|status| status.certificate_not_after);
    let ending: Vec<_> = machines
        .iter()
        .copied()
        .filter(|machine| until(machine).is_some_and(|until| until.duration_since(now) < reach))
        .collect();
    let first = ending.iter().copied().min_by_key(until)?;
    let day = until(&first)?.strftime("%Y-%m-%d %H:%M:%SZ");
    let names = names(ending.iter().copied());
    Some(match ending.len() {
        1 => format!(
            "the certificate of the agent on {names} ends at {day}: renew the file that tls.certificate names in its \
             /etc/usher/agent.toml"
        ),
        _ => format!(
            "the certificates of the agents on {names} end soon, the first at {day}: renew the files that tls.certificate names in \
             their /etc/usher/agent.toml"
        ),
    })
}

fn versions(machines: &[&Machine]) -> Vec<String> {
    let version = |status: &AgentStatus| Some(status.agent_version.clone()).filter(|version| !version.is_empty());
    let agents: BTreeMap<_, _> = machines
        .iter()
        .filter_map(|machine| Some((machine.name.clone(), machine.agent.status().and_then(version)?)))
        .collect();
    agent_skew(VERSION, &agents).into_iter().map(|skew| format!("{}; see: usher version", skew.message)).collect()
}

/// What agents themselves warn of: that they will not start after a boot, for example.
fn told_by_agents(machines: &[&Machine]) -> Vec<String> {
    let warning = |(warning, machines): (&str, Vec<&Machine>)| {
        let agents = if machines.len() == 1 { "the agent on" } else { "the agents on" };
        let (says, first) = (if machines.len() == 1 { "says" } else { "say" }, machines.first()?);
        let names = names(machines.iter().copied());
        Some(format!("{agents} {names} {says}: {warning}; see: usher agent status {}", first.name))
    };
    by_what_they_tell(machines, |status| &status.warnings).into_iter().filter_map(warning).collect()
}

/// Without a leader of the component that counts them, disruption budgets are not refilled, and no pod gets a successor.
fn budgets(facts: &Inventory, site: &Site) -> Option<String> {
    let component = site.refills_budgets().filter(|component| component.lease().is_some())?;
    let Component { name, .. } = component;
    let why = match facts.leaders.get(name).or_else(|| facts.holders.get(name))? {
        Leadership::Held(_) => return None,
        // Elected elsewhere, or not elected at all.
        Leadership::Absent => return None,
        Leadership::Free => "its lease is free".to_owned(),
        Leadership::Stale(holder) => format!("{} does not renew its lease", holder.identity),
    };
    Some(format!(
        "nobody leads {name} ({why}): disruption budgets are not refilled and pods get no successors, so the drain may wait for ever; \
         see: usher leaders"
    ))
}

/// Locks of configuration management and dpkg, whose runs a reboot would interrupt.
fn lock_files(machines: &[&Machine]) -> Vec<String> {
    let warning = |(file, machines): (&str, Vec<&Machine>)| {
        let (names, first) = (names(machines.iter().copied()), machines.first().map(|machine| machine.name.as_str()));
        format!(
            "{file} says that configuration management or dpkg may be at work on {names}, and a reboot would interrupt it; see: usher \
             agent status {}",
            first.unwrap_or_default()
        )
    };
    by_what_they_tell(machines, |status| &status.lock_files).into_iter().map(warning).collect()
}

/// The machines by each line of what their agents tell.
fn by_what_they_tell<'a>(
    machines: &[&'a Machine],
    told: impl Fn(&AgentStatus) -> &Vec<String>,
) -> BTreeMap<&'a str, Vec<&'a Machine>> {
    let mut machines_by_line: BTreeMap<&str, Vec<&Machine>> = BTreeMap::new();
    for machine in machines {
        for line in machine.agent.status().map(|status| told(status).as_slice()).unwrap_or_default() {
            machines_by_line.entry(line).or_default().push(machine);
        }
    }
    machines_by_line
}

fn names<'a>(machines: impl Iterator<Item = &'a Machine>) -> String {
    words(&machines.map(|machine| machine.name.as_str()).collect::<Vec<_>>())
}
