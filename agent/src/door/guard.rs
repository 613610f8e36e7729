//! The guard before every service: it authorizes each call by the caller's names and the method.
//!
//! It stands before the routes and not in each service, so that nothing is served unguarded by omission, health and reflection
//! included, and so that a refusal's audit record can name the method.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};
use tonic::{Status, service::Routes};
use tower::Service as _;
use tracing::{info, warn};
use usher_common::clock;
use usher_proto::reason;

use super::{
    answer::{Answer, KeptUntilTaken},
    limiter::Limiter,
    live::{Live, Standing},
    methods::{OpenTo, is_reflection, known_method, open_to},
    patience::Patience,
    peer::Peer,
    question::{LARGE_ONES, Question, discard},
    tags::Tags,
};
use crate::{
    audit::{Audit, Phase, Record},
    counters::{Counters, OpenConnection},
    refusal::Refusal,
};

/// How long a call may take before it is answered. Longer than the agent waits for D-Bus.
const CALL_LIMIT: Duration = Duration::from_secs(40);

/// How many calls of reflection are under way at once. What one of them tells has some 50 KiB, several times before the caller takes any.
const REFLECTIONS: usize = 8;

/// Decides on each call. Clones share the count of refusals.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    live: Arc<Live>,
    audit: Audit,
    counters: Arc<Counters>,
    limiter: Arc<Limiter>,
    /// The turns of large requests.
    large: Arc<Semaphore>,
    reflections: Arc<Semaphore>,
}

impl Guard {
    /// Looks callers up in the lists that are in force at the time of the call.
    pub(crate) fn new(live: Arc<Live>, audit: Audit, counters: Arc<Counters>) -> Self {
        let (large, reflections) = (Arc::new(Semaphore::new(LARGE_ONES)), Arc::new(Semaphore::new(REFLECTIONS)));
        Self { live, audit, counters, limiter: Arc::default(), large, reflections }
    }

    fn check(&self, peer: &Peer, path: &str) -> Result<(), Refusal> {
        let standing = self.live.standing(peer)?;
        let Some(open) = open_to(path) else {
            let message = format!("this agent (version {}) serves no method {path}", env!("CARGO_PKG_VERSION"));
            return Err(Refusal::new(reason::NO_SUCH_METHOD, message));
        };
        match (open, standing) {
            (OpenTo::All(_) | OpenTo::Root, Standing::Root) => Ok(()),
            (OpenTo::Callers(_), Standing::Root) => {
                let message = "root on the node does not need this call: it reads the agent's files and changes units itself. \
                               Through usher: usher agent, with a certificate";
                Err(Refusal::new(reason::NOT_LOCAL, message))
            }
            (OpenTo::Root, Standing::Listed(_)) => {
                let message =
                    "this call is for root on the node alone, over the agent's Unix socket: usher-agent --help";
                Err(Refusal::new(reason::LOCAL_ONLY, message))
            }
            (OpenTo::All(needed) | OpenTo::Callers(needed), Standing::Listed(role)) if role < needed => {
                let caller = &peer.caller;
                let message = format!(
                    "{caller} has the role {role}; this call needs {needed}. Add the name to allow.operator of the agent's \
                     configuration"
                );
                Err(Refusal::new(reason::ROLE_TOO_LOW, message))
            }
            (OpenTo::All(_) | OpenTo::Callers(_), Standing::Listed(_)) => Ok(()),
        }
    }

    /// Writes the audit record of a call that was refused without reading its request. The service writes those of changing
    /// calls that came in.
    fn record_refusal(&self, peer: &Peer, path: &str, refusal: &Refusal) {
        self.counters.refused(refusal.reason);
        let Some(untold) = self.limiter.tell(refusal.reason, peer.address.ip()) else { return };
        let call = path.trim_start_matches('/');
        let record = Record {
            untold,
            outcome: format!("{}: {refusal}", refusal.reason),
            request_id: peer.tags.request_id.clone(),
            trace: peer.tags.trace.clone(),
            ..Record::of(Phase::Refused, call, &peer.caller, peer.origin(), clock::now())
        };
        let (caller, fingerprint) = (record.callers(), &record.fingerprint);
        warn!(
            audit = "refused",
            refusal = refusal.reason,
            call,
            caller,
            fingerprint,
            serial = record.serial,
            issuer = record.issuer,
            address = record.address,
            untold,
            request_id = record.request_id,
            trace = record.trace,
            "refused {call}: {refusal}"
        );
        self.audit.note(record);
    }

    /// Logs that a peer got no connection.
    pub(super) fn turned_away(&self, address: SocketAddr, away: &TurnedAway) {
        let kind = away.kind();
        self.counters.refused(kind);
        if let Some(untold) = self.limiter.tell(kind, address.ip()) {
            info!(%address, untold, "refused a peer: {away}");
        }
    }

    /// Counts a caller's connection for the metrics, until the answer is dropped.
    pub(super) fn connected(&self) -> OpenConnection {
        self.counters.connected()
    }

    /// The calls on a peer's connection.
    pub(super) fn calls(&self, peer: Peer, routes: Routes) -> Calls {
        Calls { guard: self.clone(), peer, routes }
    }
}

/// Why a peer got no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum TurnedAway {
    /// So do health checks of load balancers and scans of ports.
    #[error("it hung up before its TLS handshake was over")]
    HungUp,
    #[error("its TLS handshake took longer than {0:?}")]
    TooSlow(Duration),
    #[error("newer ones came before its TLS handshake was over")]
    MadeRoom,
    #[error("all places are in use, and newer peers came")]
    NoPlace,
    /// It speaks another protocol, or it has no certificate that the CAs of callers have signed.
    #[error("its TLS handshake failed: {0}")]
    Handshake(String),
    #[error("there are no certificates")]
    NoCertificates,
}

impl TurnedAway {
    /// As [`Refusal::reason`] is for calls: its name in the metrics, and what refusals are counted by.
    const fn kind(&self) -> &'static str {
        match self {
            Self::HungUp | Self::TooSlow(_) => "NO_HANDSHAKE",
            Self::MadeRoom | Self::NoPlace => "NO_PLACE",
            Self::Handshake(_) | Self::NoCertificates => "NO_CONNECTION",
        }
    }
}

/// Whether the caller is listed, and only this call is not for it.
fn is_of_a_listed_caller(refusal: &Refusal) -> bool {
    matches!(refusal.reason, reason::NO_SUCH_METHOD | reason::ROLE_TOO_LOW | reason::LOCAL_ONLY | reason::NOT_LOCAL)
}

/// The calls on one connection.
pub(super) struct Calls {
    guard: Guard,
    peer: Peer,
    routes: Routes,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let tags = Tags::read(request.headers());
        let mut peer = self.peer.clone();
        peer.tags.clone_from(&tags);
        if let Err(refusal) = self.guard.check(&peer, request.uri().path()) {
            self.guard.record_refusal(&peer, request.uri().path(), &refusal);
            let stays = is_of_a_listed_caller(&refusal);
            if !stays {
                // Nothing that it may ask will get another answer. The connection ends once this one has been sent.
                peer.dismiss();
            }
            let mut response = Status::from(refusal).into_http().map(Answer::refusal);
            tags.answer(response.headers_mut());
            return Box::pin(async move {
                if stays {
                    discard(request.into_body()).await;
                }
                Ok(response)
            });
        }
        let in_use = peer.begin_call();
        let patience = Patience::read(request.headers());
        let limit = patience.map_or(CALL_LIMIT, |patience| patience.0.min(CALL_LIMIT));
        request.extensions_mut().insert(peer);
        patience.map(|patience| request.extensions_mut().insert(patience));
        let request = request.map(|body| Question::new(body, Arc::clone(&self.guard.large)));
        let reflections = is_reflection(request.uri().path()).then(|| Arc::clone(&self.guard.reflections));
        let mut routes = self.routes.clone();
        let (counters, method) = (Arc::clone(&self.guard.counters), known_method(request.uri().path()));
        Box::pin(async move {
            let answer = async {
                let turn = match reflections {
                    Some(reflections) => reflections.acquire_owned().await.ok(),
                    None => None,
                };
                let Ok(mut response) = routes.call(request).await;
                turn.map(|turn| response.extensions_mut().insert(KeptUntilTaken::from(turn)));
                response
            };
            let mut response = match timeout(limit, answer).await {
                Ok(response) => response,
                Err(_) => {
                    Status::deadline_exceeded(format!("the agent had no answer within {} s", limit.as_secs_f32()))
                        .into_http()
                }
            };
            // An answer that is no error tells its code only at its end, behind the body.
            let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok());
            counters.answered(method, code.unwrap_or("0"));
            tags.answer(response.headers_mut());
            let kept = response.extensions_mut().remove::<KeptUntilTaken>();
            Ok(response.map(|body| Answer::new(body, in_use, kept)))
        })
    }
}
