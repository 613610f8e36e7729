//! One record of the trail, as it is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;

/// Which half of a call a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// A changing call came in.
    Received,
    /// It was answered.
    Answered,
    /// A call was refused before its request was read.
    Refused,
}

/// What a caller asked for. Fields that do not apply are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Grows by one with each record, across restarts of the agent.
    #[serde(default)]
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) phase: Phase,
    /// `usher.agent.v1.NodeControl/RestartUnit`
    pub(crate) method: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) operation_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) unit: String,
    /// The names in the caller's certificate.
    pub(crate) caller: Vec<String>,
    /// SHA-256 of the certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) fingerprint: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) serial: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) issuer: String,
    pub(crate) address: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// The person, by the caller's account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) requester: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) task_id: String,
    #[serde(default)]
    pub(crate) epoch: u64,
    /// The request's id in the caller's own logs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) request_id: String,
    /// The trace that the call is part of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) trace: String,
    /// `accepted`, `dry run`, or the reason of the refusal and its message. Empty in what was only received.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) outcome: String,
    /// How many refusals of the same address before this one were not recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) untold: u64,
}

impl Record {
    /// A record of this caller's call of `method`; the rest is to be filled in.
    pub(crate) fn of(phase: Phase, method: &str, caller: &Caller, address: String, at: Timestamp) -> Self {
        let certificate = caller.certificate();
        Self {
            seq: 0,
            at,
            phase,
            method: method.to_owned(),
            operation_id: String::new(),
            unit: String::new(),
            caller: caller.names().to_vec(),
            fingerprint: certificate.map(|certificate| certificate.fingerprint.to_string()).unwrap_or_default(),
            serial: certificate.map(|certificate| certificate.serial.clone()).unwrap_or_default(),
            issuer: certificate.map(|certificate| certificate.issuer.clone()).unwrap_or_default(),
            address,
            reason: String::new(),
            requester: String::new(),
            task_id: String::new(),
            epoch: 0,
            request_id: String::new(),
            trace: String::new(),
            outcome: String::new(),
            untold: 0,
        }
    }

    /// The caller's names as a JSON array: a name may hold a comma.
    pub(crate) fn callers(&self) -> String {
        serde_json::to_string(&self.caller).unwrap_or_default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}
