//! The cluster's lock: one operation that changes machines at a time.
//!
//! A Lease whose holder renews it while it works. Each taking raises `leaseTransitions`, which is the epoch that every call
//! to an agent carries: an agent that has seen a higher one refuses, so a coordinator that lost the lock without noticing
//! can do nothing. Releasing leaves the Lease in place, without a holder, so that the epoch only ever rises.
//!
//! A lock whose holder died is taken over once the API server's own clock says that it was not renewed for its duration;
//! where no server says so, once nobody was seen to renew it for as long. No other clock is believed.

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
use serde::{Serialize, Serializer};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use usher_common::clock;

use super::{
    Cluster, ClusterError, ServerClock,
    leases::{age, renewal_stored},
};
use crate::words;

/// Where the lock lives: beside the components' own leases, where every cluster has a namespace.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "usher";

/// Long enough to ride out the restart of every apiserver behind a slow balancer, short enough that a crashed coordinator
/// blocks nobody for long.
const DURATION: Duration = Duration::from_secs(60);

/// What two servers' clocks may differ by, and the fractions of a second that they do not show.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

/// Six tries within the duration.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// After a failed renewal, and while watching whether another holder lives.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// Without a renewal for this long, another may soon take the lock: nothing irreversible is begun any more.
const LOST_AFTER: Duration = Duration::from_secs(45);

const REASON: &str = "usher.dev/reason";
const TASK: &str = "usher.dev/task";
const OPERATION: &str = "usher.dev/operation";

/// Who wants the lock, and why.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// The operation's id.
    pub operation: String,
    /// The person, as user@host.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// The ticket, if any.
    pub task_id: Option<String>,
    /// The epoch must be higher than this: the highest that any agent has seen.
    pub above_epoch: u64,
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockHolder {
    /// The operation's id.
    pub operation: String,
    /// The person, as user@host.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// The ticket, if any.
    pub task_id: Option<String>,
    /// When it was taken, by the holder's clock.
    pub acquired: Option<Timestamp>,
    /// When it was renewed last, by the holder's clock.
    pub renewed: Option<Timestamp>,
    /// How long ago the API server stored that renewal, by its own clock; None if it does not say.
    #[serde(rename = "silentSeconds", serialize_with = "in_seconds")]
    pub silent: Option<Duration>,
    /// Whether the holder is dead or cut off: it did not renew the lock for its duration, so that the next may take it.
    pub dead: bool,
}

impl LockHolder {
    /// How long until the lock can be taken if it is not renewed.
    pub fn free_in(&self) -> Duration {
        match self.silent {
            Some(silent) if silent <= DURATION => DURATION + CLOCKS_DIFFER - silent,
            // No server says, or its clock and the holder's contradict each other: it is watched for the whole time.
            _ => DURATION,
        }
    }
}

impl std::fmt::Display for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (operation {}, {:?}", self.requester, self.operation, self.reason)?;
        if let Some(silent) = self.silent {
            write!(f, ", renewed {} ago", words::took(silent))?;
        }
        f.write_str(if self.dead { ") (dead)" } else { ")" })
    }
}

/// The lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another operation holds it and is alive.
    #[error("the lock is held by {0}")]
    Held(Box<LockHolder>),
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
    /// When the last renewal that succeeded was sent.
    renewed: Instant,
    /// Somebody else was seen to hold it, or it was gone.
    gone: bool,
}

impl Lock {
    /// The epoch for calls to agents.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether it is still ours. False as soon as another holder was seen, or once it could not be renewed for so long that
    /// another may have taken it.
    pub fn is_held(&self) -> bool {
        let ours = locked(&self.ours);
        !ours.gone && ours.renewed.elapsed() <= LOST_AFTER
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
        Ok(lease.as_ref().and_then(|lease| holder_of(lease, clock)))
    }

    /// Takes the lock, or says who holds it. That of a dead holder is taken over at once; while it cannot be told whether the
    /// holder lives, the operator hears what is waited for and how long at most.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] within seconds if the holder lives; else what the API says.
    pub async fn acquire_lock(&self, request: &LockRequest) -> Result<Lock, LockError> {
        let clock = self.server_clock().await;
        let mut watched: Option<(Lease, Instant)> = None;
        loop {
            let api = self.locks();
            let current = self.patiently("read the lock", || api.get_opt(NAME)).await?;
            if let Some(lease) = &current
                && let Some(holder) = holder_of(lease, clock)
            {
                match &watched {
                    _ if holder.dead => self.tell(&format!("taking over the lock of {holder}")),
                    // Seen renewing, or taken by another in the meantime: alive.
                    Some((before, _)) if renewal_of(before) != renewal_of(lease) => {
                        return Err(LockError::Held(Box::new(holder)));
                    }
                    Some((_, since)) if since.elapsed() <= DURATION => {
                        sleep(RETRY_EVERY).await;
                        continue;
                    }
                    Some(_) => self.tell(&format!("taking over the lock of {holder}, who no longer renews it")),
                    None => {
                        if seems_fresh(&holder, clock) {
                            return Err(LockError::Held(Box::new(holder)));
                        }
                        let left = words::took(holder.free_in());
                        self.tell(&format!(
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
                Err(error) if error.is_conflict() => watched = None,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn take(&self, current: Option<Lease>, request: &LockRequest) -> Result<Lock, ClusterError> {
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
        let before = lease.spec.take().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        let epoch = u64::try_from(before).unwrap_or_default().max(request.above_epoch).saturating_add(1);
        let holder = format!("{}/{}", request.requester, request.operation);
        let now = MicroTime(clock::now());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(i32::try_from(epoch).unwrap_or(i32::MAX)),
            ..LeaseSpec::default()
        });
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(OPERATION.into(), request.operation.clone());
        annotations.insert(REASON.into(), request.reason.clone());
        match &request.task_id {
            Some(task) => annotations.insert(TASK.into(), task.clone()),
            None => annotations.remove(TASK),
        };
        let sent = Instant::now();
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
                return Err(error);
            }
        }
        let ours = Arc::new(Mutex::new(Ours { renewed: sent, gone: false }));
        let renewal = tokio::spawn(renew(self.clone(), holder.clone(), Arc::clone(&ours)));
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
        let sent = Instant::now();
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

/// Whether the holder renewed it a moment ago, so that there is nothing to wait for. Where no server says when, clocks that agree
/// show it: refusing on their word is the safe side.
fn seems_fresh(holder: &LockHolder, clock: Option<ServerClock>) -> bool {
    let by_its_clock = || {
        let now = clock.map_or_else(clock::now, |clock| clock.now());
        holder.renewed.map(|renewed| now.duration_since(renewed).unsigned_abs())
    };
    holder.silent.or_else(by_its_clock).is_some_and(|silent| silent < DURATION / 2)
}

fn holder_of(lease: &Lease, clock: Option<ServerClock>) -> Option<LockHolder> {
    let spec = lease.spec.as_ref()?;
    let identity = spec.holder_identity.as_deref().filter(|identity| !identity.is_empty())?;
    let none = BTreeMap::new();
    let annotations = lease.metadata.annotations.as_ref().unwrap_or(&none);
    let (requester, operation) = identity.rsplit_once('/').unwrap_or((identity, ""));
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    let silent = clock.and_then(|clock| Some(age(renewal_stored(lease)?, clock.now())));
    let is_over = |silent: Duration| silent > DURATION + CLOCKS_DIFFER;
    // A server that stored renewals without noting their time would call a living holder dead: it must look dead by its own
    // clock as well.
    let looks_alive = |clock: ServerClock| renewed.is_some_and(|renewed| !is_over(age(renewed, clock.now())));
    let dead = silent.is_some_and(is_over) && !clock.is_some_and(looks_alive);
    Some(LockHolder {
        operation: operation.to_owned(),
        requester: requester.to_owned(),
        reason: annotations.get(REASON).cloned().unwrap_or_default(),
        task_id: annotations.get(TASK).cloned(),
        acquired: spec.acquire_time.as_ref().map(|time| time.0),
        renewed,
        silent,
        dead,
    })
}

fn in_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}
