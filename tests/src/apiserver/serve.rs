//! The API server on a socket: TLS, HTTP/1.1 and HTTP/2, client certificates; or without TLS, for callers with a token.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch as channel,
};
use tokio_rustls::TlsAcceptor;

use super::{ApiServer, answer::Failure, dispatch::Via};

/// A client that does not finish its handshake within this time is let go.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Certificates of an endpoint, as PEM.
#[derive(Debug, Clone, Copy)]
pub struct TlsFiles<'a> {
    /// What the endpoint shows, leaf first.
    pub certificate: &'a str,
    /// The key to it.
    pub key: &'a str,
    /// Who signed the clients' certificates. Without one, a client gets health and nothing else.
    pub client_ca: &'a str,
}

/// A listening endpoint. It ends, with its connections, when it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: channel::Sender<bool>,
}

impl Endpoint {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its `/readyz` says from now on.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Not ready now, and ready after this time, as a server that has just started.
    pub fn ready_after(&self, duration: Duration) {
        self.set_ready(false);
        let ready = Arc::clone(&self.ready);
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            ready.store(true, Ordering::Relaxed);
        });
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl ApiServer {
    /// Serves on a listener until the endpoint is dropped. Several endpoints share the one store.
    ///
    /// # Errors
    /// If the certificates cannot be read, or the listener is no more.
    pub fn serve(&self, listener: TcpListener, tls: TlsFiles<'_>) -> io::Result<Endpoint> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(tls)?));
        self.serve_over(listener, Some(acceptor), Arc::new(|_: &str| true))
    }

    /// The same without TLS, for callers whose token `is_known`; all others are answered 401, as by an authenticator.
    ///
    /// # Errors
    /// If the listener is no more.
    pub fn serve_tokens(
        &self,
        listener: TcpListener,
        is_known: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> io::Result<Endpoint> {
        self.serve_over(listener, None, Arc::new(is_known))
    }

    fn serve_over(
        &self,
        listener: TcpListener,
        acceptor: Option<TlsAcceptor>,
        is_known: Arc<IsKnown>,
    ) -> io::Result<Endpoint> {
        let address = listener.local_addr()?;
        let (stop, mut stopped) = channel::channel(false);
        let ready = Arc::new(AtomicBool::new(true));
        let connection =
            Connection { server: self.clone(), acceptor, is_known, ready: Arc::clone(&ready), stop: stop.subscribe() };
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stopped.changed() => return,
                };
                // An accept that fails concerns one client, who will come again.
                if let Ok((stream, _)) = accepted
                    // As Go's net package does for every server.
                    && stream.set_nodelay(true).is_ok()
                {
                    tokio::spawn(connection.clone().run(stream));
                }
            }
        });
        Ok(Endpoint { address, ready, stop })
    }
}

fn server_config(tls: TlsFiles<'_>) -> io::Result<ServerConfig> {
    let certificates = |pem: &str| {
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(tls.client_ca)? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(tls.certificate)?, key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Whether the server knows the bearer of a token.
type IsKnown = dyn Fn(&str) -> bool + Send + Sync;

#[derive(Clone)]
struct Connection {
    server: ApiServer,
    acceptor: Option<TlsAcceptor>,
    is_known: Arc<IsKnown>,
    ready: Arc<AtomicBool>,
    stop: channel::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: tokio::net::TcpStream) {
        let Some(acceptor) = self.acceptor.clone() else { return self.speak(stream, true).await };
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await else { return };
        let known_client = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
        self.speak(stream, known_client).await;
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, known_client: bool) {
        let Self { server, acceptor, is_known, ready, mut stop } = self;
        let service = service_fn(move |request: Request<Incoming>| {
            let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
            let refused = acceptor.is_none() && !is_known(token);
            let via = Via::Endpoint { ready: Arc::clone(&ready), known_client };
            let server = server.clone();
            async move {
                match refused {
                    true => Ok(Failure::new(401, "Unauthorized", "Unauthorized").reply()),
                    false => server.handle(request, via).await,
                }
            }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        // An error is a connection that the client or a fault has ended.
        tokio::select! {
            _ = builder.serve_connection(TokioIo::new(stream), service) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }
}
