//! The apiservers: those that must serve while the machine is touched.

use super::Subject;
use crate::{problem::Problem, site::Component, text};

/// Every apiserver is ready. The machine's own may be down only if the turn mends it: restarting another component does not, nor does
/// restarting an apiserver whose etcd is down, and the turn could not be proved.
pub(super) fn are_ready(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.turn.control_plane || !subject.needs_agent() {
        return Ok(());
    }
    let machine = subject.name();
    // An apiserver that knows no member but the one beside it is mended with that.
    let misses_etcd = subject.facts.apiserver_misses_its_etcd(machine);
    let mends = |component: &Component| component.is_etcd() || component.is_apiserver() && !misses_etcd;
    let component = subject.turn.target.component().and_then(|name| subject.site.component(name));
    let mends_its_own = subject.reboots() || component.is_none_or(mends);
    let down: Vec<_> = subject
        .facts
        .apiservers
        .iter()
        .filter(|(other, readiness)| !(readiness.is_ready() || mends_its_own && *other == machine))
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
