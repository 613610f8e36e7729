//! What the agent asks for its callers on its machine: the member of etcd, and a unit's probe.

use tokio::{sync::SemaphorePermit, time::timeout};
use usher_common::chain;
use usher_proto::{etcd as wire, reason, v1};

use super::{Service, audit::Received};
use crate::{
    access::{Verb, Wanted},
    config::Etcd,
    door::Peer,
    machine::{
        etcd::{self, Word},
        probe::probe_once,
    },
    operations::{LeaderMove, record::Order},
    refusal::Refusal,
};

impl Service {
    /// The node's member of etcd now.
    pub(super) async fn etcd_member(&self) -> Result<v1::EtcdMember, Refusal> {
        let config = self.machine.config();
        let etcd = config.etcd.as_ref().ok_or_else(no_etcd)?;
        let asked = async {
            let _one_of_few = self.may_ask().await;
            etcd::ask(etcd, &self.machine.client).await
        };
        // The wait for other callers counts: callers have as much patience as the member is given.
        Ok(match timeout(etcd.timeout * 2, asked).await {
            Ok(Ok(word)) => member(etcd, word),
            Ok(Err(error)) => silent(etcd, chain(&error)),
            Err(_) => silent(etcd, "other callers ask it at the same time, and it is slow to answer them".to_owned()),
        })
    }

    /// Asks a unit's probe once.
    pub(super) async fn probe_now(&self, unit: &str) -> Result<v1::ProbeUnitResponse, Refusal> {
        let config = self.machine.config();
        let policy = config.units.get(unit).ok_or_else(|| {
            Refusal::new(reason::UNIT_NOT_ALLOWED, format!("{unit} is not a unit of this agent's configuration"))
        })?;
        let probe = policy.probe.as_ref().ok_or_else(|| {
            let message = format!("{unit} has no probe in this agent's configuration ([units.{unit:?}.probe])");
            Refusal::new(reason::NO_PROBE, message)
        })?;
        let _one_of_few = self.may_ask().await;
        let problem = probe_once(probe, &self.machine.client).await.err().map(|error| chain(&error));
        Ok(v1::ProbeUnitResponse { healthy: problem.is_none(), problem: problem.unwrap_or_default() })
    }

    /// Hands etcd's leadership on, in a task that the caller cannot end, with its records on the audit trail.
    pub(super) async fn hand_etcd_on(
        self,
        (id, order): (String, Order),
        wanted: LeaderMove,
        peer: Peer,
    ) -> Result<v1::EtcdMember, Refusal> {
        let received = Received::move_etcd_leader(self.audit.clone(), wanted, (&id, &order), &peer).await;
        let answer = self.moved(&order, wanted, &peer).await;
        received.answered(&answer).await;
        answer
    }

    async fn moved(&self, order: &Order, wanted: LeaderMove, peer: &Peer) -> Result<v1::EtcdMember, Refusal> {
        let config = self.machine.config();
        let etcd = config.etcd.as_ref().ok_or_else(no_etcd)?;
        // Who may restart the member or reboot its node makes it lose the leadership anyhow.
        let restart = Wanted { verb: Verb::Restart, unit: Some(&etcd.unit), overrides: false };
        let reboot = Wanted { verb: Verb::Reboot, unit: None, overrides: false };
        self.live.permit(peer, &restart).or_else(|refusal| self.live.permit(peer, &reboot).map_err(|_| refusal))?;
        self.operations.move_etcd_leader(etcd, order, wanted).await.map(|word| member(etcd, word))
    }

    /// Keeps callers from asking more at a time than what runs here should bear.
    async fn may_ask(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.asking.acquire().await.ok()
    }
}

fn no_etcd() -> Refusal {
    Refusal::new(reason::NO_ETCD, "this agent's configuration names no member of etcd: it has no table [etcd]")
}

fn silent(etcd: &Etcd, problem: String) -> v1::EtcdMember {
    let (url, unit) = (etcd.url.as_str().to_owned(), etcd.unit.clone());
    v1::EtcdMember { url, unit, problem, ..v1::EtcdMember::default() }
}

fn member(etcd: &Etcd, word: Word) -> v1::EtcdMember {
    let Word { cluster_id, member_id, status, members, alarms } = word;
    let own = members.iter().find(|member| member.id == member_id);
    let name = own.map(|member| member.name.clone()).unwrap_or_default();
    let mut errors = status.errors;
    let alarms = alarms.unwrap_or_else(|why| {
        errors.push(why);
        Vec::new()
    });
    let alarms =
        alarms.iter().map(|alarm| v1::EtcdAlarm { member_id: alarm.member_id, kind: etcd::kind_of_alarm(alarm) });
    v1::EtcdMember {
        cluster_id,
        member_id,
        name,
        version: status.version,
        leader_id: status.leader,
        is_learner: status.is_learner,
        raft_term: status.raft_term,
        raft_index: status.raft_index,
        raft_applied_index: status.raft_applied_index,
        db_size: status.db_size,
        db_size_in_use: status.db_size_in_use,
        errors,
        alarms: alarms.collect(),
        members: members.into_iter().map(peer).collect(),
        ..silent(etcd, String::new())
    }
}

fn peer(member: wire::Member) -> v1::EtcdPeer {
    let wire::Member { id, name, peer_urls, client_urls, is_learner } = member;
    v1::EtcdPeer { member_id: id, name, peer_urls, client_urls, is_learner }
}
