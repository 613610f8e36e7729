//! Probes: asking a unit over HTTPS whether it is healthy.

mod trust;

use std::{future::Future, io, path::PathBuf, time::Duration};

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

use crate::{
    config::{Probe, Url},
    stream::Dial,
};

/// How much of an answer's body is looked at, for the message of one that is not healthy.
const BODY_LIMIT: usize = 4096;

/// How much of it is told: kube-apiserver's list of failed checks begins with the words that matter.
const BODY_TOLD: usize = 200;

/// Why a question had no healthy answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The CA file of the probe cannot be used.
    #[error("the probe's CA {path} cannot be used: {words}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        words: String,
    },
    /// The name that the certificate must carry is none.
    #[error("{name:?} cannot be a certificate's name")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: InvalidDnsNameError,
    },
    /// Nobody listens, or the certificate is not accepted.
    #[error("{url}")]
    Connect {
        /// What was asked.
        url: String,
        /// The system's words.
        source: io::Error,
    },
    /// The server hung up or talks no HTTP.
    #[error("{url}")]
    Http {
        /// What was asked.
        url: String,
        /// hyper's words.
        source: hyper::Error,
    },
    /// There was an answer, and it is not the one that means healthy.
    #[error("{url} answers {status}{body}")]
    Status {
        /// What was asked.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The beginning of its body after a colon, if it has one.
        body: String,
    },
    /// No answer came in time.
    #[error("{url} gives no answer within {within:?}")]
    Slow {
        /// What was asked.
        url: String,
        /// The limit of one question.
        within: Duration,
    },
}

/// How probing went.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Healthy, so many times in a row; since the first of them.
    Healthy(Instant),
    /// Not healthy by the deadline, and the last thing heard.
    Unhealthy(String),
    /// The caller's look between two questions ended the probing.
    Stopped,
}

/// What a look between two questions found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing new.
    Same,
    /// Answers until now were another process's: count again.
    Fresh,
    /// There is nothing left to probe.
    Stop,
}

/// Asks until the unit is healthy or the deadline has passed. After each question `look` says whether the unit is still the
/// one whose answers count.
pub(crate) async fn until_healthy<F>(probe: &Probe, dial: &Dial, mut look: impl FnMut() -> F) -> Verdict
where
    F: Future<Output = Look>,
{
    let deadline = Instant::now() + probe.deadline;
    let mut first: Option<Instant> = None;
    let mut successes = 0;
    loop {
        let last = match ask(probe, dial).await {
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
        match look().await {
            Look::Same => {}
            Look::Fresh => (successes, first) = (0, None),
            Look::Stop => return Verdict::Stopped,
        }
        if let Some(first) = first.filter(|_| successes >= probe.successes) {
            return Verdict::Healthy(first);
        }
        if Instant::now() + probe.interval > deadline {
            return Verdict::Unhealthy(last);
        }
        sleep(probe.interval).await;
    }
}

/// One question; where the URL answers 404 and there is a fallback, that one.
async fn ask(probe: &Probe, dial: &Dial) -> Result<(), ProbeError> {
    match (ask_url(probe, dial, &probe.url).await, &probe.fallback_url) {
        (Err(ProbeError::Status { status: StatusCode::NOT_FOUND, .. }), Some(fallback)) => {
            ask_url(probe, dial, fallback).await
        }
        (answer, _) => answer,
    }
}

async fn ask_url(probe: &Probe, dial: &Dial, url: &Url) -> Result<(), ProbeError> {
    match timeout(probe.timeout, get(probe, dial, url)).await {
        Ok(Ok((status, _))) if status.as_u16() == probe.status => Ok(()),
        Ok(Ok((status, body))) => Err(ProbeError::Status { url: url.as_str().to_owned(), status, body }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ProbeError::Slow { url: url.as_str().to_owned(), within: probe.timeout }),
    }
}

async fn get(probe: &Probe, dial: &Dial, url: &Url) -> Result<(StatusCode, String), ProbeError> {
    let connect = |source| ProbeError::Connect { url: url.as_str().to_owned(), source };
    let talk = |source| ProbeError::Http { url: url.as_str().to_owned(), source };
    let name = probe.server_name.as_ref().unwrap_or(&url.host);
    let name = ServerName::try_from(name.clone()).map_err(|source| ProbeError::Name { name: name.clone(), source })?;
    let tls = TlsConnector::from(trust::client_config(&probe.trust)?);
    let stream = dial.open(host(url)).await.map_err(connect)?;
    let stream = tls.connect(name, stream).await.map_err(connect)?;

    // A new connection for each question: the one before belongs to the process before.
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(talk)?;
    let request = Request::get(&url.path)
        .header(header::HOST, host(url))
        .header(header::USER_AGENT, concat!("usher-agent/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new());
    let Ok(request) = request else {
        return Err(connect(io::Error::new(io::ErrorKind::InvalidInput, "the URL makes no HTTP request")));
    };
    // Dropped with this future, so that a question that is given up leaves no connection behind.
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(talk)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), BODY_LIMIT).collect().await;
    Ok((status, body.map(|body| told(&body.to_bytes())).unwrap_or_default()))
}

fn host(url: &Url) -> String {
    if url.host.contains(':') { format!("[{}]:{}", url.host, url.port) } else { format!("{}:{}", url.host, url.port) }
}

fn told(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { words } else { format!(": {}", words.chars().take(BODY_TOLD).collect::<String>()) }
}
