//! The health endpoint of a component: HTTPS, as a probe asks it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustls::{ConfigBuilder, ServerConfig, server::WantsServerCert};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::pki::Identity;

/// A component on loopback that answers until the runtime ends.
pub struct Component {
    /// Of 127.0.0.1.
    pub port: u16,
    /// How many questions it has answered.
    pub asked: Arc<AtomicUsize>,
}

impl Component {
    /// To anybody. `answer` gets the number of the question, from 0, and the whole request; it gives the status and the body.
    pub async fn serve(
        identity: &Identity,
        answer: impl Fn(usize, &str) -> (u16, &'static str) + Send + 'static,
    ) -> Self {
        Self::serve_to(ServerConfig::builder().with_no_client_auth(), identity, answer).await
    }

    /// The same with a say in who may connect.
    #[allow(clippy::disallowed_methods)] // a component listens on a port of its machine
    pub async fn serve_to(
        tls: ConfigBuilder<ServerConfig, WantsServerCert>,
        identity: &Identity,
        answer: impl Fn(usize, &str) -> (u16, &'static str) + Send + 'static,
    ) -> Self {
        let acceptor = acceptor(tls, identity);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let Some((stream, request)) = question(&acceptor, tcp).await else { continue };
                let answered = answer(counter.fetch_add(1, Ordering::SeqCst), &request);
                reply(stream, answered).await;
            }
        });
        Self { port, asked }
    }
}

/// What shows this certificate.
pub(super) fn acceptor(tls: ConfigBuilder<ServerConfig, WantsServerCert>, identity: &Identity) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    TlsAcceptor::from(Arc::new(tls.with_single_cert(chain, key).unwrap()))
}

/// What is asked over a connection; nothing by who does not end the handshake.
pub(super) async fn question<S>(acceptor: &TlsAcceptor, stream: S) -> Option<(TlsStream<S>, String)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = acceptor.accept(stream).await.ok()?;
    let mut request = [0; 1024];
    let length = stream.read(&mut request).await.unwrap_or(0);
    Some((stream, String::from_utf8_lossy(&request[..length]).into_owned()))
}

/// Answers it with a status and a body, and hangs up.
pub(super) async fn reply(mut stream: impl AsyncWrite + Unpin, (status, body): (u16, &str)) {
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
