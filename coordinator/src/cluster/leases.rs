//! The records of elections: reading them, and freeing one for a holder that was stopped.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Endpoints};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde::Deserialize;
use usher_common::clock;

use super::{Cluster, ClusterError, LeaseName};
use crate::{
    cluster::retry::retry,
    facts::leader::{Holder, Known, Leadership, host_of, machine_and_rivals, machine_of},
};

/// The annotation of elections before Kubernetes 1.20.
const LEGACY_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// Where kubelets renew their heartbeats.
const NODE_LEASES: &str = "kube-node-lease";

/// client-go's default, used when a lease does not say how long it lasts.
const DEFAULT_LEASE: Duration = Duration::from_secs(15);

/// An election's record at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Empty if nobody holds it.
    pub(super) holder: String,
    pub(super) preferred: Option<String>,
    pub(super) duration: Duration,
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    /// When the API server stored the last renewal, by its own clock.
    pub(super) stored: Option<Timestamp>,
    pub(super) transitions: u64,
    /// The resourceVersion, for a watch to go on from. None if the record is an annotation, which is not watched.
    pub(super) version: Option<String>,
}

/// The JSON within the legacy annotation. Its fields are spelled unlike those of a Lease: leade**r**Transitions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyRecord {
    #[serde(default)]
    holder_identity: String,
    #[serde(default)]
    lease_duration_seconds: u64,
    acquire_time: Option<Timestamp>,
    renew_time: Option<Timestamp>,
    #[serde(default)]
    leader_transitions: u64,
}

impl Record {
    pub(super) fn from_lease(lease: Lease) -> Self {
        let (stored, version) = (renewal_stored(&lease), lease.metadata.resource_version.clone());
        let spec = lease.spec.unwrap_or_default();
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            preferred: spec.preferred_holder.filter(|preferred| !preferred.is_empty()),
            duration: seconds(spec.lease_duration_seconds.unwrap_or_default().try_into().unwrap_or_default()),
            acquired: spec.acquire_time.map(|time| time.0),
            renewed: spec.renew_time.map(|time| time.0),
            stored,
            transitions: spec.lease_transitions.unwrap_or_default().try_into().unwrap_or_default(),
            version,
        }
    }

    fn from_annotation(endpoints: &Endpoints) -> Option<Self> {
        let annotations = endpoints.metadata.annotations.as_ref()?;
        let legacy: LegacyRecord = serde_json::from_str(annotations.get(LEGACY_ANNOTATION)?).ok()?;
        Some(Self {
            holder: legacy.holder_identity,
            preferred: None,
            duration: seconds(legacy.lease_duration_seconds),
            acquired: legacy.acquire_time,
            renewed: legacy.renew_time,
            stored: None,
            transitions: legacy.leader_transitions,
            version: None,
        })
    }

    /// Whether this is what another record replaced, as far as their versions tell: those of built-in types are numbers that rise.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        let number = |record: &Self| record.version.as_ref()?.parse::<u64>().ok();
        matches!((number(self), number(other)), (Some(ours), Some(others)) if ours < others)
    }

    /// Who leads, as far as one reading can tell: a holder whose last renewal is older than the lease lasts is dead. `now` is
    /// the API server's time. The renewal's age is the server's word as well, unless its record names no time; then it is the
    /// holder's, whose clock may be wrong.
    fn leadership(&self, now: Timestamp) -> Leadership {
        if self.holder.is_empty() {
            return Leadership::Free;
        }
        let renewed = self.stored.or(self.renewed);
        match renewed.is_some_and(|renewed| age(renewed, now) <= self.duration) {
            true => Leadership::Held(self.holder(&[])),
            false => Leadership::Stale(self.holder(&[])),
        }
    }

    /// The holder for people and for the plan.
    pub(super) fn holder(&self, machines: &[Known]) -> Holder {
        let machine = |identity: &str| machine_of(identity, machines).map(str::to_owned);
        let (holder, rivals) = machine_and_rivals(&self.holder, machines);
        Holder {
            machine: holder,
            rivals,
            identity: self.holder.clone(),
            preferred: self
                .preferred
                .as_deref()
                .map(|preferred| machine(preferred).unwrap_or_else(|| preferred.into())),
            acquired: self.acquired,
            renewed: self.renewed,
            transitions: self.transitions,
        }
    }
}

/// When the API server stored the last renewal of a lease, by its own clock and in whole seconds: the time of the managed
/// fields that `spec.renewTime` belongs to. None on servers that record no managed fields.
pub(super) fn renewal_stored(lease: &Lease) -> Option<Timestamp> {
    let entries = lease.metadata.managed_fields.as_ref()?.iter();
    let renewals = entries.filter(|entry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:renewTime").is_some())
    });
    renewals.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

/// How long ago something was, in the same clock's time; nothing is in the future.
pub(super) fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

fn seconds(number: u64) -> Duration {
    if number == 0 { DEFAULT_LEASE } else { Duration::from_secs(number) }
}

impl Cluster {
    /// Frees a lease in the name of a holder that was stopped and did not do it itself, so that others need not wait for
    /// its expiry. Answers whether it was freed; false means that somebody else holds it already.
    ///
    /// It writes what client-go writes on a release: no holder and a duration of one second. The write carries the
    /// resourceVersion that was read, so it cannot undo what another candidate wrote in between.
    ///
    /// # Errors
    ///
    /// If the API does not answer, or forbids writing the lease.
    pub async fn free_lease(&self, name: &LeaseName, holder: &str) -> Result<bool, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &name.namespace);
        let params = PostParams::default();
        loop {
            let mut lease = self.patiently(&format!("read the lease {name}"), || api.get(&name.name)).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(holder) {
                return Ok(false);
            }
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            let written =
                self.patiently(&format!("free the lease {name}"), || api.replace(&name.name, &params, &lease)).await;
            match written {
                Ok(_) => return Ok(true),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// When the kubelet of `node` renewed its heartbeat lease last, by the node's own clock; None if there is no such lease.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn node_lease_renewed(&self, node: &str) -> Result<Option<Timestamp>, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), NODE_LEASES);
        let lease = self.patiently(&format!("read the heartbeat of {node}"), || api.get_opt(node)).await?;
        Ok(lease.and_then(|lease| lease.spec).and_then(|spec| spec.renew_time).map(|time| time.0))
    }

    /// The leases in a namespace that elections are held through, each with the host name in its holder's identity; that is empty if
    /// nobody holds it. Those by which apiservers say that they live, and usher's own lock, are none.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn election_leases(&self, namespace: &str) -> Result<Vec<(LeaseName, String)>, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let found = api.list(&ListParams::default()).await.map_err(|source| self.error("list the leases", source))?;
        let of_lease = |lease: Lease| {
            let name = lease.metadata.name.clone().unwrap_or_default();
            let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            let is_election = name != "usher" && !name.starts_with("apiserver-");
            is_election.then(|| (LeaseName { namespace: namespace.to_owned(), name }, host_of(&holder).to_owned()))
        };
        Ok(found.items.into_iter().filter_map(of_lease).collect())
    }

    /// Who leads an election by one reading of its record and the API server's clock, for those who only look; proof is with
    /// [`super::Elections`]. Holders have no machine yet ([`Leadership::named`]). The reading is tried again for as long as
    /// `limit`; zero means one try.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn leadership_by_clock(&self, name: &LeaseName, limit: Duration) -> Result<Leadership, ClusterError> {
        let (record, clock) = futures::join!(retry(limit, || self.record(name)), self.server_clock());
        let record = record.map_err(|source| self.error(&format!("read the lease {name}"), source))?;
        let now = clock.map_or_else(clock::now, |clock| clock.now());
        Ok(record.map_or(Leadership::Absent, |record| record.leadership(now)))
    }

    /// The record of an election: the Lease, or the annotation of old clusters if there is no Lease.
    pub(super) async fn record(&self, name: &LeaseName) -> kube::Result<Option<Record>> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &name.namespace);
        if let Some(lease) = leases.get_opt(&name.name).await? {
            return Ok(Some(Record::from_lease(lease)));
        }
        let endpoints: Api<Endpoints> = Api::namespaced(self.client.clone(), &name.namespace);
        match endpoints.get_opt(&name.name).await {
            Ok(found) => Ok(found.as_ref().and_then(Record::from_annotation)),
            // The minimal role lets usher read leases alone; without a Lease there is then nothing to be read.
            Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
