//! The cluster's lock: one operation that changes machines at a time.
//!
//! A Lease whose holder renews it while it works, and once more right before each step that cannot be taken back. Each taking raises
//! `leaseTransitions`, which is the epoch that every call to an agent carries: an agent that has seen a higher one refuses. Releasing
//! leaves the Lease in place, without a holder, so that the epoch only ever rises.
//!
//! The lock of a dead holder is taken over once the API server's own clock shows that it was not renewed for its duration, or,
//! where a server does not show it, after a watch of that duration from here.

mod epoch;
mod holder;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use usher_common::clock::{self, Moment};

use self::holder::{DURATION, OPERATION, TASK};
pub use self::{epoch::ImplausibleEpoch, holder::LockHolder};
use super::{Cluster, ClusterError, names::REASON};
use crate::text;

/// Where the lock lives: beside the components' own leases, where every cluster has a namespace.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "usher";

/// Six tries within the duration.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// After a failed renewal, and while watching whether another holder lives.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// Without a renewal for this long, another may soon take the lock: nothing irreversible is begun any more.
const LOST_AFTER: Duration = Duration::from_secs(45);

/// How soon work under way hears that the lock is lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who wants the lock, and why.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// The operation's id.
    pub operation: String,
    /// The person, as user@host.
    pub requester: String,
    pub reason: String,
    /// The ticket, if any.
    pub task_id: Option<String>,
    /// The highest epoch that each agent says it has seen, by machine: that of the lock will be higher.
    pub epochs: BTreeMap<String, u64>,
}

/// The lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another operation holds it and is alive.
    #[error("the lock is held by {0}")]
    Held(Box<LockHolder>),
    /// No epoch can be had that would fence anything.
    #[error(transparent)]
    Epoch(#[from] ImplausibleEpoch),
    /// The API said otherwise.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The lock, held. Renewed in the background until it is released or lost.
#[derive(Debug)]
pub struct Lock {
    cluster: Cluster,
    epoch: u64,
    holder: String,
    ours: Arc<Mutex<Ours>>,
    renewal: JoinHandle<()>,
}

/// What is known of our own lock.
#[derive(Debug)]
struct Ours {
    /// When the last renewal that succeeded was sent. Others go on counting while this machine sleeps.
    renewed: Moment,
    /// Somebody else was seen to hold it, or it was gone.
    gone: bool,
}

impl Ours {
    fn is_held(&self) -> bool {
        !self.gone && self.renewed.elapsed() <= LOST_AFTER
    }
}

impl Lock {
    /// The epoch for calls to agents.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether it is still ours. False once another holder was seen, and 45 s after the last renewal that succeeded: another
    /// operation may take it 15 s later.
    pub fn is_held(&self) -> bool {
        locked(&self.ours).is_held()
    }

    /// The same, to be asked where the lock itself is out of reach.
    pub fn holding(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let ours = Arc::clone(&self.ours);
        move || locked(&ours).is_held()
    }

    /// Renews it now. True if the server says that it is ours.
    ///
    /// # Errors
    ///
    /// If the API does not answer, or refuses.
    pub async fn prove(&self) -> Result<bool, ClusterError> {
        let sent = Moment::now();
        let api = self.cluster.locks();
        let is_ours = self.cluster.patiently("renew the lock", || renew_once(&api, &self.holder)).await?;
        let mut ours = locked(&self.ours);
        match is_ours {
            true => ours.renewed = sent,
            false => ours.gone = true,
        }
        Ok(is_ours)
    }

    /// Completes when it is not held any more.
    pub async fn lost(&self) {
        while self.is_held() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Gives the lock back. A lock that was lost is left alone.
    ///
    /// # Errors
    ///
    /// If the API does not answer; the lock then expires by itself.
    pub async fn release(self) -> Result<(), ClusterError> {
        self.renewal.abort();
        let released = self.cluster.patiently("release the lock", || {
            write_if_held(self.cluster.locks(), &self.holder, json!({"path": "/spec/holderIdentity", "value": ""}))
        });
        released.await.map(drop)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Cluster {
    /// Who holds the lock now, by one reading of it; None if nobody does.
    ///
    /// # Errors
    ///
    /// If the API does not answer at once, or forbids it.
    pub async fn lock_holder(&self) -> Result<Option<LockHolder>, ClusterError> {
        let api = self.locks();
        let (lease, clock) = futures::join!(api.get_opt(NAME), self.server_clock());
        let lease = lease.map_err(|source| self.error("read the lock", source))?;
        Ok(lease.as_ref().and_then(|lease| LockHolder::of(lease, clock)))
    }

    /// Takes the lock, or says who holds it. The lock of a dead holder is taken over at once. While nobody can tell whether the holder
    /// lives, a notice says whose lock it is and how long the wait can last.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] within seconds if the holder lives; [`LockError::Epoch`] if an agent reports an epoch that no lock has
    /// had; else what the API says.
    pub async fn acquire_lock(&self, request: &LockRequest) -> Result<Lock, LockError> {
        let clock = self.server_clock().await;
        let mut watched: Option<(Lease, Instant)> = None;
        loop {
            let api = self.locks();
            let current = self.patiently("read the lock", || api.get_opt(NAME)).await?;
            if let Some(lease) = &current
                && let Some(holder) = LockHolder::of(lease, clock)
            {
                match &watched {
                    _ if holder.dead => self.notice(&format!("taking over the lock of {holder}")),
                    // Seen renewing, or taken by another in the meantime: alive.
                    Some((before, _)) if renewal_of(before) != renewal_of(lease) => {
                        return Err(LockError::Held(Box::new(holder)));
                    }
                    Some((_, since)) if since.elapsed() <= DURATION => {
                        sleep(RETRY_EVERY).await;
                        continue;
                    }
                    Some(_) => self.notice(&format!("taking over the lock of {holder}, who no longer renews it")),
                    None => {
                        if holder.seems_fresh(clock) {
                            return Err(LockError::Held(Box::new(holder)));
                        }
                        let left = text::took(holder.free_in());
                        self.notice(&format!(
                            "waiting for the lock of {holder}: free in {left} at the latest, unless it is renewed"
                        ));
                        watched = Some((lease.clone(), Instant::now()));
                        continue;
                    }
                }
            }
            match self.take(current, request).await {
                Ok(lock) => return Ok(lock),
                // Somebody else was faster: look again at who it is.
                Err(LockError::Cluster(error)) if error.is_conflict() => watched = None,
                Err(error) => return Err(error),
            }
        }
    }

    async fn take(&self, current: Option<Lease>, request: &LockRequest) -> Result<Lock, LockError> {
        let api = self.locks();
        let exists = current.is_some();
        let mut lease = current.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                namespace: Some(NAMESPACE.into()),
                ..ObjectMeta::default()
            },
            ..Lease::default()
        });
        let before = lease.spec.take().and_then(|spec| spec.lease_transitions);
        let epoch = epoch::next(before, &request.epochs)?;
        let holder = format!("{}/{}", request.requester, request.operation);
        let now = MicroTime(clock::now());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(epoch),
            ..LeaseSpec::default()
        });
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(OPERATION.into(), request.operation.clone());
        annotations.insert(REASON.into(), request.reason.clone());
        match &request.task_id {
            Some(task) => annotations.insert(TASK.into(), task.clone()),
            None => annotations.remove(TASK),
        };
        let sent = Moment::now();
        // Not repeated: a write whose answer was lost conflicts with itself, and is then found to be ours by its holder.
        let written = match exists {
            true => api.replace(NAME, &PostParams::default(), &lease).await,
            false => api.create(&PostParams::default(), &lease).await,
        };
        if let Err(source) = written {
            let error = self.error("take the lock", source);
            let found = self.patiently("read the lock", || api.get_opt(NAME)).await?;
            let ours = found.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
            if ours.as_deref() != Some(holder.as_str()) {
                return Err(error.into());
            }
        }
        let ours = Arc::new(Mutex::new(Ours { renewed: sent, gone: false }));
        let renewal = tokio::spawn(renew(self.clone(), holder.clone(), Arc::clone(&ours)));
        let epoch = u64::try_from(epoch).unwrap_or_default();
        Ok(Lock { cluster: self.clone(), epoch, holder, ours, renewal })
    }

    fn locks(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }
}

fn locked(ours: &Mutex<Ours>) -> MutexGuard<'_, Ours> {
    ours.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Renews the lock until it is seen in other hands.
async fn renew(cluster: Cluster, holder: String, ours: Arc<Mutex<Ours>>) {
    let api = cluster.locks();
    let mut pause = RENEW_EVERY;
    loop {
        sleep(pause).await;
        // Others count from the moment in which the server stores it, which is no earlier than this.
        let sent = Moment::now();
        match renew_once(&api, &holder).await {
            Ok(true) => {
                locked(&ours).renewed = sent;
                pause = RENEW_EVERY;
            }
            Ok(false) => {
                tracing::debug!("the lock is in other hands");
                locked(&ours).gone = true;
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "the lock was not renewed");
                pause = RETRY_EVERY;
            }
        }
    }
}

/// Answers false if somebody else holds it.
async fn renew_once(api: &Api<Lease>, holder: &str) -> kube::Result<bool> {
    write_if_held(api.clone(), holder, json!({"path": "/spec/renewTime", "value": MicroTime(clock::now())})).await
}

/// Replaces one field of the lock in one write, if it is still this holder's: the server tests that. Answers false if not.
async fn write_if_held(api: Api<Lease>, holder: &str, mut replace: serde_json::Value) -> kube::Result<bool> {
    replace["op"] = "replace".into();
    let test = json!({"op": "test", "path": "/spec/holderIdentity", "value": holder});
    let patch = serde_json::from_value(json!([test, replace])).map_err(kube::Error::SerdeError)?;
    match api.patch(NAME, &PatchParams::default(), &Patch::<()>::Json(patch)).await {
        Ok(_) => Ok(true),
        // The test failed, or there is no lock any more.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 422) => Ok(false),
        Err(error) => Err(error),
    }
}

fn renewal_of(lease: &Lease) -> (Option<&str>, Option<Timestamp>) {
    let spec = lease.spec.as_ref();
    (
        spec.and_then(|spec| spec.holder_identity.as_deref()),
        spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0),
    )
}

#[cfg(test)]
mod tests;
