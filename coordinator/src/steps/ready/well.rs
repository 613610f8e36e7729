//! For how long a rebooted Node has been well, and whether its kubelet has lived as long.

use std::time::Duration;

use tokio::time::Instant;
use usher_common::chain;

use crate::{cluster::ClusterError, text};

/// A kubelet renews its lease every 10 s by default, a quarter of its duration (`nodeLeaseDurationSeconds`).
pub(super) const RENEWED_WITHIN: Duration = Duration::from_secs(15);

/// For how long nothing has spoken against the Node.
///
/// A kubelet may post Ready once and die, and nobody knows for the 40 to 50 s after which its lease counts as expired. So its
/// lease must be renewed after the first third of the time for which the Node is watched: with the default of 15 s, and a renewal
/// each 10 s, nobody waits for it.
#[derive(Debug)]
pub(super) struct Well {
    since: Instant,
    /// The renewal of the first third. Compared with itself only: the node's clock may be off before it has met its time server.
    first: Option<jiff::Timestamp>,
    heartbeat: Heartbeat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Heartbeat {
    /// Not renewed yet, or not read for this reason.
    Awaited(Option<String>),
    Renewed,
    /// The kubelet keeps no lease, or we may not read it.
    Unknown,
}

impl Well {
    pub(super) const fn since(since: Instant) -> Self {
        Self { since, first: None, heartbeat: Heartbeat::Awaited(None) }
    }

    /// Notes a reading of the kubelet's lease.
    pub(super) fn note(
        &mut self,
        renewed: Result<Option<jiff::Timestamp>, ClusterError>,
        settle: Duration,
        now: Instant,
    ) {
        if self.heartbeat == Heartbeat::Renewed {
            return;
        }
        self.heartbeat = match renewed {
            Ok(Some(at)) if now - self.since < settle / 3 || self.first.is_none() => {
                self.first = Some(at);
                Heartbeat::Awaited(None)
            }
            Ok(Some(at)) if self.first != Some(at) => Heartbeat::Renewed,
            Ok(Some(_)) => Heartbeat::Awaited(None),
            Ok(None) => Heartbeat::Unknown,
            Err(error) if error.is_forbidden() => Heartbeat::Unknown,
            Err(error) => Heartbeat::Awaited(Some(chain(&error))),
        };
    }

    /// What is missing to the proof; None if nothing is.
    pub(super) fn missing(&self, settle: Duration, now: Instant) -> Option<String> {
        let left = settle.checked_sub(now - self.since).filter(|left| !left.is_zero());
        match (&self.heartbeat, left) {
            (_, Some(left)) => Some(format!("Ready; watching for {}", text::took(left))),
            (Heartbeat::Awaited(None), None) => {
                Some("Ready; waiting for its kubelet to renew its heartbeat".to_owned())
            }
            (Heartbeat::Awaited(Some(why)), None) => {
                Some(format!("Ready, but its kubelet's heartbeat was not read: {why}"))
            }
            (Heartbeat::Renewed | Heartbeat::Unknown, None) => None,
        }
    }

    pub(super) fn is_renewed(&self) -> bool {
        self.heartbeat == Heartbeat::Renewed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(15);

    fn renewed(second: i64) -> Result<Option<jiff::Timestamp>, ClusterError> {
        Ok(jiff::Timestamp::from_second(second).ok())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_must_be_renewed_after_the_first_third_of_the_settle_time() {
        let begun = Instant::now();
        for (what, readings, at_the_end) in [
            ("renewed each 10 s", &[(0, 100), (4, 104), (14, 114), (15, 114)][..], None),
            (
                "renewed early and then never",
                &[(0, 100), (4, 104), (15, 104), (90, 104)],
                Some("to renew its heartbeat"),
            ),
            ("renewed late", &[(0, 100), (15, 100), (16, 116)], None),
            ("read late for the first time", &[(15, 100), (16, 100)], Some("to renew its heartbeat")),
        ] {
            let mut well = Well::since(begun);
            let mut last = begun;
            for (after, renewal) in readings {
                last = begun + Duration::from_secs(*after);
                well.note(renewed(*renewal), SETTLE, last);
            }
            let missing = well.missing(SETTLE, last);
            match at_the_end {
                None => assert_eq!(missing, None, "{what}"),
                Some(words) => assert!(missing.is_some_and(|missing| missing.contains(words)), "{what}"),
            }
        }
        let mut without = Well::since(begun);
        without.note(Ok(None), SETTLE, begun);
        assert!(without.missing(SETTLE, begun + SETTLE).is_none(), "an apiserver that keeps no such leases");
        assert!(without.missing(SETTLE, begun).is_some(), "the settle time is for all");
    }
}
