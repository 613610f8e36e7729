//! The control loops around the API server: level-triggered passes over the whole store.
//!
//! Each pass is a plain function over the store; it changes what is not as it should be and tells when it wants to be
//! run again without a change. So paused time works, and a test sees the same order each time.

mod deployments;
mod disruption;
mod garbage;
mod jobs;
mod kubelet;
mod replicas;
mod revisions;
mod scheduler;
mod sets;
mod starts;
mod taints;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

pub use kubelet::Kubelet;
pub(super) use kubelet::Kubelets;
pub use starts::Start;

use super::{Inner, State, resource::LEASES, store::Store};

/// How long the loops take to notice a change: two evictions in the same instant both see the old budget, as they do
/// with the real controllers.
const LATENCY: Duration = Duration::from_millis(5);

/// When a pass wants to be run again, if nothing changes before.
type Due = Option<Timestamp>;

fn earlier(one: Due, other: Due) -> Due {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Starts the loops; they end with the server.
pub(super) fn spawn(server: &Arc<Inner>) {
    let weak = Arc::downgrade(server);
    let mut versions = server.version.subscribe();
    let clock = server.clock.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LATENCY).await;
            let Some(server) = weak.upgrade() else { return };
            versions.mark_unchanged();
            let before = server.lock().store.version();
            let due = pass(&mut server.lock(), clock.now());
            let after = server.lock().store.version();
            if after != before {
                server.write(|_| ());
                continue;
            }
            drop(server);
            let wake = async {
                match due {
                    Some(due) => tokio::time::sleep_until(clock.instant(due)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = versions.changed() => if changed.is_err() { return },
                () = wake => {}
            }
        }
    });
}

/// What the loops have seen, so that a pass in which nothing is new to them costs nothing. Leases concern none of them, and make up
/// most of all changes: each node renews one.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The version before the last pass of all loops.
    version: u64,
    /// When one of them wants to be run again without a change.
    due: Due,
    /// Whether somebody has changed what they do since then.
    stirred: bool,
}

impl Seen {
    /// The loops do something else from now on.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    fn is_outdated(&self, store: &Store, now: Timestamp) -> bool {
        self.stirred || self.due.is_some_and(|due| due <= now) || store.has_news(self.version, LEASES)
    }
}

fn pass(state: &mut State, now: Timestamp) -> Due {
    let State { store, kubelets, settings, seen, .. } = state;
    if seen.is_outdated(store, now) {
        let since = (!seen.stirred).then_some(seen.version);
        *seen = Seen { version: store.version(), ..Seen::default() };
        if settings.controller_manager {
            let due = deployments::pass(store, now);
            replicas::pass(store, since);
            sets::pass(store);
            jobs::pass(store, now);
            garbage::pass(store, since);
            let due = earlier(due, disruption::pass(store, since, now));
            seen.due = earlier(due, kubelets.watch_over_nodes(store, now));
        }
        if settings.scheduler {
            scheduler::pass(store);
        }
    } else {
        // What was no news once is not looked through again.
        seen.version = store.version();
    }
    earlier(seen.due, kubelets.pass(store, now))
}

/// Recounts all budgets now.
pub(super) fn recount_budgets(store: &mut Store, now: Timestamp) {
    disruption::pass(store, None, now);
}
