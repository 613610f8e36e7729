//! A plan as text: it reads like the runbook it replaces.

use std::fmt::Write as _;

use super::{Plan, Turn};
use crate::{
    nodeset::fold,
    site::{Component, Site},
    text,
};

/// A plan of more turns than this has one line for neighbours that are alike: nobody reads thousands.
const SPELLED_OUT: usize = 20;

impl Plan {
    /// The plan for people: a numbered line for each machine's turn, under its component. In a long plan, one line for machines
    /// that follow one another and are treated alike.
    pub fn to_text(&self, site: &Site) -> String {
        let mut text = String::new();
        let width = self.turns.iter().map(|turn| turn.machine().len()).max().unwrap_or_default();
        let mut component = None;
        let mut at = 0;
        while let Some(turn) = self.turns.get(at) {
            if turn.target.component().is_some() && turn.target.component() != component {
                component = turn.target.component();
                let _ = writeln!(text, "{}", component.unwrap_or_default());
            }
            let steps = steps_of(turn, site);
            let alike =
                self.turns[at..].iter().take_while(|next| is_alike(turn, next) && steps_of(next, site) == steps);
            let machines: Vec<_> = alike.map(Turn::machine).collect();
            match machines.len() {
                many if self.turns.len() > SPELLED_OUT && many > 1 => {
                    let _ = writeln!(text, "{}-{}  {}  {steps}", at + 1, at + many, fold(&machines));
                    at += many;
                }
                _ => {
                    let _ = writeln!(text, "{:>3}  {:width$}  {steps}", at + 1, turn.machine());
                    at += 1;
                }
            }
        }
        if self.pace.prepare_all && self.turns.len() > 1 {
            let pace = match self.pace.at_a_time {
                1 => "one after another".to_owned(),
                several => format!("{several} at a time"),
            };
            let _ = writeln!(text, "All are cordoned first, so that no pod moves twice; then they are drained {pace}.");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "Warning: {warning}");
        }
        text
    }
}

/// Whether two turns are about the same component, or about none.
fn is_alike(one: &Turn, other: &Turn) -> bool {
    one.target.component() == other.target.component()
}

/// What is done in a turn, and what its machine is to the plan.
fn steps_of(turn: &Turn, site: &Site) -> String {
    let steps: Vec<_> = turn.steps.iter().filter_map(|step| step.row().text).collect();
    format!("{}{}", steps.join(", "), role_of(turn, site))
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
