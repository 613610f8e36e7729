//! One connection to an agent: a stream, mutual TLS over it, and a tonic channel that ends with it.

use std::{io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Channel, Endpoint};
use usher_common::stream::BoxedStream;

use super::{Side, dial::Dial, error::Cause};

/// A peer that is gone without a word is noticed within the two together, also while an operation is quietly followed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the agent is given to say its first words (HTTP/2 settings, sent at once) before we speak all the same.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the TLS handshake broke off")]
    Handshake(#[source] io::Error),
    #[error("the agent closed the connection at once")]
    Closed,
    #[error("not within {}", crate::text::took(*.0))]
    TimedOut(Duration),
    #[error("cannot speak HTTP/2")]
    Http(#[source] tonic::transport::Error),
    #[error("TLS")]
    NotTrusted { by: Side, error: rustls::Error },
}

/// Connects within `limit` to the first of the addresses that answers, with TLS if there is a configuration of it. The channel never
/// connects again by itself: once the connection is lost, all calls on it fail.
pub(super) async fn open(
    dial: &Dial,
    addresses: &[String],
    server_name: &ServerName<'static>,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
) -> Result<Channel, ConnectError> {
    // A task of its own, so that the handshakes with thousands of agents share the processors.
    let (dial, addresses, server_name) = (dial.clone(), addresses.to_vec(), server_name.clone());
    let connecting = tokio::spawn(async move {
        let stream = connect(&dial, &addresses, server_name, tls).await?;
        channel(addresses.first().map_or("", String::as_str), stream).await
    });
    let connected =
        timeout(limit, AbortOnDropHandle::new(connecting)).await.map_err(|_| ConnectError::TimedOut(limit))?;
    connected.map_err(|error| ConnectError::Handshake(io::Error::other(error)))?
}

/// HTTP/2 over a stream. `authority` is what requests name as their server.
async fn channel(authority: &str, stream: BufReader<BoxedStream>) -> Result<Channel, ConnectError> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream =
            stream.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection was lost"));
        std::future::ready(stream)
    });
    Endpoint::from_shared(format!("http://{authority}"))
        .map_err(ConnectError::Http)?
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(ConnectError::Http)
}

/// A stream on which the agent may be spoken to.
async fn connect(
    dial: &Dial,
    addresses: &[String],
    server_name: ServerName<'static>,
    tls: Option<Arc<ClientConfig>>,
) -> Result<BufReader<BoxedStream>, ConnectError> {
    let stream = dial.open_first(addresses).await.map_err(ConnectError::Connect)?;
    let stream: BoxedStream = match tls {
        Some(tls) => {
            let secured = TlsConnector::from(tls).connect(server_name, stream).await;
            Box::new(secured.map_err(handshake_failed)?)
        }
        None => stream,
    };

    // With TLS 1.3 our handshake is over before the agent has looked at our certificate. To learn that it refused it,
    // its first words are awaited (and left in the buffer). So no request is ever sent on such a connection, and no
    // closing of the socket can swallow the reason.
    let mut stream = BufReader::new(stream);
    match timeout(FIRST_WORDS, stream.fill_buf()).await {
        Ok(Ok([])) => Err(ConnectError::Closed),
        Ok(Err(error)) => Err(handshake_failed(error)),
        Ok(Ok(_)) | Err(_) => Ok(stream),
    }
}

fn handshake_failed(error: io::Error) -> ConnectError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    match tls {
        Some(error @ rustls::Error::AlertReceived(_)) => ConnectError::NotTrusted { by: Side::Agent, error },
        Some(error) => ConnectError::NotTrusted { by: Side::Usher, error },
        None => ConnectError::Handshake(error),
    }
}

/// Our side of a distrust, for the advice.
#[derive(Debug)]
pub(super) struct Ours<'a> {
    pub(super) node: &'a str,
    pub(super) server_name: &'a str,
    pub(super) subject: &'a str,
}

/// What would mend a distrust, if its reason is a known one.
pub(super) fn advice(error: &rustls::Error, ours: &Ours<'_>) -> Option<String> {
    let Ours { node, server_name, subject } = ours;
    let advice = match error {
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA | AlertDescription::DecryptError | AlertDescription::BadCertificate => format!(
                "\"{subject}\" must be signed by the CA that tls.client_ca names in /etc/usher/agent.toml on {node}."
            ),
            AlertDescription::CertificateExpired => {
                format!("Renew \"{subject}\" (agents.certificate in the cluster file), and compare the clocks.")
            }
            AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied => {
                format!("See what it has against \"{subject}\": ssh {node} journalctl -u usher-agent")
            }
            _ => return None,
        },
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("The certificate on {node} must be signed by the CA that agents.ca names in the cluster file.")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "The certificate on {node} must carry the DNS name \"{server_name}\" (agents.server_name in the cluster file)."
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("Renew the certificate on {node}; the agent reads it again by itself.")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("Compare the clocks: ssh {node} timedatectl")
            }
            _ => return None,
        },
        rustls::Error::InvalidMessage(_) => format!("Is it usher-agent that listens there?  ssh {node} ss -ltnp"),
        _ => return None,
    };
    Some(advice)
}

impl ConnectError {
    /// The error without this wrapping where it adds nothing.
    pub(super) fn into_cause(self) -> Cause {
        match self {
            Self::Connect(error) => Box::new(error),
            Self::NotTrusted { error, .. } => Box::new(error),
            other => Box::new(other),
        }
    }
}
