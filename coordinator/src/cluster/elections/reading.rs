//! Reading the records of elections: a watch for each lease, and a read where a watch says nothing.
//!
//! A holder renews each 2 s by default, so a watch brings an event as often, and nothing else is asked. A lease is read where it cannot
//! be watched (the right is missing, or the record is an annotation of an old cluster), and where its watch brings nothing for longer
//! than a holder is silent: the connection may be dead, and the holder alive.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt as _, Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, FuturesUnordered, SelectAll},
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, ResourceExt as _,
    api::{WatchEvent, WatchParams},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

use super::observation::Observation;
use crate::{
    cluster::{Cluster, ClusterError, LeaseName, leases::Record, watch::watch_seconds},
    text::took,
};

/// How often a lease is read that is not watched. A living holder renews each 2 s by default (client-go's retryPeriod).
const READ_EVERY: Duration = Duration::from_millis(500);

/// How often one is read whose watch says nothing.
const READ_QUIET_EVERY: Duration = Duration::from_secs(1);

/// A fifth of a lease's duration without a renewal is quiet: 3 s by default, where holders renew each 2 s.
const QUIET: u32 = 5;

/// How long a read may take. One that hangs says nothing about the holder.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(5);

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) seen: BTreeMap<LeaseName, Observation>,
    /// Why the last read of a lease failed, if it did.
    pub(super) errors: BTreeMap<LeaseName, ClusterError>,
}

impl Readings {
    fn note(&mut self, name: &LeaseName, record: Option<Record>, read_at: Instant) {
        self.errors.remove(name);
        let seen = match self.seen.remove(name) {
            Some(before) => before.then(record, read_at),
            None => Observation::first(record, read_at),
        };
        self.seen.insert(name.clone(), seen);
    }
}

type Read = (LeaseName, Instant, Result<Option<Record>, ClusterError>);

/// An event of a watch; None at its end.
type Event = (LeaseName, Option<kube::Result<WatchEvent<Lease>>>);

/// How one lease is read.
#[derive(Debug)]
struct Schedule {
    /// When it is read next; None while a read is under way.
    due: Option<Instant>,
    is_watched: bool,
    /// False once the server has forbidden it.
    may_be_watched: bool,
}

pub(super) struct Reader {
    cluster: Cluster,
    readings: watch::Sender<Readings>,
    leases: BTreeMap<LeaseName, Schedule>,
    reads: FuturesUnordered<BoxFuture<'static, Read>>,
    watches: SelectAll<Pin<Box<dyn Stream<Item = Event> + Send>>>,
}

impl Reader {
    pub(super) fn new(cluster: Cluster, leases: BTreeSet<LeaseName>, readings: watch::Sender<Readings>) -> Self {
        let now = Instant::now();
        let lease = |name| (name, Schedule { due: Some(now), is_watched: false, may_be_watched: true });
        Self {
            cluster,
            readings,
            leases: leases.into_iter().map(lease).collect(),
            reads: FuturesUnordered::new(),
            watches: SelectAll::new(),
        }
    }

    /// Reads until it is dropped. `read_now` has all leases read at once.
    pub(super) async fn run(mut self, read_now: Arc<Notify>) {
        loop {
            self.begin_reads();
            let next = self.leases.values().filter_map(|lease| lease.due).min();
            tokio::select! {
                biased;
                Some(read) = self.reads.next() => self.take_read(read),
                Some(event) = self.watches.next() => self.take_event(event),
                () = read_now.notified() => {
                    let now = Instant::now();
                    self.leases.values_mut().for_each(|lease| lease.due = Some(now));
                }
                () = passes(next) => {}
            }
        }
    }

    fn begin_reads(&mut self) {
        let now = Instant::now();
        for (name, lease) in &mut self.leases {
            if lease.due.take_if(|due| *due <= now).is_some() {
                let (cluster, name) = (self.cluster.clone(), name.clone());
                self.reads.push(async move { read(cluster, name).await }.boxed());
            }
        }
    }

    fn take_read(&mut self, (name, asked, read): Read) {
        let version = match read {
            Ok(record) => {
                let version = record.as_ref().and_then(|record| record.version.clone());
                self.readings.send_modify(|readings| readings.note(&name, record, asked));
                version
            }
            Err(error) => {
                self.readings.send_modify(|readings| drop(readings.errors.insert(name.clone(), error)));
                None
            }
        };
        let Some(lease) = self.leases.get_mut(&name) else { return };
        if let (Some(version), false, true) = (version, lease.is_watched, lease.may_be_watched) {
            lease.is_watched = true;
            self.watches.push(watch_one(&self.cluster, &name, version));
        }
        self.plan_next(&name);
    }

    fn take_event(&mut self, (name, event): Event) {
        let read_at = Instant::now();
        let record = match event {
            Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease))) => Some(Record::from_lease(lease)),
            Some(Ok(WatchEvent::Deleted(_))) => None,
            Some(Ok(WatchEvent::Bookmark(_) | WatchEvent::Error(_))) => return,
            Some(Err(error)) => {
                if let (kube::Error::Api(status), Some(lease)) = (&error, self.leases.get_mut(&name)) {
                    lease.may_be_watched &= status.code != 403;
                }
                return;
            }
            None => {
                // It ends by its own time, and whenever the server stops or has forgotten the version: a read begins anew.
                if let Some(lease) = self.leases.get_mut(&name) {
                    lease.is_watched = false;
                    if let Some(due) = &mut lease.due {
                        *due = (*due).min(read_at + READ_EVERY);
                    }
                }
                return;
            }
        };
        self.readings.send_modify(|readings| readings.note(&name, record, read_at));
        self.plan_next(&name);
    }

    /// When the lease is read next, if nothing comes before.
    fn plan_next(&mut self, name: &LeaseName) {
        let Some(lease) = self.leases.get_mut(name) else { return };
        let now = Instant::now();
        let readings = self.readings.borrow();
        let record = readings.seen.get(name).filter(|_| !readings.errors.contains_key(name));
        let pause = match record.and_then(|seen| Some((seen, seen.record.as_ref()?))) {
            Some((seen, record)) if lease.is_watched && !record.holder.is_empty() => {
                let quiet = record.duration / QUIET;
                let left = quiet.saturating_sub(seen.silent(now));
                left.max(READ_QUIET_EVERY)
            }
            Some(_) if lease.is_watched => READ_QUIET_EVERY,
            _ => READ_EVERY,
        };
        lease.due = Some(now + pause);
    }
}

async fn read(cluster: Cluster, name: LeaseName) -> Read {
    let asked = Instant::now();
    let doing = format!("read the lease {name}");
    let read = match timeout(READ_WITHIN, cluster.record(&name)).await {
        Ok(read) => read.map_err(|source| cluster.error(&doing, source)),
        Err(_) => Err(unread(doing, READ_WITHIN)),
    };
    (name, asked, read)
}

/// The error of a read that was not answered.
pub(super) fn unread(doing: String, within: Duration) -> ClusterError {
    ClusterError::TimedOut { doing, within, problem: format!("no answer within {}", took(within)) }
}

fn watch_one(cluster: &Cluster, name: &LeaseName, version: String) -> Pin<Box<dyn Stream<Item = Event> + Send>> {
    let api: Api<Lease> = Api::namespaced(cluster.client().clone(), &name.namespace);
    let params = WatchParams::default().fields(&format!("metadata.name={}", name.name)).timeout(watch_seconds());
    let (named, wanted, ended) = (name.clone(), name.name.clone(), name.clone());
    let events = async move { api.watch(&params, &version).await }.try_flatten_stream();
    // After an error, as of a version that is forgotten, nothing more comes.
    let events = events.try_take_while(|event| std::future::ready(Ok(!matches!(event, WatchEvent::Error(_)))));
    // A server that knows no such selector would send the others as well.
    let events = events.try_filter(move |event| {
        let is_it = match event {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) | WatchEvent::Deleted(lease) => {
                lease.name_any() == wanted
            }
            _ => true,
        };
        std::future::ready(is_it)
    });
    let events = events.map(move |event| (named.clone(), Some(event)));
    Box::pin(events.chain(stream::once(std::future::ready((ended, None)))))
}

async fn passes(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
