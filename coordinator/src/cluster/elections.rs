//! Elections under watch for as long as an operation lasts, so that "does the holder renew?" is known at any moment without waiting
//! for the answer.

mod observation;
mod reading;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use self::reading::{READ_WITHIN, Reader, Readings, unread};
use super::{Cluster, ClusterError, LeaseName, PATIENCE, leases::Record};
use crate::{
    facts::leader::{Holder, Known, Leadership},
    text,
};

/// How long a wait for a renewal goes unmentioned. A new holder renews within 2 s by default.
const NOTICE_AFTER: Duration = Duration::from_secs(3);

/// The elections of a site's components, under watch until dropped.
#[derive(Debug)]
pub struct Elections {
    cluster: Cluster,
    /// How many leases there are.
    count: usize,
    readings: watch::Receiver<Readings>,
    read_now: Arc<Notify>,
    machines: Mutex<Vec<Known>>,
    task: JoinHandle<()>,
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
        // Two components may share a lease.
        let leases: BTreeSet<_> = leases.into_iter().collect();
        let (count, read_now) = (leases.len(), Arc::new(Notify::new()));
        let task = tokio::spawn(Reader::new(cluster.clone(), leases, sender).run(Arc::clone(&read_now)));
        Self { cluster, count, readings, read_now, machines: Mutex::new(machines), task }
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
    /// At once if reading them is forbidden or the caller is not known; after 30 s without a reading; or if twice the duration of the
    /// longest lease does not show who leads.
    pub async fn leaderships(&self) -> Result<BTreeMap<LeaseName, Leadership>, ClusterError> {
        let mut readings = self.readings.clone();
        let begun = Instant::now();
        self.read_now.notify_one();
        let mut notice_at = Some(begun + NOTICE_AFTER);
        loop {
            let deadline = {
                let current = readings.borrow_and_update();
                let now = Instant::now();
                let read_at = current.read_at(self.count);
                if read_at.is_some_and(|read_at| read_at >= begun)
                    && let Some(judged) = current.judge(&self.machines(), now)
                {
                    return Ok(judged);
                }
                if let Some(error) = current.errors.values().find(|error| lasts(error)) {
                    return Err(error.again(begun.elapsed()));
                }
                if notice_at.is_some_and(|at| at <= now) {
                    notice_at = None;
                    current.undecided(now).for_each(|line| self.cluster.notice(&line));
                }
                let longest = current.records().map(|(_, record)| record.duration).max().unwrap_or_default();
                (read_at.unwrap_or(begun).max(begun) + PATIENCE).min(begun + PATIENCE + longest * 2)
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
        // A record that cannot be read says nothing about its holder.
        let seen = readings.seen.get(name).filter(|_| !readings.errors.contains_key(name))?;
        seen.judge(&self.machines(), Instant::now())
    }

    /// Waits until a holder other than `except` renews.
    ///
    /// # Errors
    ///
    /// [`NoLeader::Unled`] with what was seen last, if the time passes; [`NoLeader::Unread`] if the record cannot be read, at once if
    /// that is forbidden.
    pub async fn await_leader(
        &self,
        name: &LeaseName,
        except: Option<&str>,
        within: Duration,
    ) -> Result<Holder, NoLeader> {
        self.await_holder(name, within, || self.leader(name, except)).await
    }

    /// Waits until a holder other than `except` has taken it: sooner than [`Self::await_leader`] by one renewal, and no proof that it
    /// goes on leading.
    ///
    /// # Errors
    ///
    /// As of [`Self::await_leader`].
    pub async fn await_taker(&self, name: &LeaseName, except: &str, within: Duration) -> Result<Holder, NoLeader> {
        let taker = || {
            let taker = self.readings.borrow().seen.get(name)?.taker(&self.machines(), Instant::now())?;
            (taker.identity != except).then_some(taker)
        };
        self.await_holder(name, within, || self.leader(name, Some(except)).or_else(taker)).await
    }

    async fn await_holder(
        &self,
        name: &LeaseName,
        within: Duration,
        found: impl Fn() -> Option<Holder>,
    ) -> Result<Holder, NoLeader> {
        let mut readings = self.readings.clone();
        let deadline = Instant::now() + within;
        loop {
            readings.mark_unchanged();
            if let Some(holder) = found() {
                return Ok(holder);
            }
            if let Some(error) = readings.borrow().errors.get(name).filter(|error| lasts(error)) {
                return Err(NoLeader::Unread(error.again(within)));
            }
            if timeout_at(deadline, readings.changed()).await.is_err() {
                return Err(readings.borrow().no_leader(name, within));
            }
        }
    }
}

impl Readings {
    /// Since when all of them are known; None while one is not.
    fn read_at(&self, count: usize) -> Option<Instant> {
        self.seen.values().map(|seen| seen.read_at).min().filter(|_| self.seen.len() == count).or_else(|| {
            // A site without elections has nothing to be read.
            (count == 0).then(Instant::now)
        })
    }

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
        if let Some(error) = self.errors.values().next() {
            return error.again(waited);
        }
        let now = Instant::now();
        let is_read = self.seen.values().all(|seen| now - seen.read_at <= 2 * READ_WITHIN);
        let undecided: Vec<_> = self.undecided(now).filter(|_| is_read).collect();
        let problem = if undecided.is_empty() { "no answer".to_owned() } else { undecided.join("; ") };
        ClusterError::TimedOut { doing: "see who leads".into(), within: waited, problem }
    }

    /// Why no leader was seen.
    fn no_leader(&self, name: &LeaseName, within: Duration) -> NoLeader {
        let seen = self.seen.get(name);
        match self.errors.get(name) {
            Some(error) => NoLeader::Unread(error.again(within)),
            None if seen.is_none_or(|seen| seen.read_at.elapsed() > 2 * READ_WITHIN) => {
                NoLeader::Unread(unread(format!("read the lease {name}"), within))
            }
            None => {
                let last = seen.and_then(|seen| Some(seen.record.as_ref()?.holder.clone()));
                NoLeader::Unled { within, last }
            }
        }
    }
}

/// Whether it makes no sense to ask again.
fn lasts(error: &ClusterError) -> bool {
    error.is_forbidden() || error.is_unauthenticated()
}

/// Nobody was seen to lead in time.
#[derive(Debug, thiserror::Error)]
pub enum NoLeader {
    /// The record was read, and nobody renewed it.
    #[error("no new holder renewed it within {}", text::took(*within))]
    Unled {
        /// How long was waited.
        within: Duration,
        /// The identity written down last; None if there is no record, empty if nobody holds it.
        last: Option<String>,
    },
    /// The record could not be read, so that somebody may well lead.
    #[error("whether somebody leads is not known: {0}")]
    Unread(#[source] ClusterError),
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{observation::Observation, *};

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
            version: None,
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
