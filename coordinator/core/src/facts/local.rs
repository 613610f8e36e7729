//! What a machine's own root asked its agent for, and what went past the agent, as plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Restarts of one unit that somebody on the machine has asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedRestart {
    pub unit: String,
    /// What the unit ran as when it was asked for first; another one settles it.
    pub invocation_id: String,
    /// The first one and the newest.
    pub requests: Vec<RestartRequest>,
    /// How many came in between.
    pub more: u32,
    /// The agent does it itself.
    pub at_once: bool,
}

impl WantedRestart {
    /// Who wants it and why, in one line: `new certificate (root@cp1), and 2 more`.
    pub fn why(&self) -> String {
        let said = |request: &RestartRequest| format!("{} ({})", request.reason, request.requester);
        let first = self.requests.first().map(said).unwrap_or_default();
        match self.requests.len().saturating_sub(1) + self.more as usize {
            0 => first,
            more => format!("{first}, and {more} more"),
        }
    }
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartRequest {
    pub at: Option<Timestamp>,
    /// The person or program on the machine.
    pub requester: String,
    pub reason: String,
}

/// A start that went past the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnannouncedStart {
    /// None: the machine was rebooted.
    pub unit: Option<String>,
    pub at: Option<Timestamp>,
    /// systemd restarted the unit by itself: it had failed.
    pub automatic: bool,
    /// InvocationIDs, or boot ids.
    pub before: String,
    pub after: String,
}

impl UnannouncedStart {
    /// What happened, without when: `kube-scheduler.service was started past usher`.
    pub fn what(&self) -> String {
        match (&self.unit, self.automatic) {
            (None, _) => "rebooted past usher".to_owned(),
            (Some(unit), true) => format!("{unit} was restarted by systemd itself"),
            (Some(unit), false) => format!("{unit} was started past usher"),
        }
    }
}

/// A hold that was set through the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnedHold {
    pub owner: String,
    pub reason: String,
    pub since: Option<Timestamp>,
    /// None: until it is released.
    pub until: Option<Timestamp>,
    /// Who set it.
    pub requester: String,
}

impl OwnedHold {
    /// Whose it is, until when and why: `by alice until it is released: "disk is being copied"`.
    pub fn said(&self) -> String {
        let Self { owner, reason, until, .. } = self;
        let until = until.map_or_else(|| "until it is released".to_owned(), |until| format!("until {until}"));
        format!("by {owner} {until}: {reason:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_the_first_one_and_the_number_of_the_others() {
        let request = |reason: &str| RestartRequest {
            reason: reason.to_owned(),
            requester: "root@cp1".to_owned(),
            ..RestartRequest::default()
        };
        let one = WantedRestart { requests: vec![request("new certificate")], ..WantedRestart::default() };
        assert_eq!(one.why(), "new certificate (root@cp1)");
        let many = WantedRestart { requests: vec![request("new certificate"), request("x")], more: 5, ..one };
        assert_eq!(many.why(), "new certificate (root@cp1), and 6 more");
    }
}
