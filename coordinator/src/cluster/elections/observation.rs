//! What was seen of one election so far, and what it says about who leads.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    cluster::leases::Record,
    facts::leader::{Holder, Known, Leadership},
};

/// A lease as it was read, and how it came there.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    pub(super) record: Option<Record>,
    /// When this holder was seen first, with the renewal it had then.
    since: Instant,
    /// When it was seen to renew, after that.
    renewed: Option<Instant>,
    /// It took the lease under watch: another record was there before.
    taken: bool,
    /// As of when the record is known to be the current one: no earlier than the last reading that succeeded was asked for.
    pub(super) read_at: Instant,
}

impl Observation {
    pub(super) fn first(record: Option<Record>, read_at: Instant) -> Self {
        Self { record, since: read_at, renewed: None, taken: false, read_at }
    }

    /// What is known after reading `record`.
    pub(super) fn then(self, record: Option<Record>, read_at: Instant) -> Self {
        let read_at = read_at.max(self.read_at);
        match (&self.record, &record) {
            // A watch and a read overtake one another.
            (Some(before), Some(after)) if after.is_older_than(before) => self,
            (Some(before), Some(after)) if before.holder == after.holder => {
                let renewed = if before.renewed == after.renewed { self.renewed } else { Some(read_at) };
                Self { record, renewed, read_at, ..self }
            }
            (None, None) => Self { read_at, ..self },
            _ => Self { taken: true, ..Self::first(record, read_at) },
        }
    }

    /// Who leads, as far as it is certain; None while a holder has neither renewed nor had its time to.
    ///
    /// A holder that was seen to renew counts as living for two thirds of the lease's duration after that: client-go's own
    /// holders step down when they could not renew for as long (`renewDeadline`, 10 s of 15 s by default). It counts as dead only by
    /// what was read: while nothing can be read, its silence is ours.
    pub(super) fn judge(&self, machines: &[Known], now: Instant) -> Option<Leadership> {
        let Some(record) = &self.record else { return Some(Leadership::Absent) };
        if record.holder.is_empty() {
            return Some(Leadership::Free);
        }
        match self.renewed {
            Some(_) if self.silent(now) <= record.duration * 2 / 3 => Some(Leadership::Held(record.holder(machines))),
            _ if self.silent(self.read_at) > record.duration => Some(Leadership::Stale(record.holder(machines))),
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
        now.saturating_duration_since(self.renewed.unwrap_or(self.since))
    }
}
