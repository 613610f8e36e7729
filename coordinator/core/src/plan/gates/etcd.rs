//! etcd: whether the others are well and enough without the machine's member.

use super::Subject;
use crate::{facts::etcd::Objection, problem::Problem, site::Component};

/// What the operator consents to by name: etcd may lose its quorum, or what is left of it.
const QUORUM: &str = "etcd-quorum";

/// All other voting members are well and make a quorum, and nothing else is going on in the cluster. An apiserver says nothing of it:
/// it is ready as long as one member that it knows serves.
pub(super) fn can_spare_the_member(subject: &Subject<'_>) -> Result<(), Problem> {
    let restarts_etcd = subject.restarts_etcd();
    if !subject.turn.control_plane || !(subject.reboots() || restarts_etcd) {
        return Ok(());
    }
    let name = subject.name();
    let etcd = &subject.facts.etcd;
    if restarts_etcd && !etcd.is_known() {
        return Err(Problem::refused("no agent knows of etcd, so nobody can tell whether its quorum would last")
            .hint("name the member in each agent's configuration: [etcd]"));
    }
    if subject.request.override_blockers().iter().any(|overridden| overridden == QUORUM) {
        return Ok(());
    }
    let objections = etcd.without(name).objections();
    if objections.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::refused(format!("etcd cannot spare its member on {name} now"))
        .details(objections.iter().map(ToString::to_string))
        .hint("see all members: usher leaders");
    if objections.iter().any(|objection| matches!(objection, Objection::Unseen(..))) {
        problem = problem.hint("name the member in the configuration of each agent: [etcd]");
    }
    if objections.iter().any(|objection| matches!(objection, Objection::Alarm { .. })) {
        problem = problem.hint("mend what raised the alarm, then: etcdctl alarm disarm");
    }
    Err(match restarts_etcd {
        true => problem.hint("to restart one that is not well alone: usher agent restart NAME UNIT -r REASON"),
        false => problem.hint(format!("to reboot it although etcd may stop: --override-blocker {QUORUM}")),
    })
}

impl Subject<'_> {
    /// Whether the turn restarts a member of etcd.
    pub(super) fn restarts_etcd(&self) -> bool {
        let component = self.turn.target.component().and_then(|name| self.site.component(name));
        self.restarts() && component.is_some_and(Component::is_etcd)
    }
}
