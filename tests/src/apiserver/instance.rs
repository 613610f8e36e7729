//! One of several apiservers over the one store, without a socket: it can be away or not ready while the others serve.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use http::{Request, Response};
use kube::client::Body;
use tokio::time::Instant;
use tower::Service;

use super::{ApiServer, ReplyBody, dispatch::Via};

/// An instance that serves until it is told to stop. Clones are the same.
#[derive(Clone)]
pub struct Instance {
    server: ApiServer,
    /// Since when it is ready, or from when on; `None` while it takes no connections.
    ready_at: Arc<Mutex<Option<Instant>>>,
}

impl Instance {
    /// A client of this instance alone. While it does not serve, connections are refused.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// What is below [`Instance::client`].
    pub fn service(
        &self,
    ) -> impl Service<Request<Body>, Response = Response<ReplyBody>, Error = io::Error, Future: Send> + Clone + Send + use<>
    {
        let instance = self.clone();
        tower::service_fn(move |request| {
            let (server, ready_at) = (instance.server.clone(), instance.ready_at());
            async move {
                let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
                let ready = Instant::now() >= ready_at.ok_or_else(refused)?;
                let via = Via::Endpoint { ready: Arc::new(AtomicBool::new(ready)), known_client: true };
                server.handle(request, via).await
            }
        })
    }

    /// Begins to serve, and is ready after this time.
    pub fn start(&self, ready_after: Duration) {
        self.set(Some(Instant::now() + ready_after));
    }

    /// Whether it serves and says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.ready_at().is_some_and(|at| Instant::now() >= at)
    }

    /// Takes no connection any more.
    pub fn stop(&self) {
        self.set(None);
    }

    fn ready_at(&self) -> Option<Instant> {
        *self.ready_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, ready_at: Option<Instant>) {
        *self.ready_at.lock().unwrap_or_else(PoisonError::into_inner) = ready_at;
    }
}

impl ApiServer {
    /// One more instance over the same store. It does not serve yet.
    pub fn instance(&self) -> Instance {
        Instance { server: self.clone(), ready_at: Arc::default() }
    }
}
