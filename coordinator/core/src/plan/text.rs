//! A plan as text: it reads like the runbook it replaces.

use std::fmt::Write as _;

use super::{Plan, Turn};
use crate::{
    site::{Component, Site},
    text,
};

impl Plan {
    /// The plan for people: a numbered line for each machine's turn, under its component.
    pub fn to_text(&self, site: &Site) -> String {
        let mut text = String::new();
        let width = self.turns.iter().map(|turn| turn.machine().len()).max().unwrap_or_default();
        let mut component = None;
        for (at, turn) in self.turns.iter().enumerate() {
            if turn.target.component().is_some() && turn.target.component() != component {
                component = turn.target.component();
                let _ = writeln!(text, "{}", component.unwrap_or_default());
            }
            let steps: Vec<_> = turn.steps.iter().filter_map(|step| step.row().text).collect();
            let role = role_of(turn, site);
            let _ = writeln!(text, "{:>3}  {:width$}  {}{role}", at + 1, turn.machine(), steps.join(", "));
        }
        if self.pace.prepare_all && self.turns.len() > 1 {
            let pace = match self.pace.at_a_time {
                1 => "one after another".to_owned(),
                several => format!("{several} at a time"),
            };
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
    let component = turn.target.component();
    let all_matter = component.and_then(|name| site.component(name)).is_none_or(Component::is_apiserver);
    let matters = |led: &&String| all_matter || component == Some(led.as_str());
    let leads: Vec<_> = turn.leads.iter().filter(matters).map(String::as_str).collect();
    match (leads.is_empty(), all_matter) {
        (true, _) => String::new(),
        (false, true) => format!("  (leads {})", text::list(&leads)),
        (false, false) => "  (leader, last)".to_owned(),
    }
}
