//! What plans do about etcd: who gets its leadership, and what the operator should know.

use super::Turn;
use crate::{facts::Inventory, site::Site};

/// The machine to which the leadership of etcd goes before `machine` is touched: one whose member is well and that is not among those
/// still to go, `machine` included. None if `machine` does not lead, or all are still to go: then etcd itself chooses when its leader
/// ends, and it may choose a member that goes next.
pub(super) fn successor<'a>(
    machine: &str,
    still_to_go: impl IntoIterator<Item = &'a str>,
    facts: &Inventory,
) -> Option<String> {
    let (leader, _) = facts.etcd.leader()?;
    if leader != machine {
        return None;
    }
    let still_to_go: Vec<_> = still_to_go.into_iter().collect();
    let stays = |name: &str| name != machine && !still_to_go.contains(&name);
    let mut fit = facts.etcd.members().filter(|(name, member)| stays(name) && facts.etcd.ailment(member).is_none());
    fit.next().map(|(name, _)| name.to_owned())
}

/// Warnings for turns that may take a member of etcd away.
pub(super) fn warnings(turns: &[Turn], facts: &Inventory, site: &Site) -> Vec<String> {
    let mut going = turns.iter().filter(|turn| turn.control_plane).map(Turn::machine).peekable();
    if site.etcd().is_none() || going.peek().is_none() {
        return Vec::new();
    }
    if !facts.etcd.is_known() {
        return vec![
            "no agent knows of etcd, so nothing is held back for its quorum: name the member in each agent's configuration ([etcd]), \
             or say in the cluster file that somebody else runs it ([components.etcd] managed = true)"
                .to_owned(),
        ];
    }
    let mut members = facts.etcd.members();
    match (members.next(), members.next()) {
        (Some((only, member)), None) if member.members.len() == 1 && going.any(|machine| machine == only) => {
            vec![format!("etcd is away while the member on {only} is down: there is no other")]
        }
        _ => Vec::new(),
    }
}
