//! Whether a load balancer sends new connections to an apiserver again.
//!
//! A balancer that passes TLS through shows the certificate of the apiserver behind it. So new connections are opened
//! until one shows the certificate that the machine itself serves. That needs nothing of the balancer, and is what a
//! client sees. It proves nothing if machines share a certificate, or if the balancer ends TLS itself.
//!
//! They come in rounds, as many as there are machines and one right behind the other: a balancer that takes the machines in turn sends
//! one of them to each. Between rounds the pauses differ. With equal pauses, a client that connects twenty times a second stayed in step
//! with them and hid one of three machines for seconds.

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use futures::future;
use http::Uri;
use rustls::{ClientConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use usher_common::tls::AnyCertificate;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::agents::Dial;

/// One connection with its handshake.
const CONNECT: Duration = Duration::from_secs(2);

/// Between two rounds of connections, on average.
const PAUSE: Duration = Duration::from_millis(100);

/// Where `https://HOST` without a port leads.
const HTTPS_PORT: u16 = 443;

/// What new connections through the balancer showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "result")]
pub enum Rotation {
    /// The machine was met.
    Seen {
        /// After how many connections.
        connections: usize,
        /// And after what time.
        #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
        took: Duration,
    },
    /// Each connection met the same other machine: so does a balancer that keeps a client on one server.
    Sticky {
        /// The URL of that machine.
        other: String,
        /// How many connections were made.
        connections: usize,
    },
    /// It was not met in time.
    NotSeen {
        /// Connections that met other machines.
        connections: usize,
        /// Why the last connection failed, if one did.
        failure: Option<String>,
    },
    /// Another machine serves the same certificate, so that meeting it proves nothing.
    SharedCertificate {
        /// The URL of that machine.
        other: String,
    },
    /// The balancer shows a certificate that no machine serves: it ends TLS itself.
    EndsTls,
}

/// Why the question could not be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A URL of the cluster file has no host.
    #[error("\"{url}\" is no URL of an apiserver")]
    BadUrl { url: String },
    /// TLS cannot be set up in this process.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The machine's own apiserver does not show its certificate.
    #[error("cannot see the certificate at {url}")]
    NoCertificate {
        url: String,
        /// What the system or TLS said.
        source: io::Error,
    },
}

/// Opens new connections to `balancer` until one is answered by the machine at `machine`, for at most `limit`.
///
/// All are URLs `https://HOST[:PORT]`. `others` are the other machines behind the balancer: the comparison leaves out those
/// that do not answer.
///
/// # Errors
///
/// If a URL is none, or the machine itself does not answer.
pub async fn await_in_rotation(
    dial: &Dial,
    balancer: &str,
    machine: &str,
    others: &[String],
    limit: Duration,
) -> Result<Rotation, RotationError> {
    let started = Instant::now();
    let tls = TlsConnector::from(Arc::new(any_certificate().map_err(RotationError::Tls)?));
    let balancer = Target::of(balancer)?;
    let own = Target::of(machine)?.certificate(dial, &tls).await;
    let own = own.map_err(|source| RotationError::NoCertificate { url: machine.to_owned(), source })?;
    let others = future::try_join_all(others.iter().map(|other| certificate_of(dial, &tls, other))).await?;
    let others: Vec<_> = others.into_iter().flatten().collect();
    if let Some((other, _)) = others.iter().find(|(_, certificate)| *certificate == own) {
        return Ok(Rotation::SharedCertificate { other: other.clone() });
    }

    let (mut met, mut strangers, mut round) = (0, 0, 0);
    // The other machines that were met.
    let mut known = BTreeSet::new();
    let failure = loop {
        let failure = match balancer.certificate(dial, &tls).await {
            Ok(shown) if shown == own => {
                return Ok(Rotation::Seen { connections: met + 1, took: started.elapsed() });
            }
            Ok(shown) => {
                met += 1;
                match others.iter().find(|(_, certificate)| *certificate == shown) {
                    Some((other, _)) => drop(known.insert(other.clone())),
                    None => strangers += 1,
                }
                None
            }
            Err(error) => Some(error.to_string()),
        };
        round += 1;
        let pause = match failure {
            None if round <= others.len() => Duration::ZERO,
            _ => {
                round = 0;
                PAUSE.mul_f64(0.5 + fastrand::f64())
            }
        };
        if started.elapsed() + pause >= limit {
            break failure;
        }
        sleep(pause).await;
    };
    if met > 0 && strangers == met {
        return Ok(Rotation::EndsTls);
    }
    // With one other machine, to meet that one means that this one is out.
    if strangers == 0
        && others.len() > 1
        && known.len() == 1
        && let Some(other) = known.pop_first()
    {
        return Ok(Rotation::Sticky { other, connections: met });
    }
    Ok(Rotation::NotSeen { connections: met, failure })
}

/// The DNS names in the certificate that is shown at `HOST:PORT`. Nobody checks who signed it: it is looked at and not believed.
///
/// # Errors
///
/// If nothing there speaks TLS within two seconds, or its certificate cannot be read.
pub async fn names_at(dial: &Dial, address: &str) -> Result<Vec<String>, RotationError> {
    let tls = TlsConnector::from(Arc::new(any_certificate().map_err(RotationError::Tls)?));
    let url = format!("https://{address}");
    let shown = Target::of(&url)?.certificate(dial, &tls).await;
    let unseen = |source| RotationError::NoCertificate { url: url.clone(), source };
    let shown = shown.map_err(unseen)?;
    let (_, certificate) =
        X509Certificate::from_der(&shown).map_err(|error| unseen(io::Error::other(error.to_string())))?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Ok(names.collect())
}

async fn certificate_of(
    dial: &Dial,
    tls: &TlsConnector,
    url: &str,
) -> Result<Option<(String, CertificateDer<'static>)>, RotationError> {
    let certificate = Target::of(url)?.certificate(dial, tls).await.ok();
    Ok(certificate.map(|certificate| (url.to_owned(), certificate)))
}

/// Where to connect to, and the name to ask for.
struct Target {
    /// `HOST:PORT`.
    address: String,
    name: ServerName<'static>,
}

impl Target {
    fn of(url: &str) -> Result<Self, RotationError> {
        let parse = || {
            let uri: Uri = url.parse().ok()?;
            let host = uri.host()?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let name = ServerName::try_from(bare.to_owned()).ok()?;
            Some(Self { address: format!("{host}:{}", uri.port_u16().unwrap_or(HTTPS_PORT)), name })
        };
        parse().ok_or_else(|| RotationError::BadUrl { url: url.to_owned() })
    }

    /// The certificate that a new connection is shown.
    async fn certificate(&self, dial: &Dial, tls: &TlsConnector) -> io::Result<CertificateDer<'static>> {
        let connect = async {
            let stream = tls.connect(self.name.clone(), dial.open(&self.address).await?).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            shown.cloned().map(CertificateDer::into_owned).ok_or_else(|| io::Error::other("no certificate was shown"))
        };
        timeout(CONNECT, connect).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// A client that looks at certificates without judging them. Nothing is ever sent over such a connection.
fn any_certificate() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate::new(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[cfg(test)]
mod tests;
