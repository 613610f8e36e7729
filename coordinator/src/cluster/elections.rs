//! Elections under watch: a task reads their records twice a second, for as long as an operation lasts, so that "does the
//! holder renew?" is known at any moment without waiting for the answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{Cluster, ClusterError, LeaseName, PATIENCE, leases::Record};
use crate::{
    facts::leader::{Holder, Known, Leadership},
    text,
};

/// A living holder renews each 2 s by default (client-go's retryPeriod).
const READ_EVERY: Duration = Duration::from_millis(500);

/// How long a wait for a renewal goes unmentioned. A new holder renews within 2 s by default.
const NOTICE_AFTER: Duration = Duration::from_secs(3);

/// The elections of a site's components, under watch until dropped.
#[derive(Debug)]
pub struct Elections {
    cluster: Cluster,
    readings: watch::Receiver<Readings>,
    read_now: Arc<Notify>,
    machines: Mutex<Vec<Known>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Readings {
    /// How often all records have been read.
    rounds: u64,
    seen: BTreeMap<LeaseName, Observation>,
    /// Why the last round failed, if it did.
    error: Option<ClusterError>,
}

/// What was seen of one election so far.
#[derive(Debug, Clone)]
struct Observation {
    record: Option<Record>,
    /// When this holder was seen first, with the renewal it had then.
    since: Instant,
    /// When it was seen to renew, after that.
    renewed: Option<Instant>,
}

impl Observation {
    fn first(record: Option<Record>, now: Instant) -> Self {
        Self { record, since: now, renewed: None }
    }

    /// What is known after reading `record`.
    fn then(self, record: Option<Record>, now: Instant) -> Self {
        match (&self.record, &record) {
            (Some(before), Some(after)) if before.holder == after.holder => {
                let renewed = if before.renewed == after.renewed { self.renewed } else { Some(now) };
                Self { record, renewed, ..self }
            }
            (None, None) => self,
            _ => Self::first(record, now),
        }
    }

    /// Who leads, as far as it is certain; None while a holder has neither renewed nor had its time to.
    ///
    /// A holder that was seen to renew counts as living for two thirds of the lease's duration after that: client-go's own
    /// holders step down when they could not renew for as long (`renewDeadline`, 10 s of 15 s by default).
    fn judge(&self, machines: &[Known], now: Instant) -> Option<Leadership> {
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

    /// For how long the holder was not seen to renew.
    fn silent(&self, now: Instant) -> Duration {
        now - self.renewed.unwrap_or(self.since)
    }
}

impl Drop for Elections {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Elections {
    /// Begins to watch `leases`, naming holders by `machines`.
    pub fn watch(cluster: Cluster, leases: Vec<LeaseName>, machines: Vec<Known>) -> Self {
        let (sender, readings) = watch::channel(Readings::default());
        let read_now = Arc::new(Notify::new());
        let task = tokio::spawn(read_on(cluster.clone(), leases, sender, Arc::clone(&read_now)));
        Self { cluster, readings, read_now, machines: Mutex::new(machines), task }
    }

    /// Adds a name of a machine. Holders sign with the host name, which the machine's agent knows best.
    pub fn learn(&self, machine: &str, name: &str) {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let known = machines.iter_mut().find(|known| known.machine == machine);
        if let Some(known) = known
            && !known.names.iter().any(|known| known == name)
        {
            known.names.push(name.to_owned());
        }
    }

    /// The machines with every name that they are known by.
    pub fn machines(&self) -> Vec<Known> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads every record again now, then says who leads each election.
    ///
    /// Takes as long as one read when all holders are known to live, one renewal (2 s by default) when they are new to us, and
    /// up to the lease's own duration (15 s by default) when one does not renew; a notice then says whose renewal is missing.
    ///
    /// # Errors
    ///
    /// At once if reading them is forbidden; after 30 s without a reading; or if twice the duration of the longest lease does not
    /// show who leads.
    pub async fn leaderships(&self) -> Result<BTreeMap<LeaseName, Leadership>, ClusterError> {
        let mut readings = self.readings.clone();
        let asked_at = readings.borrow_and_update().rounds;
        self.read_now.notify_one();
        let begun = Instant::now();
        let (mut rounds, mut read_at) = (asked_at, begun);
        let mut notice_at = Some(begun + NOTICE_AFTER);
        loop {
            let deadline = {
                let current = readings.borrow_and_update();
                let now = Instant::now();
                if current.rounds > asked_at
                    && let Some(judged) = current.judge(&self.machines(), now)
                {
                    return Ok(judged);
                }
                if let Some(error) = current.error.as_ref().filter(|error| error.is_forbidden() || error.is_unauthenticated()) {
                    return Err(error.again(begun.elapsed()));
                }
                if current.rounds > rounds {
                    (rounds, read_at) = (current.rounds, now);
                }
                if notice_at.is_some_and(|at| at <= now) {
                    notice_at = None;
                    current.undecided(now).for_each(|line| self.cluster.notice(&line));
                }
                let longest = current.records().map(|(_, record)| record.duration).max().unwrap_or_default();
                (read_at + PATIENCE).min(begun + PATIENCE + longest * 2)
            };
            let wake_up = notice_at.map_or(deadline, |at| at.min(deadline));
            if timeout_at(wake_up, readings.changed()).await.is_err() && wake_up == deadline {
                return Err(readings.borrow().problem(begun.elapsed()));
            }
        }
    }

    /// As [`Self::leaderships`], for one of them.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn leadership(&self, name: &LeaseName) -> Result<Leadership, ClusterError> {
        self.leaderships().await.map(|mut all| all.remove(name).unwrap_or(Leadership::Absent))
    }

    /// The holder other than `except` that was seen to renew lately, if there is one.
    pub fn leader(&self, name: &LeaseName, except: Option<&str>) -> Option<Holder> {
        let readings = self.readings.borrow();
        match readings.seen.get(name)?.judge(&self.machines(), Instant::now())? {
            Leadership::Held(holder) if except != Some(holder.identity.as_str()) => Some(holder),
            _ => None,
        }
    }

    /// Who leads an election as far as the last reading tells, without waiting; None while that is not certain.
    pub fn leadership_so_far(&self, name: &LeaseName) -> Option<Leadership> {
        let readings = self.readings.borrow();
        // Records that cannot be read say nothing about their holders.
        let seen = readings.seen.get(name).filter(|_| readings.error.is_none())?;
        seen.judge(&self.machines(), Instant::now())
    }

    /// Waits until a holder other than `except` renews.
    ///
    /// # Errors
    ///
    /// [`NoLeader`] with what was seen last, if the time passes; or what keeps the records from being read.
    pub async fn await_leader(
        &self,
        name: &LeaseName,
        except: Option<&str>,
        within: Duration,
    ) -> Result<Holder, NoLeader> {
        let mut readings = self.readings.clone();
        let deadline = Instant::now() + within;
        loop {
            readings.mark_unchanged();
            if let Some(holder) = self.leader(name, except) {
                return Ok(holder);
            }
            if timeout_at(deadline, readings.changed()).await.is_err() {
                let last = readings.borrow().seen.get(name).and_then(|seen| seen.record.clone());
                return Err(NoLeader { within, last: last.map(|record| record.holder) });
            }
        }
    }
}

impl Readings {
    /// Who leads each election; None while that is not certain for all of them.
    fn judge(&self, machines: &[Known], now: Instant) -> Option<BTreeMap<LeaseName, Leadership>> {
        self.seen.iter().map(|(name, seen)| Some((name.clone(), seen.judge(machines, now)?))).collect()
    }

    fn records(&self) -> impl Iterator<Item = (&LeaseName, &Record)> {
        self.seen.iter().filter_map(|(name, seen)| Some((name, seen.record.as_ref()?)))
    }

    /// A line about each election whose holder has neither renewed nor run out of time.
    fn undecided(&self, now: Instant) -> impl Iterator<Item = String> {
        self.seen.iter().filter(move |(_, seen)| seen.judge(&[], now).is_none()).filter_map(move |(name, seen)| {
            let record = seen.record.as_ref()?;
            let silent = seen.silent(now);
            let left = record.duration.saturating_sub(silent);
            Some(format!(
                "waiting for {} to renew the lease {name}: not within {} so far, taken to be dead in {}",
                record.holder,
                text::took(silent),
                text::took(left)
            ))
        })
    }

    /// Why nobody knows who leads.
    fn problem(&self, waited: Duration) -> ClusterError {
        match &self.error {
            Some(error) => error.again(waited),
            None => {
                let undecided: Vec<_> = self.undecided(Instant::now()).collect();
                let problem = if undecided.is_empty() { "no answer".to_owned() } else { undecided.join("; ") };
                ClusterError::TimedOut { doing: "see who leads".into(), within: waited, problem }
            }
        }
    }
}

/// Nobody was seen to lead in time.
#[derive(Debug, thiserror::Error)]
#[error("no new holder renewed it within {}s", within.as_secs())]
pub struct NoLeader {
    /// How long was waited.
    pub within: Duration,
    /// The identity written down last; None if there is no record, empty if nobody holds it.
    pub last: Option<String>,
}

async fn read_on(cluster: Cluster, leases: Vec<LeaseName>, sender: watch::Sender<Readings>, read_now: Arc<Notify>) {
    loop {
        let read = futures::future::join_all(leases.iter().map(|name| cluster.record(name))).await;
        let now = Instant::now();
        sender.send_modify(|readings| {
            readings.error = None;
            for (name, result) in leases.iter().zip(read) {
                match result {
                    Ok(record) => {
                        let seen = match readings.seen.remove(name) {
                            Some(before) => before.then(record, now),
                            None => Observation::first(record, now),
                        };
                        readings.seen.insert(name.clone(), seen);
                    }
                    Err(source) => readings.error = Some(cluster.error(&format!("read the lease {name}"), source)),
                }
            }
            if readings.error.is_none() {
                readings.rounds += 1;
            }
        });
        tokio::select! {
            biased;
            () = sleep(READ_EVERY) => {}
            () = read_now.notified() => {}
        }
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
