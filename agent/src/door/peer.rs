//! The peer at the other end of a connection, and how it uses it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls_pki_types::CertificateDer;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::tags::Tags;
use crate::caller::Caller;

/// An identified peer on its connection. Each request carries it in its extensions. Clones are the same connection's.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) caller: Caller,
    /// It is the node's own root, on the Unix socket. Its address says nothing.
    is_local: bool,
    /// Of the call that carries it.
    pub(crate) tags: Tags,
    connection: Arc<Connection>,
}

#[derive(Debug)]
struct Connection {
    /// What the peer presented, the end entity first. Empty behind a door without TLS.
    chain: Vec<CertificateDer<'static>>,
    /// The generation of the agent's credentials that last verified the chain.
    verified_by: AtomicU64,
    usage: Mutex<Usage>,
    changed: Notify,
    leave: CancellationToken,
}

/// The calls on a connection. HTTP/2 pings do not count, and neither do refused calls: a peer that only keeps its connection
/// alive is idle.
#[derive(Debug)]
struct Usage {
    calls: usize,
    /// When the last call ended, `None` if there was none.
    last: Option<Instant>,
    /// Since when answers wait for the peer to take them.
    owed: Vec<Instant>,
}

/// How a connection is used at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// No call has come yet.
    Unused,
    /// No call is in progress; the last ended then.
    IdleSince(Instant),
    /// At least one call is in progress. The oldest answer that the peer has not taken has waited since then.
    Busy { owed_since: Option<Instant> },
}

/// Marks a call in progress on the connection until it is dropped.
#[derive(Debug)]
pub(super) struct InUse(Arc<Connection>);

/// Marks an answer that waits for the peer to take it until it is dropped.
#[derive(Debug)]
pub(super) struct Owed(Arc<Connection>, Instant);

impl Peer {
    /// A peer whose chain the credentials of this generation have verified.
    pub(super) fn new(
        address: SocketAddr,
        caller: Caller,
        chain: Vec<CertificateDer<'static>>,
        generation: u64,
    ) -> Self {
        let usage = Usage { calls: 0, last: None, owed: Vec::new() };
        let connection = Connection {
            chain,
            verified_by: AtomicU64::new(generation),
            usage: Mutex::new(usage),
            changed: Notify::new(),
            leave: CancellationToken::new(),
        };
        Self { address, caller, is_local: false, tags: Tags::default(), connection: Arc::new(connection) }
    }

    /// A user of the node whom the agent serves on its Unix socket.
    pub(super) fn local(uid: u32) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { is_local: true, ..Self::new(nowhere, Caller::local(uid), Vec::new(), 0) }
    }

    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Where it calls from, for records: an address, or "unix socket".
    pub(crate) fn origin(&self) -> String {
        if self.is_local { "unix socket".to_owned() } else { self.address.to_string() }
    }

    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.connection.chain
    }

    pub(super) fn verified_by(&self) -> u64 {
        self.connection.verified_by.load(Ordering::Relaxed)
    }

    pub(super) fn set_verified_by(&self, generation: u64) {
        self.connection.verified_by.store(generation, Ordering::Relaxed);
    }

    /// Counts a call until the returned guard is dropped.
    pub(super) fn begin_call(&self) -> InUse {
        self.connection.usage().calls += 1;
        self.connection.changed.notify_one();
        InUse(Arc::clone(&self.connection))
    }

    pub(super) fn use_now(&self) -> Use {
        let usage = self.connection.usage();
        match (usage.calls, usage.last) {
            (0, None) => Use::Unused,
            (0, Some(last)) => Use::IdleSince(last),
            _ => Use::Busy { owed_since: usage.owed.iter().min().copied() },
        }
    }

    /// Completes when [`Peer::use_now`] may give something else than before.
    pub(super) async fn use_changed(&self) {
        self.connection.changed.notified().await;
    }

    /// Ends the connection: it takes no new calls, and those in progress get a moment to end.
    pub(super) fn dismiss(&self) {
        self.connection.leave.cancel();
    }

    /// Completes when the peer has been dismissed.
    pub(super) async fn dismissed(&self) {
        self.connection.leave.cancelled().await;
    }
}

impl InUse {
    /// Marks an answer that waits to be taken from now on.
    pub(super) fn owe(&self) -> Owed {
        let now = Instant::now();
        self.0.usage().owed.push(now);
        self.0.changed.notify_one();
        Owed(Arc::clone(&self.0), now)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = self.0.usage();
        usage.calls -= 1;
        usage.last = Some(Instant::now());
        drop(usage);
        self.0.changed.notify_one();
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let mut usage = self.0.usage();
        if let Some(place) = usage.owed.iter().position(|since| *since == self.1) {
            usage.owed.swap_remove(place);
        }
    }
}

impl Connection {
    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Peer {
    pub(super) fn is_dismissed(&self) -> bool {
        self.connection.leave.is_cancelled()
    }
}
