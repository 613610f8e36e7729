//! The apiservers of other machines.

use super::Subject;
use crate::{problem::Problem, text};

/// Every apiserver but the machine's own is ready.
pub(super) fn others_are_ready(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.turn.control_plane || !subject.needs_agent() {
        return Ok(());
    }
    let machine = subject.name();
    let down: Vec<_> = subject
        .facts
        .apiservers
        .iter()
        .filter(|(other, readiness)| *other != machine && !readiness.is_ready())
        .collect();
    if down.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = down.iter().map(|(name, _)| name.as_str()).collect();
    let (subject, verb) = if names.len() == 1 { ("apiserver", "is") } else { ("apiservers", "are") };
    let message = format!("the {subject} on {} {verb} not ready, so {machine} is not touched", text::list(&names));
    let problem = Problem::refused(message);
    Err(problem
        .details(down.iter().map(|(name, readiness)| format!("{name}: {readiness}")))
        .hint("mend it first; to restart it alone: usher agent restart NAME kube-apiserver -r REASON"))
}
