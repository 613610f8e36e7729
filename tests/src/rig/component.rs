//! The health endpoint of a component: HTTPS on loopback, as a probe asks it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustls::{ConfigBuilder, ServerConfig, server::WantsServerCert};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::pki::Identity;

/// A component that answers until the runtime ends.
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
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let tls = tls.with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let mut request = [0; 1024];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let (status, body) = answer(counter.fetch_add(1, Ordering::SeqCst), &request);
                let answer =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, asked }
    }
}
