//! What a request carries to prove who asks.

use std::{fmt, sync::Arc};

use http::{HeaderValue, header::InvalidHeaderValue};
use jiff::Timestamp;
use tokio::time::Instant;

/// A client certificate and its key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::cluster) struct Pair(Arc<(Vec<u8>, Vec<u8>)>);

impl Pair {
    pub(super) fn new(certificate: Vec<u8>, key: Vec<u8>) -> Self {
        Self(Arc::new((certificate, key)))
    }

    pub(super) fn certificate(&self) -> &[u8] {
        &self.0.0
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.0.1
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

/// A token, a certificate, both, or neither: then the caller is anonymous.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cluster) struct Proof {
    /// The whole header `Authorization`, marked as a secret.
    header: Option<HeaderValue>,
    pub(super) pair: Option<Pair>,
    /// When it ends, as far as its source tells, by this machine's clock.
    pub(super) expires: Option<Timestamp>,
}

impl Proof {
    /// # Errors
    ///
    /// If the token fits in no header.
    pub(super) fn new(
        token: Option<&str>,
        pair: Option<Pair>,
        expires: Option<Timestamp>,
    ) -> Result<Self, InvalidHeaderValue> {
        let header = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose()?;
        let header = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        Ok(Self { header, pair, expires })
    }

    pub(super) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }
}

/// A proof in use.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct Issued {
    pub(super) proof: Arc<Proof>,
    /// Rises with each proof that replaces another.
    pub(super) number: u64,
    pub(super) at: Instant,
}

impl Issued {
    pub(super) fn first(proof: Proof) -> Self {
        Self { proof: Arc::new(proof), number: 1, at: Instant::now() }
    }

    /// This one replaced by another proof.
    pub(super) fn replaced_by(&self, proof: Proof) -> Self {
        Self { proof: Arc::new(proof), number: self.number + 1, at: Instant::now() }
    }
}
