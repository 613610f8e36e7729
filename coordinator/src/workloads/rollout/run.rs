//! Carries out a run: writes the changes, follows the watches, looks why something stands.

use std::collections::BTreeSet;

use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, SelectAll},
};
use tokio::time::{Instant, sleep_until};
use usher_common::chain;

use super::{
    Places,
    change::Change,
    ledger::{Ledger, Settings},
    outcome::{Event, Outcome, Stop},
    pods::reasons,
    updates::{Update, updates},
    workload::Workload,
};
use crate::{cluster::Cluster, interrupt::Interrupt};

/// Everything that a run needs.
#[derive(Debug)]
pub struct Run<'a> {
    pub cluster: &'a Cluster,
    pub places: &'a Places,
    pub settings: Settings,
    pub interrupt: &'a Interrupt,
}

/// What is under way beside the watches.
enum Done {
    Begun(usize, Result<Box<Workload>, String>),
    /// For good, or to be looked into again.
    Looked(usize, Vec<String>, bool),
}

impl Run<'_> {
    /// Carries out the changes, as many at a time as the settings allow, and waits for the rollouts. The first interrupt begins no
    /// more, and waits for those under way; the second leaves at once.
    pub async fn to_end(self, changes: Vec<Change>, mut tell: impl FnMut(&Event)) -> Outcome {
        let Self { cluster, places, settings, interrupt } = self;
        let deadline = settings.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let ids: BTreeSet<_> = changes.iter().map(|change| change.workload.id.clone()).collect();
        let watching = settings.wait;
        // Before the first change: it cannot be missed.
        let mut news = if watching { updates(cluster.client(), places, &ids) } else { SelectAll::new() };
        let mut ledger = Ledger::new(changes, settings, Instant::now());
        let mut work: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
        let mut last_looks = BTreeSet::new();
        let (mut stopping, mut timed_out) = (false, false);
        loop {
            while let Some((index, change)) = ledger.begin(Instant::now()) {
                let write = async move {
                    let written = change.apply(cluster, places, false).await;
                    Done::Begun(index, written.map(Box::new).map_err(|error| chain(&error)))
                };
                work.push(write.boxed());
            }
            let for_good =
                ledger.failing().into_iter().filter(|(index, ..)| last_looks.insert(*index)).collect::<Vec<_>>();
            for (index, workload, for_good) in ledger.looks(Instant::now()).into_iter().chain(for_good) {
                if for_good {
                    last_looks.insert(index);
                }
                let look = async move { Done::Looked(index, reasons(cluster, &workload, for_good).await, for_good) };
                work.push(look.boxed());
            }
            if ledger.is_over() {
                break;
            }
            let events = tokio::select! {
                biased;
                () = interrupt.insisted() => {
                    ledger.stop(Stop::Interrupted);
                    break;
                }
                () = interrupt.requested(), if !stopping => {
                    stopping = true;
                    ledger.stop(Stop::Interrupted);
                    Vec::new()
                }
                Some(done) = work.next() => match done {
                    Done::Begun(index, result) => ledger.begun(index, result.map(|workload| *workload), Instant::now()),
                    Done::Looked(index, why, last) => ledger.looked(index, (why, last), Instant::now()),
                },
                Some(update) = news.next(), if watching => match update {
                    Update::Seen(workload) => ledger.seen(*workload, Instant::now()),
                    Update::Gone(id) => ledger.gone(&id, Instant::now()),
                    Update::Lost(kind, why) => ledger.lost(kind, &why, Instant::now()),
                },
                () = until(deadline), if !timed_out => {
                    timed_out = true;
                    ledger.stop(Stop::TimedOut);
                    Vec::new()
                }
                () = until(ledger.next_look()) => Vec::new(),
            };
            events.iter().for_each(&mut tell);
        }
        ledger.close(Instant::now())
    }
}

/// Returns at that moment; never without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
