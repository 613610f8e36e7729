//! etcd: what each machine's agent says of its member, what that makes of the cluster, and what stands against one member's going.

mod standing;

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

pub use self::standing::{Objection, Standing};
use super::leader::{Holder, Leadership};

/// The name of etcd among the components of a control plane.
pub const ETCD: &str = "etcd";

/// The id of a member or of a cluster, written as etcdctl writes it: hexadecimal. 0 is nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is known of etcd on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Word {
    /// The member answers its agent.
    Member(Box<Member>),
    /// The agent knows of a member, which does not answer.
    Silent { message: String },
    /// The agent does not know of a member. Whether there is one is unknown.
    NoMember { message: String },
    /// The agent itself does not answer.
    Unheard { message: String },
}

/// What a member says of itself and of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub cluster: Id,
    pub id: Id,
    /// Its name in its own list of members.
    pub name: String,
    pub version: String,
    /// The member that it takes for the leader.
    pub leader: Id,
    /// It copies the log and has no vote.
    pub is_learner: bool,
    pub raft_term: u64,
    /// The last index that is committed, as it knows.
    pub raft_index: u64,
    /// The last index that it has applied.
    pub raft_applied_index: u64,
    /// Size of the database on disk, in bytes.
    pub db_size: u64,
    /// The part of it in use, in bytes.
    pub db_size_in_use: u64,
    /// What it says is wrong, in etcd's words.
    pub errors: Vec<String>,
    /// The alarms of all members.
    pub alarms: Vec<Alarm>,
    /// All members, as it knows them.
    pub members: Vec<Peer>,
}

/// An alarm that stays raised until somebody disarms it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Alarm {
    pub member: Id,
    /// `NOSPACE` or `CORRUPT`.
    #[serde(rename = "alarm")] // `kind` says of every document that usher prints what that document is
    pub kind: String,
}

/// A line of the list of members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    pub id: Id,
    /// Empty until it has started for the first time.
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

impl Member {
    /// Whether it takes itself for the leader.
    pub fn leads(&self) -> bool {
        self.id != Id::default() && self.id == self.leader
    }
}

/// What every machine of the control plane says of etcd, by machine. Empty if nobody was asked, or etcd is somebody else's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Etcd(pub BTreeMap<String, Word>);

impl Etcd {
    /// The members that answer, with their machines.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.0.iter().filter_map(|(machine, word)| match word {
            Word::Member(member) => Some((machine.as_str(), &**member)),
            Word::Silent { .. } | Word::NoMember { .. } | Word::Unheard { .. } => None,
        })
    }

    /// The machine's member, if it answers.
    pub fn member(&self, machine: &str) -> Option<&Member> {
        self.members().find(|(known, _)| *known == machine).map(|(_, member)| member)
    }

    /// Whether any agent knows of a member, be it silent.
    pub fn is_known(&self) -> bool {
        self.0.values().any(|word| matches!(word, Word::Member(_) | Word::Silent { .. }))
    }

    /// Whether the machine has a member, be it silent.
    pub fn runs_on(&self, machine: &str) -> bool {
        matches!(self.0.get(machine), Some(Word::Member(_) | Word::Silent { .. }))
    }

    /// The machine whose member leads, and that member. Of several that say so, the one of the latest term: the others have not heard
    /// yet.
    pub fn leader(&self) -> Option<(&str, &Member)> {
        self.members().filter(|(_, member)| member.leads()).max_by_key(|(_, member)| member.raft_term)
    }

    /// The leadership in the terms of elections by lease; None if no agent knows of etcd.
    pub fn leadership(&self) -> Option<Leadership> {
        let held = |(machine, member): (&str, &Member)| {
            Leadership::Held(Holder {
                identity: member.id.to_string(),
                machine: Some(machine.to_owned()),
                rivals: Vec::new(),
                preferred: None,
                acquired: None,
                renewed: None,
                transitions: member.raft_term,
            })
        };
        self.is_known().then(|| self.leader().map_or(Leadership::Free, held))
    }

    /// The alarms that any member tells, each once.
    pub fn alarms(&self) -> Vec<&Alarm> {
        let mut alarms: Vec<_> = self.members().flat_map(|(_, member)| &member.alarms).collect();
        alarms.sort_unstable();
        alarms.dedup();
        alarms
    }

    /// What a member is called: its machine, else its name in the list, else its id.
    pub fn name_of(&self, id: Id) -> String {
        if let Some((machine, _)) = self.members().find(|(_, member)| member.id == id) {
            return machine.to_owned();
        }
        let listed = self.members().flat_map(|(_, member)| &member.members).find(|peer| peer.id == id);
        match listed {
            Some(peer) if !peer.name.is_empty() => peer.name.clone(),
            _ => id.to_string(),
        }
    }
}
