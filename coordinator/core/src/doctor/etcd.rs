//! etcd: its members, by their agents' word.

use super::{Check, Finding};
use crate::{
    facts::{Inventory, etcd::Objection},
    site::Site,
    text,
};

/// What is to be said of etcd; nothing where somebody else runs it.
pub fn etcd(facts: &Inventory, site: &Site) -> Option<Finding> {
    site.etcd()?;
    let etcd = &facts.etcd;
    if !etcd.is_known() {
        let message = "no agent knows of etcd, so its quorum is not looked at before a machine is rebooted";
        return Some(Finding::warning(Check::Etcd, message).mend(
            "[etcd] in each control-plane agent's configuration; if somebody else runs it: [components.etcd] managed = true in \
             the cluster file",
        ));
    }
    let objections = etcd.objections();
    if !objections.is_empty() {
        let mend = match objections.iter().any(|objection| matches!(objection, Objection::Unseen(..))) {
            true => "[etcd] in each control-plane agent's configuration",
            false => "usher leaders shows all members; usher agent units NODE shows the unit",
        };
        let message = "etcd is not well, so no machine with a member is rebooted";
        let details = objections.iter().map(ToString::to_string).collect();
        return Some(Finding::wrong(Check::Etcd, message).mend(mend).details(details));
    }
    let members: Vec<_> = etcd.members().map(|(machine, _)| machine).collect();
    let leader = etcd.leader().map(|(machine, member)| format!(", led by {machine}, version {}", member.version));
    let message = format!("{}{}", text::count(members.len(), "member"), leader.unwrap_or_default());
    Some(match members.len() {
        2 => {
            Finding::warning(Check::Etcd, format!("{message}; without either of them it stops")).mend("a third member")
        }
        _ => Finding::ok(Check::Etcd, message),
    })
}
