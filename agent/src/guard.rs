//! The guard before every service: no call without a listed name, no change without the operator's role.
//!
//! A layer and not an interceptor of each service, so that nothing is served unguarded by omission (health and reflection
//! included), and so that a refusal knows the method for its audit record.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;
use tower::{Layer, Service};
use usher_proto::reason;

use crate::{
    access::Role,
    audit,
    listener::{InUse, Peer},
    live::Live,
    refusal::Refusal,
};

/// The path of each changing call begins so.
const CONTROL: &str = "/usher.agent.v1.NodeControl/";

/// Makes [`Guarded`] services.
#[derive(Debug, Clone)]
pub struct Guard {
    live: Arc<Live>,
}

impl Guard {
    /// A guard that looks callers up in the allow-list in force at the time of the call.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    fn check(&self, peer: Option<&Peer>, path: &str) -> Result<(), Refusal> {
        let Some(peer) = peer else {
            return Err(Refusal::new(reason::NOT_LISTED, "this connection has no certificate"));
        };
        let needed = if path.starts_with(CONTROL) { Role::Operator } else { Role::Viewer };
        let caller = &peer.caller;
        match self.live.role(caller.names()) {
            Ok(role) if role >= needed => Ok(()),
            Ok(role) => Err(Refusal::new(
                reason::ROLE_TOO_LOW,
                format!(
                    "{caller} has the role {role}; this call needs {needed}. Add the name to allow.operator of the agent's configuration"
                ),
            )),
            Err((viewers, operators)) => Err(Refusal::new(
                reason::NOT_LISTED,
                format!(
                    "the certificate ({caller}) is signed by the right CA but is not in the allow-list (viewer: {viewers} names, \
                     operator: {operators} names). Add one of its names to [allow] of the agent's configuration"
                ),
            )),
        }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind the guard.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for Guarded<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    Out: Default + Send + 'static,
{
    type Response = Response<TrackedBody<Out>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        let in_use = peer.map(Peer::begin_call);
        if let Err(refusal) = self.guard.check(peer, request.uri().path()) {
            audit::refused_at_the_door(request.uri().path(), peer, &refusal);
            let response = Status::from(refusal).into_http();
            return Box::pin(async move { Ok(response.map(|body| TrackedBody { body, in_use })) });
        }
        let response = self.inner.call(request);
        Box::pin(async move { Ok(response.await?.map(|body| TrackedBody { body, in_use })) })
    }
}

/// A response's body that holds its connection in use until it has ended.
#[derive(Debug, Default)]
pub struct TrackedBody<B> {
    body: B,
    in_use: Option<InUse>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.in_use = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
