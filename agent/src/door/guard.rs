//! The guard before every service: it authorizes each call by the caller's names and the method.
//!
//! A layer and not an interceptor of each service, so that nothing is served unguarded by omission, health and reflection
//! included, and so that a refusal's audit record can name the method.

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
use tracing::warn;
use usher_proto::reason;

use super::{
    connection::{InUse, Peer},
    live::Live,
};
use crate::{access::Role, refusal::Refusal};

/// The role that each method needs. Nobody may call a method without a row, whatever service offers it, so that a new one
/// is never open by omission.
const METHODS: &[(&str, Role)] = &[
    ("/usher.agent.v1.NodeInfo/GetNode", Role::Viewer),
    ("/usher.agent.v1.NodeInfo/GetOperation", Role::Viewer),
    ("/usher.agent.v1.NodeInfo/ListOperations", Role::Viewer),
    ("/usher.agent.v1.NodeInfo/WatchOperation", Role::Viewer),
    ("/usher.agent.v1.NodeControl/RestartUnit", Role::Operator),
    ("/usher.agent.v1.NodeControl/StopUnit", Role::Operator),
    ("/usher.agent.v1.NodeControl/StartUnit", Role::Operator),
    ("/usher.agent.v1.NodeControl/RebootNode", Role::Operator),
    ("/usher.agent.v1.NodeControl/CancelOperation", Role::Operator),
    ("/usher.agent.v1.NodeControl/Fence", Role::Operator),
    ("/grpc.health.v1.Health/Check", Role::Viewer),
    ("/grpc.health.v1.Health/Watch", Role::Viewer),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Role::Viewer),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Role::Viewer),
];

/// The role that the method at `path` needs, `None` if nobody may call it.
fn needed_role(path: &str) -> Option<Role> {
    METHODS.iter().find(|(method, _)| *method == path).map(|(_, role)| *role)
}

#[derive(Debug, Clone)]
pub(crate) struct Guard {
    live: Arc<Live>,
}

impl Guard {
    /// Looks callers up in the allow-list that is in force at the time of the call.
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    fn check(&self, peer: Option<&Peer>, path: &str) -> Result<(), Refusal> {
        let Some(peer) = peer else {
            return Err(Refusal::new(reason::NOT_LISTED, "this connection has no certificate"));
        };
        let caller = &peer.caller;
        let role = self.live.role(caller.names()).map_err(|(viewers, operators)| {
            let message = format!(
                "the certificate ({caller}) is signed by the right CA but is not in the allow-list (viewer: {viewers} names, \
                 operator: {operators} names). Add one of its names to [allow] of the agent's configuration"
            );
            Refusal::new(reason::NOT_LISTED, message)
        })?;
        let Some(needed) = needed_role(path) else {
            let message = format!("this agent (version {}) serves no method {path}", env!("CARGO_PKG_VERSION"));
            return Err(Refusal::new(reason::NO_SUCH_METHOD, message));
        };
        if role < needed {
            let message = format!(
                "{caller} has the role {role}; this call needs {needed}. Add the name to allow.operator of the agent's configuration"
            );
            return Err(Refusal::new(reason::ROLE_TOO_LOW, message));
        }
        Ok(())
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
pub(crate) struct Guarded<S> {
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
            record_refusal(request.uri().path(), peer, &refusal);
            let response = Status::from(refusal).into_http();
            return Box::pin(async move { Ok(response.map(|body| TrackedBody { body, in_use })) });
        }
        let response = self.inner.call(request);
        Box::pin(async move { Ok(response.await?.map(|body| TrackedBody { body, in_use })) })
    }
}

/// Writes the audit record of a call that the guard refused without reading its request. The service writes those of
/// changing calls that came in.
fn record_refusal(path: &str, peer: Option<&Peer>, refusal: &Refusal) {
    let caller = peer.map(|peer| peer.caller.to_string()).unwrap_or_default();
    let address = peer.map(|peer| peer.address.to_string()).unwrap_or_default();
    let call = path.trim_start_matches('/');
    warn!(audit = "refused", refusal = refusal.reason, call, caller, address, "refused {call}: {refusal}");
}

/// A response's body that keeps its connection in use until it ends.
#[derive(Debug, Default)]
pub(crate) struct TrackedBody<B> {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn methods(descriptors: &[u8]) -> BTreeSet<String> {
        let descriptors = FileDescriptorSet::decode(descriptors).unwrap();
        let mut methods = BTreeSet::new();
        for file in &descriptors.file {
            for service in &file.service {
                let service_path = format!("/{}.{}", file.package(), service.name());
                methods.extend(service.method.iter().map(|method| format!("{service_path}/{}", method.name())));
            }
        }
        methods
    }

    #[test]
    fn every_method_of_the_contract_has_a_role_and_no_role_is_left_over() {
        let mut served = methods(usher_proto::FILE_DESCRIPTOR_SET);
        assert_eq!(served.len(), 8);
        for standard in [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            served.extend(methods(standard));
        }
        let listed: BTreeSet<_> = METHODS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, served, "give each new method of the contract a row in METHODS");
    }

    #[test]
    fn what_changes_the_node_is_for_operators_and_what_has_no_row_is_for_nobody() {
        for path in methods(usher_proto::FILE_DESCRIPTOR_SET) {
            let needed = if path.contains(".NodeControl/") { Role::Operator } else { Role::Viewer };
            assert_eq!(needed_role(&path), Some(needed), "{path}");
        }
        for path in ["/usher.agent.v1.NodeControl/FormatDisk", "/usher.agent.v1.NodeFiles/Write", "/", "", "GetNode"] {
            assert_eq!(needed_role(path), None, "{path}");
        }
    }
}
