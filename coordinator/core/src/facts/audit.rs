//! An agent's audit trail, as plain data. The names are those of the contract, which explains them in full.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an agent was asked, or how it answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Grows with each record of the machine.
    pub number: u64,
    /// When, by the machine's clock.
    pub at: Option<Timestamp>,
    /// Which half of a call it tells.
    pub phase: AuditPhase,
    /// The full name of the method.
    pub method: String,
    pub operation_id: Option<String>,
    pub unit: Option<String>,
    /// The names in the caller's certificate.
    pub caller: Vec<String>,
    /// SHA-256 of that certificate.
    pub caller_fingerprint: Option<String>,
    /// Its serial number, in hexadecimal.
    pub caller_serial: Option<String>,
    /// Its issuer's distinguished name.
    pub caller_issuer: Option<String>,
    /// Where the caller was, with its port.
    pub address: String,
    /// Why the change was asked for.
    pub reason: Option<String>,
    pub task_id: Option<String>,
    /// The person, by the caller's account.
    pub requester: Option<String>,
    pub epoch: u64,
    /// `accepted`, `dry run`, or why it was refused. `None` in what was only received.
    pub outcome: Option<String>,
    /// How many refusals of the same address before this one were not recorded.
    pub untold: u64,
}

/// The halves of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditPhase {
    /// One that this usher does not know, from a newer agent.
    #[default]
    Unknown,
    /// It came in.
    Received,
    /// It was answered.
    Answered,
    /// It was refused for its method and its caller alone.
    Refused,
}

/// Who asked for something, for people: the person that they claim to be, and what their certificate proves.
pub fn by(requester: &str, caller: &[String]) -> String {
    match (requester, caller.join(", ")) {
        ("", caller) => caller,
        (requester, caller) if caller.is_empty() => requester.to_owned(),
        (requester, caller) => format!("{requester} ({caller})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_told_with_the_names_that_the_certificate_proves() {
        let caller = ["CN=cumin1001".to_owned(), "O=sre".to_owned()];
        assert_eq!(by("alice@cumin1001", &caller), "alice@cumin1001 (CN=cumin1001, O=sre)");
        assert_eq!(by("", &caller), "CN=cumin1001, O=sre");
        assert_eq!(by("alice@cumin1001", &[]), "alice@cumin1001");
    }
}
