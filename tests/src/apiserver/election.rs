//! Fake elected components, by client-go's algorithm: candidates poll a Lease, the leader renews it, and whether it is
//! released at the end depends on the component.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    ApiServer,
    clock::micros,
    resource::LEASES,
    store::{Key, Store, meta},
};

/// Kubernetes' defaults of kube-scheduler and kube-controller-manager.
const LEASE_DURATION: Duration = Duration::from_secs(15);
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// What client-go adds at random, at most: 1.2 times the retry period. Here it is spread by the host's name.
const JITTER: Duration = Duration::from_millis(2400);

/// One elected component.
#[derive(Clone)]
pub struct Election {
    server: ApiServer,
    key: Key,
    releases: bool,
    /// A host, and what instances on it call themselves.
    alias: Option<(String, String)>,
}

/// A running instance of the component. Dropped, it is killed: its Lease stays until it expires.
pub struct Candidate {
    identity: String,
    stop: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Election {
    /// An election over the Lease `NAMESPACE/NAME`, whose leader keeps the Lease on SIGTERM, as
    /// kube-controller-manager does.
    pub fn keeping(server: &ApiServer, lease: &str) -> Self {
        let (namespace, name) = lease.split_once('/').unwrap_or(("kube-system", lease));
        Self { server: server.clone(), key: Key::new(LEASES, namespace, name), releases: false, alias: None }
    }

    /// An election whose leader releases the Lease on SIGTERM, as kube-scheduler does.
    pub fn releasing(server: &ApiServer, lease: &str) -> Self {
        Self { releases: true, ..Self::keeping(server, lease) }
    }

    /// The same, whose instances on this host have another name in the Lease, as after a change of the host's name.
    #[must_use]
    pub fn with_alias(self, host: &str, name: &str) -> Self {
        Self { alias: Some((host.to_owned(), name.to_owned())), ..self }
    }

    /// Starts an instance on a host. It tries for the Lease at once.
    pub fn start(&self, host: &str) -> Candidate {
        let alias = self.alias.as_ref().filter(|(aliased, _)| aliased == host);
        let host = alias.map_or(host, |(_, name)| name.as_str());
        let uuid = self.server.inner.write(|state| state.store.new_uid());
        let identity = format!("{host}_{uuid}");
        let (stop, stopped) = mpsc::channel(1);
        let run = Run { election: self.clone(), identity: identity.clone(), observed: (Value::Null, Instant::now()) };
        Candidate { identity, stop, task: tokio::spawn(run.until(stopped)) }
    }

    /// The identity in the Lease now; `None` if it is free or not there.
    pub fn holder(&self) -> Option<String> {
        let lease = self.server.inner.lock().store.get(&self.key)?;
        lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
    }
}

impl Candidate {
    /// `HOST_UUID`, new with each start.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Ends it as SIGTERM does, and waits for its end.
    pub async fn terminate(mut self) {
        let _ = self.stop.send(()).await;
        // A task that panicked has ended as well.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Run {
    election: Election,
    identity: String,
    /// The record as it was last seen to change, and when that was: expiry is judged by the own clock.
    observed: (Value, Instant),
}

impl Run {
    async fn until(mut self, mut stopped: mpsc::Receiver<()>) {
        let jitter = JITTER / 16 * (self.identity.bytes().map(u32::from).sum::<u32>() % 16);
        loop {
            let leads = self.try_once();
            let pause = if leads { RETRY_PERIOD } else { RETRY_PERIOD + jitter };
            tokio::select! {
                biased;
                _ = stopped.recv() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if self.election.releases {
            self.release();
        }
    }

    /// Acquires or renews; tells whether it leads now.
    fn try_once(&mut self) -> bool {
        let server = self.election.server.clone();
        server.inner.write(|state| {
            let store = &mut state.store;
            let now = micros(store.now());
            let record = store.get(&self.election.key).map(|lease| lease["spec"].clone()).unwrap_or_default();
            if record != self.observed.0 {
                self.observed = (record.clone(), Instant::now());
            }
            let holder = record["holderIdentity"].as_str().unwrap_or_default();
            let mine = holder == self.identity;
            let duration = record["leaseDurationSeconds"].as_u64().map_or(LEASE_DURATION, Duration::from_secs);
            if !mine && !holder.is_empty() && self.observed.1.elapsed() < duration {
                return false;
            }
            let transitions = record["leaseTransitions"].as_u64().unwrap_or(0);
            let spec = json!({
                "holderIdentity": self.identity, "leaseDurationSeconds": LEASE_DURATION.as_secs(), "renewTime": now,
                "acquireTime": if mine { record["acquireTime"].clone() } else { now.into() },
                "leaseTransitions": if mine || record.is_null() { transitions } else { transitions + 1 },
            });
            self.observed = (spec.clone(), Instant::now());
            write(store, &self.election.key, spec);
            true
        })
    }

    fn release(&self) {
        self.election.server.inner.write(|state| {
            let Some(lease) = state.store.get(&self.election.key) else { return };
            let record = &lease["spec"];
            if record["holderIdentity"] == self.identity.as_str() {
                let now = micros(state.store.now());
                let spec = json!({
                    "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now, "acquireTime": now,
                    "leaseTransitions": record["leaseTransitions"],
                });
                write(&mut state.store, &self.election.key, spec);
            }
        });
    }
}

fn write(store: &mut Store, key: &Key, spec: Value) {
    let mut lease = store.get(key).map_or_else(|| json!({"metadata": {}}), |lease| (*lease).clone());
    if meta(&lease, "uid").is_empty() {
        store.stamp(key, &mut lease);
    }
    lease["spec"] = spec;
    store.put(key.clone(), lease);
}
