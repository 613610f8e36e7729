//! etcd as `usher status` and `usher leaders` show it.

use crate::{
    facts::etcd::{Etcd, Member, Word},
    output, text,
};

/// What is wrong with the member on a machine, in few words.
pub(super) fn state(machine: &str, etcd: &Etcd) -> Option<String> {
    match etcd.0.get(machine)? {
        Word::Member(member) => etcd.ailment(member),
        Word::Silent { .. } => Some("SILENT".to_owned()),
        Word::NoMember { .. } | Word::Unheard { .. } => Some("unknown".to_owned()),
    }
}

/// One line on the whole, and what is wrong with it; None if no agent knows of etcd.
pub(super) fn line(etcd: &Etcd) -> Option<String> {
    if !etcd.is_known() {
        return None;
    }
    let largest = etcd.members().map(|(_, member)| member.db_size).max().unwrap_or_default();
    let members = text::count(etcd.members().count(), "member");
    let mut lines = vec![format!("etcd: {members} answer, the largest database has {}", text::size(largest))];
    lines.extend(etcd.objections().iter().map(|objection| format!("etcd: {objection}")));
    Some(lines.join("\n"))
}

/// The table of members, and under it what is wrong; None if no agent knows of etcd.
pub(super) fn members(etcd: &Etcd) -> Option<String> {
    if !etcd.is_known() {
        return None;
    }
    let header = ["ETCD ON", "MEMBER", "VERSION", "ROLE", "TERM", "APPLIED", "DATABASE", "STATE"];
    let rows = etcd.0.iter().map(|(machine, word)| match word {
        Word::Member(member) => vec![
            machine.clone(),
            member.id.to_string(),
            member.version.clone(),
            role(member).to_owned(),
            member.raft_term.to_string(),
            member.raft_applied_index.to_string(),
            format!("{}, {} in use", text::size(member.db_size), text::size(member.db_size_in_use)),
            etcd.ailment(member).unwrap_or_else(|| "well".to_owned()),
        ],
        Word::Silent { message } | Word::NoMember { message } | Word::Unheard { message } => {
            let unknown = std::iter::repeat_n("-".to_owned(), header.len() - 2);
            std::iter::once(machine.clone()).chain(unknown).chain([message.clone()]).collect()
        }
    });
    let table = output::table(&header, rows);
    let wrong = etcd.objections();
    Some(std::iter::once(table).chain(wrong.iter().map(ToString::to_string)).collect::<Vec<_>>().join("\n"))
}

fn role(member: &Member) -> &'static str {
    if member.leads() {
        "leader"
    } else if member.is_learner {
        "learner"
    } else {
        "voter"
    }
}
