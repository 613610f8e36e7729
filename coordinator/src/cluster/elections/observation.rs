//! What is known of one election from its record, read again and again.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    cluster::leases::Record,
    facts::leader::{Holder, Known, Leadership},
};

/// What was seen of one election so far.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    pub(super) record: Option<Record>,
    /// When this holder was seen first, with the renewal it had then.
    since: Instant,
    /// When it was seen to renew, after that.
    renewed: Option<Instant>,
    /// It took the lease under watch: another record was there before.
    taken: bool,
}

impl Observation {
    pub(super) fn first(record: Option<Record>, now: Instant) -> Self {
        Self { record, since: now, renewed: None, taken: false }
    }

    /// What is known after reading `record`.
    pub(super) fn then(self, record: Option<Record>, now: Instant) -> Self {
        match (&self.record, &record) {
            (Some(before), Some(after)) if before.holder == after.holder => {
                let renewed = if before.renewed == after.renewed { self.renewed } else { Some(now) };
                Self { record, renewed, ..self }
            }
            (None, None) => self,
            _ => Self { taken: true, ..Self::first(record, now) },
        }
    }

    /// Who leads, as far as it is certain; None while a holder has neither renewed nor had its time to.
    ///
    /// A holder that was seen to renew counts as living for two thirds of the lease's duration after that: client-go's own
    /// holders step down when they could not renew for as long (`renewDeadline`, 10 s of 15 s by default).
    pub(super) fn judge(&self, machines: &[Known], now: Instant) -> Option<Leadership> {
        let Some(record) = &self.record else { return Some(Leadership::Absent) };
        if record.holder.is_empty() {
            return Some(Leadership::Free);
        }
        let silent = self.silent(now);
        match self.renewed {
            Some(_) if silent <= record.duration * 2 / 3 => Some(Leadership::Held(record.holder(machines))),
            _ if silent > record.duration => Some(Leadership::Stale(record.holder(machines))),
            _ => None,
        }
    }

    /// Who has just taken the lease, which only a process that lives can.
    pub(super) fn taker(&self, machines: &[Known], now: Instant) -> Option<Holder> {
        let record = self.record.as_ref().filter(|record| self.taken && !record.holder.is_empty())?;
        (self.silent(now) <= record.duration * 2 / 3).then(|| record.holder(machines))
    }

    /// For how long the holder was not seen to renew.
    pub(super) fn silent(&self, now: Instant) -> Duration {
        now - self.renewed.unwrap_or(self.since)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const UUID: &str = "6d6b1c2e-0d4c-4a67-9a52-5a0a51b3d7a1";

    fn record(holder: &str, renewed: i64) -> Option<Record> {
        Some(Record {
            holder: if holder.is_empty() { String::new() } else { format!("{holder}_{UUID}") },
            preferred: None,
            duration: Duration::from_secs(15),
            acquired: None,
            renewed: Timestamp::from_second(renewed).ok(),
            stored: None,
            transitions: 1,
        })
    }

    /// Reads each (second, record) and says what is known at the last second.
    fn after(readings: &[(u64, Option<Record>)]) -> Option<String> {
        let begin = Instant::now();
        let at = |second: u64| begin + Duration::from_secs(second);
        let mut seen: Option<Observation> = None;
        for (second, record) in readings {
            seen = Some(match seen {
                Some(seen) => seen.then(record.clone(), at(*second)),
                None => Observation::first(record.clone(), at(*second)),
            });
        }
        let machines = [Known { machine: "cp1".into(), names: vec!["cp1".into()] }];
        let (last, _) = readings.last()?;
        Some(match seen?.judge(&machines, at(*last))? {
            Leadership::Held(holder) => format!("held by {}", holder.machine.unwrap_or(holder.identity)),
            Leadership::Stale(_) => "stale".into(),
            Leadership::Free => "free".into(),
            Leadership::Absent => "absent".into(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_takes_a_lease_under_watch_is_known_before_it_renews() {
        let begin = Instant::now();
        let taker = |readings: &[(u64, Option<Record>)], second: u64| {
            let mut seen: Option<Observation> = None;
            for (at, record) in readings {
                let at = begin + Duration::from_secs(*at);
                seen = Some(match seen {
                    Some(seen) => seen.then(record.clone(), at),
                    None => Observation::first(record.clone(), at),
                });
            }
            seen.unwrap().taker(&[], begin + Duration::from_secs(second)).map(|holder| holder.identity)
        };
        let taken = [(0, record("", 100)), (1, record("cp1", 101))];
        assert_eq!(taker(&taken, 1), Some(format!("cp1_{UUID}")));
        assert_eq!(taker(&taken, 12), None, "silent for longer than a holder tries");
        assert_eq!(taker(&taken[1..], 1), None, "nobody saw when it took it");
        assert_eq!(taker(&[(0, record("cp1", 100)), (1, record("", 101))], 1), None, "free");
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_leads_once_it_is_seen_to_renew_whatever_its_clock_says() {
        let hour = 3600;
        for (what, readings, expected) in [
            ("renews", vec![(0, record("cp1", 100)), (2, record("cp1", 102))], Some("held by cp1")),
            (
                "renews, its clock an hour ahead",
                vec![(0, record("cp1", hour)), (2, record("cp1", hour + 2))],
                Some("held by cp1"),
            ),
            ("renews, its clock set back", vec![(0, record("cp1", hour)), (2, record("cp1", 5))], Some("held by cp1")),
            ("read once", vec![(0, record("cp1", 100))], None),
            ("silent for less than its lease", vec![(0, record("cp1", 100)), (14, record("cp1", 100))], None),
            ("silent for longer", vec![(0, record("cp1", 100)), (16, record("cp1", 100))], Some("stale")),
            (
                "renewed, then silent for as long as a holder tries",
                vec![(0, record("cp1", 1)), (2, record("cp1", 2)), (12, record("cp1", 2))],
                Some("held by cp1"),
            ),
            ("and a little longer", vec![(0, record("cp1", 1)), (2, record("cp1", 2)), (13, record("cp1", 2))], None),
            (
                "renewed, then fell silent",
                vec![(0, record("cp1", 1)), (2, record("cp1", 2)), (18, record("cp1", 2))],
                Some("stale"),
            ),
            ("released", vec![(0, record("cp1", 100)), (1, record("", 101))], Some("free")),
            ("changed hands a moment ago", vec![(0, record("", 100)), (1, record("cp1", 101))], None),
            ("neither Lease nor annotation", vec![(0, None)], Some("absent")),
        ] {
            assert_eq!(after(&readings).as_deref(), expected, "{what}");
        }
    }
}
