//! A plan as text: it reads like the runbook it replaces.

use std::fmt::Write as _;

use super::{Plan, Turn};
use crate::{
    plan::step::Step,
    site::{Role, Site},
    text,
};

impl Plan {
    /// The plan for people: a numbered line for each machine's turn, under its component.
    pub fn to_text(&self, site: &Site) -> String {
        let mut text = String::new();
        let width = self.turns.iter().map(|turn| turn.machine.len()).max().unwrap_or_default();
        let mut component = None;
        for (at, turn) in self.turns.iter().enumerate() {
            if turn.component.is_some() && turn.component != component {
                component.clone_from(&turn.component);
                let _ = writeln!(text, "{}", component.as_deref().unwrap_or_default());
            }
            let steps: Vec<_> = turn.steps.iter().filter_map(|step| words_of(step, turn, site)).collect();
            let role = role_of(turn, site);
            let _ = writeln!(text, "{:>3}  {:width$}  {}{role}", at + 1, turn.machine, steps.join(", "));
        }
        if let Some(concurrency) = self.concurrency.filter(|_| self.turns.len() > 1) {
            let pace =
                if concurrency == 1 { "one after another".to_owned() } else { format!("{concurrency} at a time") };
            let _ = writeln!(text, "All are cordoned first, so that no pod moves twice; then they are drained {pace}.");
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "Warning: {warning}");
        }
        text
    }
}

/// What the machine is to the plan, in brackets.
fn role_of(turn: &Turn, site: &Site) -> String {
    let apiserver = turn.component.as_deref().and_then(|name| site.component(name));
    let all_matter = apiserver.is_none_or(|component| matches!(component.role, Role::ApiServer { .. }));
    let leads: Vec<_> = turn
        .leads
        .iter()
        .filter(|led| all_matter || turn.component.as_ref() == Some(led))
        .map(String::as_str)
        .collect();
    match (leads.is_empty(), all_matter) {
        (true, _) => String::new(),
        (false, true) => format!("  (leads {})", text::list(&leads)),
        (false, false) => "  (leader, last)".to_owned(),
    }
}

fn words_of(step: &Step, turn: &Turn, site: &Site) -> Option<String> {
    Some(match step {
        Step::Depool => "take out of the pool".to_owned(),
        Step::Restart { .. } => "restart, wait until healthy".to_owned(),
        Step::HandOver { component, .. } => format!("stop {component}, free its lease, wait for another leader"),
        Step::Start { .. } => "start, wait until healthy".to_owned(),
        // Said once, where it is the point: after the leader's own restart.
        Step::ProveControlPlane => {
            let led = turn.component.as_ref().is_some_and(|component| turn.leads.contains(component));
            return led.then(|| "wait for a leader that renews".to_owned());
        }
        Step::Pool => match site.load_balancer.as_ref().map(|balancer| balancer.commands_for(&turn.machine)) {
            Some(commands) if commands.pool.is_some() => "put back into the pool".to_owned(),
            _ => "wait until it is back in rotation".to_owned(),
        },
        Step::Gap { wait } => format!("wait {}", humantime::format_duration(*wait)),
        Step::Cordon { .. } => "cordon".to_owned(),
        Step::Drain => "drain".to_owned(),
        Step::Reboot => "reboot".to_owned(),
        Step::ProveUnits => "wait until its units are healthy".to_owned(),
        Step::ProveReady => "wait until Ready".to_owned(),
        Step::Uncordon { .. } => "uncordon".to_owned(),
    })
}
