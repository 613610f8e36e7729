//! A Kubernetes API server in memory, below `kube::Client`: the code under test is the code that ships.
//!
//! [`ApiServer::client`] needs no socket, so a drain of minutes takes milliseconds under `#[tokio::test(start_paused = true)]`.
//! [`ApiServer::serve`] offers the same over TLS for the sandbox and for `kubectl`. The conformance suite
//! (`tests/conformance`) runs the same calls against this double and a real kube-apiserver, and wants the same answers.
//!
//! ```text
//! client ─┐                      ┌─ faults, request log
//! TLS   ──┴─ call ── dispatch ───┼─ verbs · patch · eviction ── store ── watch
//!                                └─ discovery, health             │
//!                                   control loops ── kubelets ────┘
//! ```
//!
//! [`ApiServer::new`] runs small control loops as well: budgets are recounted, replicas replaced and bound to nodes, pods
//! become ready and go after their grace, nodes send heartbeats. [`ApiServer::bare`] runs none, like a kube-apiserver
//! alone with its etcd.

mod answer;
mod arrange;
mod call;
mod clock;
mod controllers;
mod discovery;
mod dispatch;
mod election;
mod eviction;
mod faults;
pub mod fixtures;
mod form;
mod instance;
mod log;
mod managed;
mod patch;
mod resource;
mod rights;
mod selector;
mod serve;
mod store;
mod table;
mod verbs;
mod watch;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use jiff::SignedDuration;
use kube::client::Body;
use tokio::sync::watch as channel;
use tower::Service;

pub use answer::{Failure, ReplyBody};
pub use clock::Clock;
pub use controllers::{Kubelet, Start};
pub use election::{Candidate, Election};
pub use faults::{Fault, FaultHandle};
pub use instance::Instance;
pub use log::LoggedCall;
pub use resource::Resource;
pub use serve::{Endpoint, TlsFiles};

use controllers::{Kubelets, Seen};
use faults::Faults;
use log::RequestLog;
use store::Store;
use verbs::ListSnapshots;
use watch::Cut;

/// The in-memory API server. Clones share one state.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// The newest resource version; watches and control loops wake up on it.
    version: channel::Sender<u64>,
    /// Told each time that all watches come to their end, and how.
    cuts: channel::Sender<Cut>,
    clock: Clock,
}

/// Everything behind the one lock.
struct State {
    store: Store,
    snapshots: ListSnapshots,
    faults: Faults,
    log: RequestLog,
    kubelets: Kubelets,
    seen: Seen,
    settings: Settings,
}

/// What tests may turn on and off while the server runs.
#[derive(Debug, Clone)]
struct Settings {
    /// Whether connections are accepted at all.
    reachable: bool,
    /// Budgets, replicas, taints: the loops of kube-controller-manager.
    controller_manager: bool,
    /// Binding of pods to nodes.
    scheduler: bool,
    /// What `/version` says.
    git_version: String,
    /// What the caller may not do.
    forbidden: Vec<rights::Forbidden>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reachable: true,
            controller_manager: true,
            scheduler: true,
            git_version: "v1.37.2".to_owned(),
            forbidden: Vec::new(),
        }
    }
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl ApiServer {
    /// An API server with its control loops. Must be made inside a Tokio runtime, whose clock it follows.
    pub fn new() -> Self {
        let server = Self::bare();
        controllers::spawn(&server.inner);
        server
    }

    /// An API server alone: nothing recounts budgets, binds pods or ends them. Must be made inside a Tokio runtime.
    pub fn bare() -> Self {
        Self::bare_at(Clock::start())
    }

    /// A cluster whose clock is ahead of this machine's, or behind it if `ahead` is negative.
    pub fn with_clock(ahead: SignedDuration) -> Self {
        let server = Self::bare_at(Clock::ahead(ahead));
        controllers::spawn(&server.inner);
        server
    }

    fn bare_at(clock: Clock) -> Self {
        let state = State {
            store: Store::new(clock.clone()),
            snapshots: ListSnapshots::default(),
            faults: Faults::default(),
            log: RequestLog::default(),
            kubelets: Kubelets::default(),
            seen: Seen::default(),
            settings: Settings::default(),
        };
        let inner = Inner {
            state: Mutex::new(state),
            version: channel::Sender::new(0),
            cuts: channel::Sender::default(),
            clock,
        };
        let server = Self { inner: Arc::new(inner) };
        for namespace in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            server.add(fixtures::namespace(namespace));
        }
        server
    }

    /// A client that talks to this server without a socket and without kube's own retries.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// What is below [`ApiServer::client`], for a client that does something about its requests as well.
    pub fn service(
        &self,
    ) -> impl Service<Request<Body>, Response = Response<ReplyBody>, Error = io::Error, Future: Send> + Clone + Send + use<>
    {
        let server = self.clone();
        tower::service_fn(move |request| server.clone().handle(request, dispatch::Via::Memory))
    }

    /// The server's clock: wall time at its start, moved on by Tokio's time since.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Turns the loops of kube-controller-manager on or off. Off, budgets only go down and nothing replaces a pod, as in
    /// the time between two leaders.
    pub fn run_controller_manager(&self, running: bool) {
        self.inner.write(|state| {
            state.settings.controller_manager = running;
            state.seen.stir();
        });
    }

    /// Turns the binding of pods to nodes on or off.
    pub fn run_scheduler(&self, running: bool) {
        self.inner.write(|state| {
            state.settings.scheduler = running;
            state.seen.stir();
        });
    }

    /// What `/version` says from now on, with its `v`.
    pub fn set_version(&self, git_version: &str) {
        self.inner.write(|state| state.settings.git_version = git_version.to_owned());
    }

    /// Takes a right away: requests with this verb on this resource (`nodes`, `pods/eviction`, `/readyz`) are answered 403, and
    /// reviews of the right say so.
    pub fn forbid(&self, verb: &str, resource: &str) {
        let forbidden = rights::Forbidden { verb: verb.to_owned(), resource: resource.to_owned() };
        self.inner.write(|state| state.settings.forbidden.push(forbidden));
    }

    /// Refuses connections and cuts all watches until it is called with `true`.
    pub fn set_reachable(&self, reachable: bool) {
        self.inner.write(|state| state.settings.reachable = reachable);
        if !reachable {
            self.cut_watches();
        }
    }

    /// Refuses connections for this long, starting now, and cuts all watches.
    pub fn outage(&self, duration: Duration) {
        self.set_reachable(false);
        let server = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            server.set_reachable(true);
        });
    }

    /// Breaks every open watch, as a lost connection does.
    pub fn cut_watches(&self) {
        self.inner.cuts.send_replace(Cut::Broken);
    }

    /// Ends every open watch in good order, as a server does whose readers are too slow for it.
    pub fn end_watches(&self) {
        self.inner.cuts.send_replace(Cut::Ended);
    }

    /// Forgets the history, as etcd's compaction does: watches from an older version and continued lists get 410.
    pub fn compact(&self) {
        self.inner.write(|state| {
            state.store.compact();
            state.snapshots.clear();
        });
    }

    /// Lets the next matching requests go wrong. The handle tells how many did.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.inner.write(|state| state.faults.add(fault))
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<LoggedCall> {
        self.inner.lock().log.calls().to_vec()
    }

    /// The requests that would change something, as `METHOD path`, in order; dry runs end in `?dryRun=All`.
    pub fn writes(&self) -> Vec<String> {
        self.inner.lock().log.writes()
    }

    /// Forgets the request log, so that a test sees only what it does itself.
    pub fn forget_requests(&self) {
        self.inner.write(|state| state.log.clear());
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of one test thread while it held the lock left complete objects behind: every change is one insert.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes up watches and control loops.
    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        // Sent inside the lock: versions arrive in order. Sent always: a setting may matter to the control loops.
        self.version.send_replace(state.store.version());
        drop(state);
        result
    }
}
