//! A member of etcd, from the contract's generated types to plain ones.

use usher_core::facts::etcd::{Alarm, Id, Member, Peer, Word};
use usher_proto::v1;

use super::convert::IntoPlain;

impl IntoPlain for v1::EtcdMember {
    type Plain = Word;

    fn into_plain(self) -> Word {
        if !self.problem.is_empty() {
            return Word::Silent { message: self.problem };
        }
        let size = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        let alarms = self.alarms.into_iter().map(|alarm| Alarm { member: Id(alarm.member_id), kind: alarm.kind });
        Word::Member(Box::new(Member {
            cluster: Id(self.cluster_id),
            id: Id(self.member_id),
            name: self.name,
            version: self.version,
            leader: Id(self.leader_id),
            is_learner: self.is_learner,
            raft_term: self.raft_term,
            raft_index: self.raft_index,
            raft_applied_index: self.raft_applied_index,
            db_size: size(self.db_size),
            db_size_in_use: size(self.db_size_in_use),
            errors: self.errors,
            alarms: alarms.collect(),
            members: self.members.into_iter().map(IntoPlain::into_plain).collect(),
        }))
    }
}

impl IntoPlain for v1::EtcdPeer {
    type Plain = Peer;

    fn into_plain(self) -> Peer {
        let Self { member_id, name, peer_urls, client_urls, is_learner } = self;
        Peer { id: Id(member_id), name, peer_urls, client_urls, is_learner }
    }
}
