//! One connection: HTTP/2 with tight bounds, and when it ends.

use std::{sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use usher_common::{clock, stream::BoxedStream};

use super::{
    guard::Calls,
    live::Live,
    peer::{Peer, Use},
    places::Places,
    question::REQUEST_LIMIT,
};
use crate::config::Limits;

/// Concurrent calls on one connection. A coordinator has a watch and a question or two.
const STREAMS: u32 = 8;

/// How much of a request may wait in memory before it is read, for one call and for all calls of a connection: the size of the largest
/// request.
const WINDOW: u32 = REQUEST_LIMIT as u32;

/// How much of one answer may wait in memory for the peer to take it.
const SEND_BUFFER: usize = 32 * 1024;

/// The size of all headers of a request.
const HEADERS: u32 = 16 * 1024;

/// The interval between HTTP/2 pings of the agent's own, and how long a peer may take to answer one. A connection whose peer died is closed
/// and makes room for another.
const PING_EVERY: Duration = Duration::from_secs(30);

/// How long a peer that is not listed may stay for its refusal after the handshake.
const STRANGER_STAYS: Duration = Duration::from_secs(5);

/// How long the peer may take to take an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How long a connection may take to end once it has been told to, if no call is worth waiting for.
const FAREWELL: Duration = Duration::from_secs(1);

/// Under which terms a connection is served.
pub(super) struct Terms {
    pub(super) limits: Limits,
    /// The places of which the connection has one. `None`: the peer is not listed, and is here for its refusal alone.
    pub(super) places: Option<Places>,
}

/// Why a connection ends by the agent's will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopping,
    /// It makes room for another, or has got its refusal.
    Dismissed,
    /// The caller has lost its rights.
    Barred,
    /// No call came in time.
    Silent,
    Idle,
    /// The connection has reached its age.
    Old,
    /// An answer was not taken.
    Untaken,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: BoxedStream,
    peer: Peer,
    calls: Calls,
    terms: Terms,
    live: &Arc<Live>,
    stop: &CancellationToken,
) {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), calls));
    let end = tokio::select! {
        biased;
        end = end_of(&peer, &terms, live, stop) => end,
        served = connection.as_mut() => {
            if let Err(error) = served {
                debug!(address = %peer.address, %error, "a connection broke");
            }
            return;
        }
    };
    debug!(address = %peer.address, caller = %peer.caller, ?end, "ending a connection");
    let grace = match end {
        // Nothing is in progress, or nothing will be taken.
        End::Silent | End::Untaken => return,
        End::Old | End::Stopping => terms.limits.connection_grace,
        End::Dismissed | End::Barred | End::Idle => FAREWELL,
    };
    // GOAWAY: the peer makes its next calls on another connection.
    connection.as_mut().graceful_shutdown();
    let _ = timeout(grace, connection).await;
}

/// Waits until the connection must end.
async fn end_of(peer: &Peer, terms: &Terms, live: &Live, stop: &CancellationToken) -> End {
    let begun = Instant::now();
    let expires = expires(peer, begun);
    let mut changes = live.changes();
    loop {
        let due = match due(peer, terms, begun, expires) {
            (at, end) if at <= Instant::now() => return end,
            (at, _) => at,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return End::Stopping,
            () = peer.dismissed() => return End::Dismissed,
            Ok(()) = changes.changed() => {
                // One that is idle learns of it with its next call, which is refused. A watch would go on.
                let busy = matches!(peer.use_now(), Use::Busy { .. });
                if busy && terms.places.is_some() && live.standing(peer).is_err() {
                    return End::Barred;
                }
            }
            () = peer.use_changed() => {
                if let Some(places) = &terms.places {
                    places.look_again();
                }
            }
            () = sleep_until(due) => {}
        }
    }
}

/// When the connection ends if nothing changes, and why.
fn due(peer: &Peer, terms: &Terms, begun: Instant, expires: Option<Instant>) -> (Instant, End) {
    let limits = &terms.limits;
    let mut due = (begun + limits.connection_age, End::Old);
    let mut or = |at, end| {
        if at < due.0 {
            due = (at, end);
        }
    };
    if let Some(expires) = expires {
        or(expires, End::Barred);
    }
    if terms.places.is_none() {
        or(begun + STRANGER_STAYS, End::Silent);
    }
    match peer.use_now() {
        Use::Unused => or(begun + limits.first_call_timeout, End::Silent),
        Use::IdleSince(since) => or(since + limits.idle_timeout, End::Idle),
        Use::Busy { owed_since: Some(since) } => or(since + ANSWER_LIMIT, End::Untaken),
        Use::Busy { owed_since: None } => {}
    }
    due
}

/// When the peer's certificate expires, by the clock that runs while nobody sets it. Calls look at the wall clock again.
fn expires(peer: &Peer, now: Instant) -> Option<Instant> {
    let left = peer.caller.certificate()?.not_after.duration_since(clock::now());
    now.checked_add(left.try_into().unwrap_or_default())
}
