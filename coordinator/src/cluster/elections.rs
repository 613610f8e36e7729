//! Elections under watch: a task reads their records twice a second, for as long as an operation lasts, so that "does the
//! holder renew?" is known at any moment without waiting for the answer.

mod observation;

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

use self::observation::Observation;
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
                if let Some(error) = current.error.as_ref().filter(|error| error.is_forbidden()) {
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
