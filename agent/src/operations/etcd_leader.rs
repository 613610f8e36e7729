//! `MoveEtcdLeader`: handing the leadership of etcd from the node's member to another.

use usher_common::chain;
use usher_proto::reason;

use super::{Operations, admit::check_order, reboot, record::Order};
use crate::{
    config::Etcd,
    machine::etcd::{self, EtcdError, Word},
    refusal::Refusal,
};

/// From which member to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaderMove {
    /// The member that the caller believes to lead, and to be this node's.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl LeaderMove {
    /// `hand the leadership of etcd from member 8e9e05c52164694d to member 91bc3c398fb3c146`, in the numbers of etcdctl.
    pub(crate) fn description(self) -> String {
        let Self { from, to } = self;
        format!("hand the leadership of etcd from member {from:x} to member {to:x}")
    }
}

impl Operations {
    /// Hands the leadership on, and returns what the node's member says afterwards.
    pub(crate) async fn move_etcd_leader(
        &self,
        etcd: &Etcd,
        order: &Order,
        wanted: LeaderMove,
    ) -> Result<Word, Refusal> {
        check_order(order)?;
        if wanted.from == 0 || wanted.to == 0 || wanted.from == wanted.to {
            return Err(Refusal::bad_request("to_member_id", "must be another member than the one that leads"));
        }
        self.check_node(&order.node)?;
        self.check_epoch(order.epoch)?;
        reboot::not_held(&self.inner.machine, &self.inner.store).await?;
        if !order.dry_run {
            self.record_epoch(order.epoch).await?;
        }
        let client = &self.inner.machine.client;
        let word = etcd::ask(etcd, client).await.map_err(|error| unavailable(&error))?;
        if !word.leads() || word.member_id != wanted.from {
            return Err(not_leader(&word, wanted));
        }
        if !word.members.iter().any(|member| member.id == wanted.to && !member.is_learner) {
            let message = format!("{:x} is no voting member of this cluster", wanted.to);
            return Err(Refusal::bad_request("to_member_id", &message));
        }
        if order.dry_run {
            return Ok(word);
        }
        etcd::move_leader(etcd, client, wanted.to).await.map_err(|error| unavailable(&error))?;
        etcd::ask(etcd, client).await.map_err(|error| unavailable(&error))
    }
}

fn not_leader(word: &Word, wanted: LeaderMove) -> Refusal {
    let (member, leader, expected) = (word.member_id, word.status.leader, wanted.from);
    let message = match member == expected {
        true => format!("the node's member of etcd, {member:x}, does not lead; the leader is {leader:x}"),
        false => format!("the node's member of etcd is {member:x}, and not {expected:x}, as the call expects"),
    };
    Refusal::new(reason::NOT_ETCD_LEADER, message).with("leader", format!("{leader:x}"))
}

fn unavailable(error: &EtcdError) -> Refusal {
    Refusal::new(reason::ETCD_UNAVAILABLE, format!("the node's member of etcd: {}", chain(error)))
}
