//! Places for the connections of listed callers: how many, for whom, and which of them makes room for another.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};
use tracing::info;

use super::peer::{Peer, Use};
use crate::{access::Role, certificate::Fingerprint, config::Limits};

/// All places. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    taken: Mutex<Taken>,
    /// Told whenever a place is left, or a connection may have become idle.
    left: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    peer: Peer,
    role: Role,
    since: Instant,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    inner: Arc<Inner>,
}

impl Places {
    /// Takes a place for a caller's connection. If there is none, the longest idle connection of a caller with no higher role is
    /// dismissed for it; if none is idle, this waits.
    pub(super) async fn take(&self, peer: &Peer, role: Role, limits: &Limits) -> Place {
        loop {
            let left = self.inner.left.notified();
            if let Some(place) = self.try_take(peer, role, limits) {
                return place;
            }
            left.await;
        }
    }

    fn try_take(&self, peer: &Peer, role: Role, limits: &Limits) -> Option<Place> {
        let inner = &self.inner;
        let most = limits.connections;
        let for_viewers = most - limits.operator_connections.min(most / 2);
        let mut taken = inner.lock();
        let certificate = fingerprint(peer);
        let same = |seat: &Seat| certificate.is_some() && fingerprint(&seat.peer) == certificate;
        if taken.seats.values().filter(|seat| same(seat)).count() >= limits.connections_per_certificate {
            taken.dismiss_longest_idle(same)?;
        }
        let viewers = taken.seats.values().filter(|seat| seat.role == Role::Viewer).count();
        let full = taken.seats.len() >= most;
        if full || (role == Role::Viewer && viewers >= for_viewers) {
            // A viewer may only displace a viewer, and so never takes one of the operators' places.
            taken.dismiss_longest_idle(|seat| seat.role <= role)?;
        }
        let id = taken.next;
        taken.next += 1;
        taken.seats.insert(id, Seat { peer: peer.clone(), role, since: Instant::now() });
        Some(Place { id, inner: Arc::clone(inner) })
    }

    /// Tells those who wait that a connection may have become idle.
    pub(super) fn look_again(&self) {
        self.inner.left.notify_waiters();
    }
}

impl Taken {
    fn dismiss_longest_idle(&mut self, among: impl Fn(&Seat) -> bool) -> Option<()> {
        let idle = |seat: &Seat| match seat.peer.use_now() {
            Use::Unused => Some(seat.since),
            Use::IdleSince(since) => Some(since),
            Use::Busy { .. } => None,
        };
        let candidates = self.seats.iter().filter(|(_, seat)| among(seat));
        let (_, id) = candidates.filter_map(|(id, seat)| Some((idle(seat)?, *id))).min()?;
        // Its place is free at once; the connection itself needs a moment to end.
        let seat = self.seats.remove(&id)?;
        info!(address = %seat.peer.address, caller = %seat.peer.caller, "an idle connection makes room for another");
        seat.peer.dismiss();
        Some(())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inner.lock().seats.remove(&self.id);
        self.inner.left.notify_waiters();
    }
}

fn fingerprint(peer: &Peer) -> Option<Fingerprint> {
    peer.caller.certificate().map(|certificate| certificate.fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;

    fn limits(connections: usize, operator_connections: usize) -> Limits {
        Limits { connections, operator_connections, ..Limits::default() }
    }

    fn peer(name: &str) -> Peer {
        Peer::new(([192, 0, 2, 1], 1).into(), Caller::named([name]), Vec::new(), 0)
    }

    #[tokio::test(start_paused = true)]
    async fn some_places_are_for_operators_and_no_viewer_displaces_one() {
        let (places, limits) = (Places::default(), limits(3, 1));
        let (viewers, operators) = ([peer("CN=v1"), peer("CN=v2"), peer("CN=v3")], [peer("CN=o1"), peer("CN=o2")]);
        let busy: Vec<_> = viewers.iter().chain(&operators).map(Peer::begin_call).collect();
        let mut held = vec![
            places.try_take(&viewers[0], Role::Viewer, &limits),
            places.try_take(&viewers[1], Role::Viewer, &limits),
        ];
        assert!(places.try_take(&viewers[2], Role::Viewer, &limits).is_none(), "the third place is for operators");
        held.push(places.try_take(&operators[0], Role::Operator, &limits));
        assert!(held.iter().all(Option::is_some));
        assert!(places.try_take(&operators[1], Role::Operator, &limits).is_none(), "all are busy");
        drop(busy);
        assert!(
            places.try_take(&operators[1], Role::Operator, &limits).is_some(),
            "the longest idle viewer makes room"
        );
        assert!(viewers[0].is_dismissed() && !operators[0].is_dismissed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_next_place_that_is_left() {
        let (places, limits) = (Places::default(), limits(1, 0));
        let (first, second) = (peer("CN=a"), peer("CN=b"));
        let _busy = first.begin_call();
        let place = places.take(&first, Role::Operator, &limits).await;
        let mut waiting = std::pin::pin!(places.take(&second, Role::Operator, &limits));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(place);
        waiting.await;
    }
}
