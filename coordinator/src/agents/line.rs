//! What calls go over: one connection, and the trace that the calls are part of.

use std::sync::{Arc, OnceLock};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use usher_common::trace::{TRACEPARENT, TraceParent};

/// A connection to an agent, which names the trace in each call.
pub(super) type Line = InterceptedService<Channel, InTrace>;

/// The trace of the operation under way, once there is one. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct InTrace(Arc<OnceLock<MetadataValue<Ascii>>>);

impl InTrace {
    /// Names this trace in all calls from now on. Only the first trace counts: a usher carries out one operation.
    pub(super) fn join(&self, parent: &TraceParent) {
        if let Ok(value) = parent.to_string().parse() {
            let _ = self.0.set(value);
        }
    }

    /// The same connection, with the trace in each call.
    pub(super) fn over(&self, channel: Channel) -> Line {
        InterceptedService::new(channel, self.clone())
    }
}

impl Interceptor for InTrace {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = self.0.get() {
            request.metadata_mut().insert(TRACEPARENT, value.clone());
        }
        Ok(request)
    }
}
