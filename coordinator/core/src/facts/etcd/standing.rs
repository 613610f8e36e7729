//! What the members' words come to: who is well, and what stands against one of them going.

use std::{collections::BTreeSet, fmt};

use super::{Alarm, Etcd, Id, Member, Peer, Word};

/// A member that has not applied this number of committed entries is behind: from there on etcd itself takes no more requests
/// (`maxGapBetweenApplyAndCommitIndex`), and a leader sends its whole state in place of its log (`DefaultSnapshotCatchUpEntries`).
const BEHIND: u64 = 5000;

/// The cluster as it stands while one machine is left out of account, because it is the one that goes.
#[derive(Debug)]
pub struct Standing<'a> {
    etcd: &'a Etcd,
    /// None: nobody goes.
    leaving: Option<&'a str>,
}

/// One reason why the member on a machine should not go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// The members that answer are not all of one cluster: the machine, and the id that it tells.
    SeveralClusters(Vec<(String, Id)>),
    /// A member on another machine is not well: the machine, and what is wrong.
    Unwell(String, String),
    /// The members do not agree on who leads.
    NoCommonLeader(Vec<(String, String)>),
    /// Members are on no machine of which an agent can tell: what they are called, and how many there are in all.
    Unseen(Vec<String>, usize),
    /// A change of the membership is under way: the name of the learner.
    Learner(String),
    Alarm {
        member: String,
        kind: String,
    },
    /// Without this one the others are too few: how many are left of the voting ones, how many there are, how many it takes.
    NoQuorum {
        left: usize,
        of: usize,
        quorum: usize,
    },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = |pairs: &[(String, String)]| {
            pairs.iter().map(|(machine, what)| format!("{machine}: {what}")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::SeveralClusters(ids) => {
                let ids: Vec<_> = ids.iter().map(|(machine, id)| (machine.clone(), id.to_string())).collect();
                write!(f, "the members are of different clusters ({})", pairs(&ids))
            }
            Self::Unwell(machine, what) => write!(f, "the member on {machine} {what}"),
            Self::NoCommonLeader(leaders) => {
                write!(f, "the members do not agree on who leads ({}): an election may be under way", pairs(leaders))
            }
            Self::Unseen(names, all) => {
                let (of_which, verb) = (names.join(", "), if names.len() == 1 { "is" } else { "are" });
                write!(
                    f,
                    "{} of {all} members ({of_which}) {verb} on machines whose agents do not know of etcd",
                    names.len()
                )
            }
            Self::Learner(name) => write!(f, "{name} is a learner: a change of the membership is under way"),
            Self::Alarm { member, kind } => write!(f, "{member} has raised the alarm {kind}"),
            Self::NoQuorum { left, of, quorum } => {
                write!(f, "{left} of {of} voting members would be left, and it takes {quorum} to write")
            }
        }
    }
}

impl Etcd {
    /// The cluster without the member on `machine`.
    pub fn without<'a>(&'a self, machine: &'a str) -> Standing<'a> {
        Standing { etcd: self, leaving: Some(machine) }
    }

    /// What is wrong with the cluster, and would keep any member from going.
    pub fn objections(&self) -> Vec<Objection> {
        Standing { etcd: self, leaving: None }.objections()
    }

    /// What is wrong with a member, by its own word and compared with the leader.
    pub fn ailment(&self, member: &Member) -> Option<String> {
        if member.leader == Id::default() {
            return Some("knows no leader".to_owned());
        }
        if member.is_learner {
            return Some("is a learner".to_owned());
        }
        let ahead = self.leader().map_or(0, |(_, leader)| leader.raft_index).max(member.raft_index);
        let behind = ahead.saturating_sub(member.raft_applied_index);
        if behind > BEHIND {
            return Some(format!("is {behind} entries of the log behind"));
        }
        // Alarms are told once, for the whole cluster.
        let error = member.errors.iter().find(|error| !error.contains("alarm:"));
        error.map(|error| format!("says: {error}"))
    }
}

impl Standing<'_> {
    /// Everything that stands against the member's going; nothing if no member is on the machine.
    pub fn objections(&self) -> Vec<Objection> {
        if !self.etcd.is_known() || !self.concerns_a_member() {
            return Vec::new();
        }
        let mut found: Vec<_> = self.clusters().into_iter().collect();
        found.extend(self.unwell());
        found.extend(self.unseen());
        let learners = self.listed().into_iter().filter(|peer| peer.is_learner);
        found.extend(learners.map(|peer| Objection::Learner(self.etcd.name_of(peer.id))));
        found.extend(
            self.etcd.alarms().into_iter().map(|Alarm { member, kind }| Objection::Alarm {
                member: self.etcd.name_of(*member),
                kind: kind.clone(),
            }),
        );
        found.extend(self.quorum());
        found
    }

    /// Whether the machine has a member. Where its agent knows of none, it has one if the others list one that is on no other machine.
    fn concerns_a_member(&self) -> bool {
        let Some(machine) = self.leaving else { return true };
        self.etcd.runs_on(machine) || self.unmatched().len() > self.silent_elsewhere()
    }

    fn others(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.etcd.members().filter(|(machine, _)| Some(*machine) != self.leaving)
    }

    /// The list of members, by the leader if it answers, else by the member with the latest term.
    fn listed(&self) -> Vec<&Peer> {
        let latest = || self.etcd.members().max_by_key(|(_, member)| member.raft_term);
        let told = self.etcd.leader().or_else(latest).map(|(_, member)| member.members.iter().collect());
        told.unwrap_or_default()
    }

    fn clusters(&self) -> Option<Objection> {
        let ids: BTreeSet<_> = self.etcd.members().map(|(_, member)| member.cluster).collect();
        let told = || self.etcd.members().map(|(machine, member)| (machine.to_owned(), member.cluster)).collect();
        (ids.len() > 1).then(|| Objection::SeveralClusters(told()))
    }

    /// The other members that do not answer or are not well. A learner has a word of its own.
    fn unwell(&self) -> Vec<Objection> {
        let mut found = Vec::new();
        for (machine, word) in self.etcd.0.iter().filter(|(machine, _)| Some(machine.as_str()) != self.leaving) {
            match word {
                Word::Silent { message } => {
                    found.push(Objection::Unwell(machine.clone(), format!("does not answer: {message}")));
                }
                // It may have none: only if the others list one that is nowhere else, it matters.
                Word::Unheard { message } if !self.unmatched().is_empty() => {
                    found.push(Objection::Unwell(
                        machine.clone(),
                        format!("is unknown, since its agent does not answer: {message}"),
                    ));
                }
                Word::Member(member) if !member.is_learner => {
                    let ailment = self.etcd.ailment(member);
                    found.extend(ailment.map(|ailment| Objection::Unwell(machine.clone(), ailment)));
                }
                Word::Member(_) | Word::NoMember { .. } | Word::Unheard { .. } => {}
            }
        }
        let leaders: BTreeSet<_> = self.others().map(|(_, member)| member.leader).collect();
        if leaders.len() > 1 && !leaders.contains(&Id::default()) {
            let told = self.others().map(|(machine, member)| (machine.to_owned(), self.etcd.name_of(member.leader)));
            found.push(Objection::NoCommonLeader(told.collect()));
        }
        found
    }

    /// The members in the list that no machine's word is of.
    fn unmatched(&self) -> Vec<&Peer> {
        let answers = |peer: &&Peer| self.etcd.members().any(|(_, member)| member.id == peer.id);
        self.listed().into_iter().filter(|peer| !answers(peer)).collect()
    }

    /// How many other machines have, or may have, a member that does not answer: each of them is one of the unmatched.
    fn silent_elsewhere(&self) -> usize {
        let silent = |(machine, word): &(&String, &Word)| {
            Some(machine.as_str()) != self.leaving && matches!(word, Word::Silent { .. } | Word::Unheard { .. })
        };
        self.etcd.0.iter().filter(silent).count()
    }

    /// More members are unmatched than there are machines whose member is silent; the one that goes may be one of those.
    fn unseen(&self) -> Option<Objection> {
        let unmatched = self.unmatched();
        let own = usize::from(self.leaving.is_some_and(|machine| self.etcd.member(machine).is_none()));
        let unseen = unmatched.len().saturating_sub(self.silent_elsewhere() + own);
        let names = || unmatched.iter().map(|peer| self.etcd.name_of(peer.id)).collect();
        (unseen > 0).then(|| Objection::Unseen(names(), self.listed().len()))
    }

    /// A cluster of one has no quorum to lose: the plan says that it is away.
    fn quorum(&self) -> Option<Objection> {
        let listed = self.listed();
        let of = listed.iter().filter(|peer| !peer.is_learner).count();
        let quorum = of / 2 + 1;
        let well = |(_, member): &(&str, &Member)| self.etcd.ailment(member).is_none();
        let left = self.others().filter(well).count();
        (of > 1 && left < quorum).then_some(Objection::NoQuorum { left, of, quorum })
    }
}

#[cfg(test)]
mod tests;
