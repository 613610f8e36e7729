//! HTTPS health probes of units.

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use usher_common::chain;

use super::{
    client::{Client, Files, Login},
    trust::{Silent, TrustError, Unusable},
};
use crate::config::{Probe, Url};

/// How much of a response's body to read, for the message about an unhealthy one.
const BODY_LIMIT: usize = 4096;

/// How many characters of it to quote. kube-apiserver's list of failed checks starts with what matters.
const BODY_QUOTED: usize = 200;

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The CA file of the probe cannot be used.
    #[error("the probe's CA {0}")]
    Ca(Unusable),
    /// The certificate, key or token of the probe itself cannot be used.
    #[error("the probe's {0}")]
    Login(Unusable),
    /// The disk does not give these files.
    #[error("the probe's files cannot be read: {0}")]
    Silent(Silent),
    /// The server name to verify is not a valid name.
    #[error("{name:?} cannot be a certificate's name")]
    Name { name: String, source: InvalidDnsNameError },
    /// Nothing listens, or the certificate was rejected.
    #[error("{url}")]
    Connect { url: String, source: io::Error },
    /// The server hung up or does not speak HTTP.
    #[error("{url}")]
    Http { url: String, source: hyper::Error },
    /// A response with another status than the healthy one.
    #[error("{url} answers {status}{body}{}", advice(*status))]
    Status {
        url: String,
        status: StatusCode,
        /// `: ` and the beginning of its body, or empty.
        body: String,
    },
    /// No response in time.
    #[error("{url} gives no answer within {within:?}")]
    Slow { url: String, within: Duration },
}

impl From<TrustError> for ProbeError {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Ca(file) => Self::Ca(file),
            TrustError::Own(file) => Self::Login(file),
            TrustError::Silent(files) => Self::Silent(files),
        }
    }
}

/// How probing ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Enough healthy responses in a row; when the first of them came.
    Healthy(Instant),
    /// Not healthy by the deadline; what the last probe found.
    Unhealthy(String),
    /// The unit went down.
    Down,
}

/// What became of the unit between two probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// The same process runs.
    Same,
    /// Another process runs: count its responses from zero.
    Replaced,
    /// Nothing is left to probe.
    Gone,
}

/// Probes until the unit is healthy or the deadline has passed. After each probe `check` says whether the same process still
/// runs.
pub(crate) async fn until_healthy<F>(probe: &Probe, client: &Client, mut check: impl FnMut() -> F) -> Outcome
where
    F: Future<Output = Process>,
{
    let deadline = Instant::now() + probe.deadline;
    let mut first: Option<Instant> = None;
    let mut successes = 0;
    loop {
        let last = match probe_once(probe, client).await {
            Ok(()) => {
                successes += 1;
                first.get_or_insert_with(Instant::now);
                format!("{successes} of {} healthy answers in a row", probe.successes)
            }
            Err(error) => {
                (successes, first) = (0, None);
                chain(&error)
            }
        };
        match check().await {
            Process::Same => {}
            Process::Replaced => (successes, first) = (0, None),
            Process::Gone => return Outcome::Down,
        }
        if let Some(first) = first.filter(|_| successes >= probe.successes) {
            return Outcome::Healthy(first);
        }
        if Instant::now() + probe.interval > deadline {
            return Outcome::Unhealthy(last);
        }
        sleep(probe.interval).await;
    }
}

/// Probes once. If the URL returns 404 and there is a fallback, probes that.
pub(crate) async fn probe_once(probe: &Probe, client: &Client) -> Result<(), ProbeError> {
    // Outside the time that the server has: a slow disk must not be told as a slow component.
    let login = client.login(Files::of_probe(probe), probe.timeout).await?;
    match (probe_url(probe, client, &login, &probe.url).await, &probe.fallback_url) {
        (Err(ProbeError::Status { status: StatusCode::NOT_FOUND, .. }), Some(fallback)) => {
            probe_url(probe, client, &login, fallback).await
        }
        (answer, _) => answer,
    }
}

async fn probe_url(probe: &Probe, client: &Client, login: &Login, url: &Url) -> Result<(), ProbeError> {
    match timeout(probe.timeout, get(probe, client, login, url)).await {
        Ok(Ok((status, _))) if status.as_u16() == probe.status => Ok(()),
        Ok(Ok((status, body))) => Err(ProbeError::Status { url: url.as_str().to_owned(), status, body }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ProbeError::Slow { url: url.as_str().to_owned(), within: probe.timeout }),
    }
}

async fn get(probe: &Probe, client: &Client, login: &Login, url: &Url) -> Result<(StatusCode, String), ProbeError> {
    let connect = |source| ProbeError::Connect { url: url.as_str().to_owned(), source };
    let talk = |source| ProbeError::Http { url: url.as_str().to_owned(), source };
    let name = probe.server_name.as_ref().unwrap_or(&url.host);
    let name = ServerName::try_from(name.clone()).map_err(|source| ProbeError::Name { name: name.clone(), source })?;
    let tls = TlsConnector::from(Arc::clone(&login.tls));
    let stream = client.open(url.authority()).await.map_err(connect)?;
    let stream = tls.connect(name, stream).await.map_err(connect)?;

    // A new connection for each probe: the previous one may belong to the previous process.
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(talk)?;
    let mut request = Request::get(&url.path)
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, concat!("usher-agent/", env!("CARGO_PKG_VERSION")));
    if let Some(token) = &login.token {
        request = request.header(header::AUTHORIZATION, token);
    }
    let Ok(request) = request.body(Empty::<Bytes>::new()) else {
        return Err(connect(io::Error::new(io::ErrorKind::InvalidInput, "the URL makes no HTTP request")));
    };
    // Dropped with this future, so that a probe that times out leaves no connection behind.
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(talk)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), BODY_LIMIT).collect().await;
    Ok((status, body.map(|body| excerpt(&body.to_bytes())).unwrap_or_default()))
}

/// What a status that has nothing to do with the unit's health says about the configuration.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            "; it wants to know who asks: set certificate and key, or token_file, of the probe (its server answers nobody \
             anonymous)"
        }
        StatusCode::FORBIDDEN => {
            "; who asks may not see it: give the probe's user the right, or set certificate and key"
        }
        _ => "",
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { line } else { format!(": {}", line.chars().take(BODY_QUOTED).collect::<String>()) }
}
