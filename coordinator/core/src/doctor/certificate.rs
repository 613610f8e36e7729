//! The certificate that usher shows to agents.

use jiff::Timestamp;

use super::{Check, Finding, days_left};
use crate::text;

/// A certificate that has less than this part of its life left should have been renewed by now.
const RENEWED_AT: i64 = 4;

/// A certificate on disk, with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    pub path: String,
    /// As `CN=cumin1001`.
    pub subject: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub key_path: String,
    /// Whether every user of this machine may read the key.
    pub key_is_public: bool,
}

/// What is to be said of the certificate.
pub fn certificate(facts: &CertificateFacts, now: Timestamp) -> Vec<Finding> {
    let CertificateFacts { path, subject, not_before, not_after, key_path, key_is_public } = facts;
    let life = not_after.duration_since(*not_before);
    let left = not_after.duration_since(now);
    let until = not_after.strftime("%Y-%m-%d");
    let renew = format!("usher certificates renew {}, or have your own CA renew it", text::command(&[path]));
    let mut findings = vec![if left.is_negative() {
        Finding::wrong(Check::Certificate, format!("{subject} ({path}) expired on {until}")).mend(renew)
    } else if *not_before > now {
        let from = not_before.strftime("%Y-%m-%d %H:%M");
        Finding::wrong(Check::Certificate, format!("{subject} ({path}) is not valid before {from} UTC"))
            .mend("timedatectl")
    } else if left.as_secs() < life.as_secs() / RENEWED_AT {
        let days = text::count(usize::try_from(days_left(*not_after, now)).unwrap_or_default(), "day");
        Finding::warning(Check::Certificate, format!("{subject} ({path}) expires in {days}, on {until}")).mend(renew)
    } else {
        Finding::ok(Check::Certificate, format!("{subject}, valid until {until}"))
    }];
    if *key_is_public {
        let message = format!("every user of this machine may read {key_path}: they can do what you can");
        findings.push(
            Finding::warning(Check::Certificate, message).mend(format!("chmod 600 {}", text::command(&[key_path]))),
        );
    }
    findings
}
