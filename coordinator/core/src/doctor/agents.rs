//! The agents: whether each answers, and what it says of its machine.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{CLOCK_BEARS, Check, Finding, State, days_left};
use crate::{
    facts::{AgentFacts, Identity, Inventory, Machine, agent::AgentStatus},
    nodeset::words,
    site::{Component, Site},
    text::apart,
};

/// An agent's certificate that expires within this many days is told.
const SOON_DAYS: i64 = 14;

/// More silent agents than this are told in one line.
const SILENT: usize = 10;

/// Stands for the machine in what mends something on it.
const NODE: &str = "{node}";

/// Something about one machine: how bad it is, what is so, and what mends it, in which [`NODE`] may stand.
type Trouble = (State, String, Option<String>);

/// What is to be said of the agents, `version` being usher's own. The same trouble of many machines is one finding.
pub fn agents(facts: &Inventory, site: &Site, version: &str, now: Timestamp) -> Vec<Finding> {
    let mut found: BTreeMap<Trouble, Vec<String>> = BTreeMap::new();
    for machine in &facts.machines {
        for trouble in troubles(machine, site, version, now) {
            found.entry(trouble).or_default().push(machine.name.clone());
        }
    }
    let all = facts.machines.len();
    let finding = |((state, message, mend), machines): (Trouble, Vec<String>)| Finding {
        message: format!("{}: {message}", words(&machines)),
        mend: mend.map(|mend| mend.replace(NODE, machines.first().map(String::as_str).unwrap_or_default())),
        machines,
        ..Finding::new(state, Check::Agents, "")
    };
    let mut findings: Vec<_> = found.into_iter().rev().map(finding).collect();
    let silent = |finding: &Finding| finding.machines.iter().any(|name| is_silent(facts, name));
    if findings.iter().filter(|finding| silent(finding)).count() > SILENT {
        let (silent, others): (Vec<_>, Vec<_>) = findings.into_iter().partition(silent);
        findings = many_silent(silent).into_iter().chain(others).collect();
    }
    if all == 0 {
        findings.push(Finding::warning(Check::Agents, "there is no machine to ask"));
    } else if findings.is_empty() {
        findings.push(Finding::ok(Check::Agents, format!("all {all} answer, with version {version}")));
    }
    findings
}

fn is_silent(facts: &Inventory, machine: &str) -> bool {
    facts.machine(machine).is_some_and(|machine| matches!(machine.agent, AgentFacts::Silent { .. }))
}

/// One finding in place of one for each agent that does not answer.
fn many_silent(findings: Vec<Finding>) -> Option<Finding> {
    let machines: Vec<_> = findings.iter().flat_map(|finding| finding.machines.iter().cloned()).collect();
    let first = findings.into_iter().next()?;
    let message = format!("{} agents do not answer: {}; {}", machines.len(), words(&machines), first.message);
    Some(Finding { message, machines, ..first })
}

fn troubles(machine: &Machine, site: &Site, version: &str, now: Timestamp) -> Vec<Trouble> {
    let status = match &machine.agent {
        AgentFacts::Answers { status } => status,
        AgentFacts::NotAsked => return Vec::new(),
        AgentFacts::Silent { message, hint } => {
            let message = message.strip_prefix(&format!("{}: ", machine.name)).unwrap_or(message);
            return vec![(State::Wrong, message.to_owned(), hint.clone())];
        }
    };
    let mut troubles = of_agent(status, version, now);
    if machine.control_plane {
        troubles.extend(of_components(status, site));
    }
    if let Identity::Differs { node_is_ready: true, .. } = machine.identity() {
        let message = "its agent runs on another machine than its Node";
        let mend = "where it is: agents.addresses in the cluster file";
        troubles.push((State::Wrong, message.to_owned(), Some(mend.to_owned())));
    }
    troubles
}

fn of_agent(status: &AgentStatus, version: &str, now: Timestamp) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut add = |state, message: String, mend: &str| troubles.push((state, message, Some(mend.to_owned())));
    if status.agent_version != version {
        let message = format!("the agent has version {}, usher {version}", status.agent_version);
        add(State::Warning, message, "usher version; then upgrade the older one of both packages");
    }
    if let Some(until) = status.certificate_not_after {
        let (days, day) = (days_left(until, now), until.strftime("%Y-%m-%d"));
        let mend = "renew tls.certificate of /etc/usher/agent.toml on {node}; the agent reads it by itself";
        match days {
            ..0 => add(State::Wrong, format!("its certificate expired on {day}"), mend),
            0..SOON_DAYS => add(State::Warning, format!("its certificate expires on {day}"), mend),
            _ => {}
        }
    }
    if let Some(words) = status.now.and_then(|its| apart(its.duration_since(now), CLOCK_BEARS)) {
        add(State::Warning, format!("its clock is {words} this machine's"), "ssh {node} timedatectl");
    }
    if let Some(why) = &status.reboot_refused {
        let mend = "install polkit's rule on {node}: 50-usher-agent.rules, which comes with usher-agent";
        add(State::Wrong, format!("the agent may not reboot it: {why}"), mend);
    }
    for hold in &status.holds {
        let mend = format!("when that is over: ssh {NODE} usher-agent hold release --owner {:?}", hold.owner);
        add(State::Warning, format!("held {}", hold.said()), &mend);
    }
    if let Some(hold) = status.held_by_file() {
        let text = hold.text.lines().next().unwrap_or_default();
        add(State::Warning, format!("held by {}: {text:?}", hold.path), "when that is over: ssh {node} rm the file");
    }
    for warning in &status.warnings {
        add(State::Warning, warning.clone(), "usher agent status {node}");
    }
    troubles
}

/// What is wrong with the units that are the site's components.
fn of_components(status: &AgentStatus, site: &Site) -> Vec<Trouble> {
    let of_component = |component: &Component| {
        let unit = &component.unit;
        let trouble = |state, message: String, mend: &str| Some((state, message, Some(mend.replace("UNIT", unit))));
        match status.unit(unit) {
            // Its members are asked, whichever component restarts.
            None if component.is_etcd() => None,
            None => trouble(
                State::Wrong,
                format!("its agent does not manage {unit}"),
                "add [units.\"UNIT\"] to /etc/usher/agent.toml on {node}, or see components in the cluster file",
            ),
            Some(found) if found.load_state == "not-found" => {
                trouble(State::Wrong, format!("there is no {unit}"), "ssh {node} systemctl status UNIT")
            }
            Some(found) if !found.is_active() => {
                trouble(State::Warning, format!("{unit} is {}", found.active_state), "ssh {node} systemctl status UNIT")
            }
            Some(found) => {
                let state = found.gone_after_boot()?;
                let message = format!("{unit} is {state}: it runs, and will not after a reboot");
                trouble(State::Warning, message, "ssh {node} systemctl enable UNIT")
            }
        }
    };
    site.components.iter().filter_map(of_component).collect()
}
