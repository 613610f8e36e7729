//! From a connected stream to a served caller: the TLS handshake, the look at the allow-list, and a place.
//!
//! There are two pools. Strangers, who have shown no listed certificate yet, are many, short-lived and cheap; the oldest of
//! them goes for a newcomer. Callers hold places of another pool, so that no stranger can keep one out, whatever it does.
//!
//! tonic's own TLS reads its certificates once; this one uses those in force for each handshake.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls_pki_types::CertificateDer;
use tokio::{task::JoinSet, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tracing::warn;
use usher_common::stream::BoxedStream;

use super::{
    connection::{Terms, serve},
    guard::{Guard, TurnedAway},
    listener::Listener,
    live::{Live, Standing},
    local::LocalListener,
    peer::Peer,
    places::Places,
    strangers::{Strangers, Ticket},
};
use crate::{access::Role, caller::Caller};

/// The pause after a failed accept. Most often the process is out of file descriptors, until peers hang up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What it takes to let callers in.
#[derive(Clone)]
pub(crate) struct Entrance {
    live: Arc<Live>,
    guard: Guard,
    routes: Routes,
    strangers: Strangers,
    places: Places,
    closed: CancellationToken,
    stop: CancellationToken,
}

impl Entrance {
    /// An entrance to these services. Once `closed` is cancelled, nobody is let in any more; once `stop` is, connections are told to
    /// end.
    pub(crate) fn new(
        live: Arc<Live>,
        guard: Guard,
        routes: Routes,
        closed: CancellationToken,
        stop: CancellationToken,
    ) -> Self {
        Self { live, guard, routes, strangers: Strangers::default(), places: Places::default(), closed, stop }
    }

    /// Accepts connections until the entrance is closed, then waits for those that are open. Dropping it ends all of them on the spot.
    pub(crate) async fn accept(self, mut listener: Listener) {
        let mut open = JoinSet::new();
        let caller = listener.caller();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.closed.cancelled() => break,
                Some(_) = open.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match (accepted, &caller) {
                (Ok((stream, address)), None) => {
                    let ticket = self.strangers.admit(address.ip(), &self.live.limits());
                    open.spawn(self.clone().receive(stream, address, ticket));
                }
                (Ok((stream, address)), Some(caller)) => {
                    let peer = Peer::new(address, caller.clone(), Vec::new(), 0);
                    open.spawn(self.clone().welcome(stream, peer, None));
                }
                (Err(error), _) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    /// Accepts root's connections on the Unix socket, as [`Entrance::accept`] does those of the network. They have places of their
    /// own: no number of callers keeps root out.
    pub(crate) async fn accept_local(self, mut listener: LocalListener) {
        let this = Self { places: Places::default(), ..self };
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = this.stop.cancelled() => break,
                Some(_) = open.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, uid)) if listener.serves(uid) => {
                    open.spawn(this.clone().welcome(stream, Peer::local(uid), None));
                }
                Ok((_, uid)) => warn!(uid, "refused a local user: the Unix socket is for root alone"),
                Err(error) => {
                    warn!(%error, "cannot accept a local connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    /// Identifies a stranger, as long as it may stay.
    async fn receive(self, stream: BoxedStream, address: SocketAddr, ticket: Ticket) {
        let identified = tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            () = ticket.withdrawn() => return self.guard.turned_away(address, &TurnedAway::MadeRoom),
            identified = self.shake_hands(stream, address) => identified,
        };
        match identified {
            Ok((stream, peer)) => self.welcome(stream, peer, Some(ticket)).await,
            Err(away) => self.guard.turned_away(address, &away),
        }
    }

    /// Serves an identified peer: a listed one in a place of its own, another one just long enough for its refusal.
    async fn welcome(self, stream: BoxedStream, peer: Peer, ticket: Option<Ticket>) {
        let Self { live, guard, routes, places, stop, .. } = self;
        let limits = live.limits();
        let withdrawn = async {
            match &ticket {
                Some(ticket) => ticket.withdrawn().await,
                None => std::future::pending().await,
            }
        };
        let calls = guard.calls(peer.clone(), routes);
        let Ok(standing) = live.standing(&peer) else {
            let terms = Terms { limits, places: None };
            return tokio::select! {
                biased;
                () = withdrawn => {}
                () = serve(stream, peer.clone(), calls, terms, &live, &stop) => {}
            };
        };
        // Root has places of its own, and needs no rank among them.
        let role = match standing {
            Standing::Listed(role) => role,
            Standing::Root => Role::Operator,
        };
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = withdrawn => return guard.turned_away(peer.address, &TurnedAway::NoPlace),
            place = timeout(limits.first_call_timeout, places.take(&peer, role, &limits)) => place,
        };
        drop(ticket);
        match place {
            Ok(_place) => {
                let _open = guard.connected();
                serve(stream, peer, calls, Terms { limits, places: Some(places) }, &live, &stop).await;
            }
            Err(_) => warn!(
                address = %peer.address, caller = %peer.caller,
                "no place became free for a caller: each is in use. Raise limits.connections, or see who holds them"
            ),
        }
    }

    async fn shake_hands(&self, stream: BoxedStream, address: SocketAddr) -> Result<(BoxedStream, Peer), TurnedAway> {
        let (server, generation) = self.live.server().ok_or(TurnedAway::NoCertificates)?;
        let limit = self.live.limits().handshake_timeout;
        let tls = match timeout(limit, TlsAcceptor::from(server).accept(stream)).await {
            Ok(Ok(tls)) => tls,
            // Errors of TLS itself have the kind `InvalidData`; the others are the stream's.
            Ok(Err(error)) if error.kind() != io::ErrorKind::InvalidData => return Err(TurnedAway::HungUp),
            Ok(Err(error)) => return Err(TurnedAway::Handshake(error.to_string())),
            Err(_) => return Err(TurnedAway::TooSlow(limit)),
        };
        let chain: Vec<_> = tls
            .get_ref()
            .1
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|der| der.clone().into_owned())
            .collect();
        let certificate: &CertificateDer<'_> =
            chain.first().ok_or_else(|| TurnedAway::Handshake("it has no certificate".into()))?;
        let caller = Caller::of(certificate).map_err(|error| TurnedAway::Handshake(error.to_string()))?;
        Ok((Box::new(tls), Peer::new(address, caller, chain, generation)))
    }
}
