//! Looks at the units after each of their jobs, those that others asked systemd for included: whether somebody else has started
//! one, and which requests for restarts are settled by that. It also begins the restarts that the agent is to do itself.

use std::{collections::BTreeMap, future::pending, time::Duration};

use tokio::time::sleep;
use tracing::{info, warn};
use usher_common::{chain, clock};
use usher_proto::reason;

use super::{
    Operations,
    admit::Request,
    record::{Change, Operation, Order},
    store::{Looked, Unannounced, Wanted},
};
use crate::{caller::Caller, machine::systemd::Jobs, refusal::Refusal};

/// Between two looks if no job ends. systemd may be away when one does, and does not tell afterwards.
const LOOK_EVERY: Duration = Duration::from_secs(15 * 60);

/// The same while a restart is wanted: somebody waits for it.
const LOOK_SOON: Duration = Duration::from_secs(2);

/// Who restarts a unit that the node's root asked for, in the place of a caller's certificate.
const AGENT: &str = "usher-agent";

/// Operations that may have started a unit since it was seen last: the unit, and the operation's place in the history.
pub(super) type Touched = BTreeMap<String, u64>;

impl Operations {
    /// Takes note of the boot.
    async fn observe_boot(&self, left: Option<&Operation>) {
        let machine = &self.inner.machine;
        let Ok(boot_id) = machine.boot_id() else { return };
        let seen = self.inner.store.seen_boot();
        // Whatever became of it: the agent had asked for a reboot.
        let announced = left.is_some_and(|left| {
            matches!(left.change, Change::RebootNode { .. }) && left.evidence.boot_id_before == seen
        });
        let now = clock::now();
        let at = machine.uptime().and_then(|uptime| now.checked_sub(uptime).ok()).unwrap_or(now);
        match self.inner.store.boot(&boot_id, at, announced).await {
            Ok(start) => start.iter().for_each(|start| self.tell(start)),
            Err(error) => warn!("in which boot the node runs could not be stored: {}", chain(&error)),
        }
    }

    /// `left` is the operation that the last agent left running.
    pub(super) async fn observe_for_ever(self, left: Option<Operation>) {
        let stop = self.inner.stop.clone();
        stop.run_until_cancelled_owned(async move {
            self.observe_boot(left.as_ref()).await;
            let (mut refused, mut jobs) = (None, None);
            loop {
                let asked = self.inner.observe.notified();
                if jobs.is_none() {
                    jobs = self.inner.machine.systemd.jobs().await.ok();
                }
                self.observe().await;
                self.begin_due(&mut refused).await;
                let pause = if self.inner.store.wanted_restarts().is_empty() { LOOK_EVERY } else { LOOK_SOON };
                let is_connected = tokio::select! {
                    biased;
                    () = asked => true,
                    () = sleep(pause) => true,
                    is_connected = self.job_ended(&mut jobs) => is_connected,
                };
                if !is_connected {
                    jobs = None;
                    sleep(LOOK_SOON).await;
                }
            }
        })
        .await;
    }

    /// Waits until a job of one of the units has ended. False if systemd has gone.
    async fn job_ended(&self, jobs: &mut Option<Jobs>) -> bool {
        let config = self.inner.machine.config();
        match jobs {
            Some(jobs) => jobs.ended(|unit| config.units.contains_key(unit)).await,
            None => pending().await,
        }
    }

    /// One look. A unit with an operation under way is left for the next one: what it is started as belongs to the operation.
    async fn observe(&self) {
        let machine = &self.inner.machine;
        // A boot that nobody knows is not another boot.
        let Ok(boot_id) = machine.boot_id() else { return };
        let config = machine.config();
        let (running, touched) = (self.running(), self.touched().clone());
        let seen = machine.looks.units(config.units.keys()).await;
        let (running_now, touched_now) = (self.running(), self.touched().clone());
        let works_on = |unit: &str| {
            [&running, &running_now].into_iter().flatten().any(|running| running.change.unit() == Some(unit))
        };
        let looked: Vec<_> = seen.into_iter().filter(|unit| !works_on(&unit.name)).collect();
        // What began during the look stays for the next one.
        let accounted: Vec<_> = looked
            .iter()
            .filter_map(|unit| {
                let sequence = touched.get(&unit.name)?;
                (touched_now.get(&unit.name) == Some(sequence)).then(|| (unit.name.clone(), *sequence))
            })
            .collect();
        let looked = looked.into_iter().map(|unit| {
            let announced = touched_now.contains_key(&unit.name);
            Looked { unit, announced }
        });
        let units = config.units.clone();
        let is_known = move |unit: &str| units.contains_key(unit);
        match self.inner.store.look(looked.collect(), &boot_id, clock::now(), is_known).await {
            Ok(news) => {
                news.unannounced.iter().for_each(|start| self.tell(start));
                for unit in news.settled {
                    info!(unit, "the restart of {unit} that was asked for on this node has come");
                }
                let mut touched = self.touched();
                for (unit, sequence) in accounted {
                    if touched.get(&unit) == Some(&sequence) {
                        touched.remove(&unit);
                    }
                }
            }
            // The store's warnings say so.
            Err(error) => tracing::debug!("what the units run as could not be stored: {}", chain(&error)),
        }
        self.inner.observed.send_replace(());
    }

    fn tell(&self, start: &Unannounced) {
        self.inner.counters.unannounced(start.unit.as_deref(), start.automatic);
        match &start.unit {
            Some(unit) if start.automatic => warn!(unit, "systemd has restarted {unit} by itself"),
            Some(unit) => warn!(unit, "{unit} was started by somebody else, past usher"),
            None => warn!("the node was rebooted by somebody else, past usher"),
        }
    }

    /// Begins the restarts that the agent does itself, one at a time. `refused` is what was said last of one that cannot be begun
    /// yet, so that it is logged once.
    async fn begin_due(&self, refused: &mut Option<String>) {
        if !self.inner.machine.config().sole_control_plane {
            return;
        }
        for (unit, wanted) in self.inner.store.due_restarts() {
            match self.begin_wanted(&unit, &wanted).await {
                Ok(()) => *refused = None,
                Err(refusal) if refusal.reason == reason::BUSY => return,
                Err(refusal) => {
                    let message = format!("{unit} is to be restarted, but cannot be yet: {refusal}");
                    if refused.as_ref() != Some(&message) {
                        warn!(unit, "{message}");
                        *refused = Some(message);
                    }
                }
            }
        }
    }

    async fn begin_wanted(&self, unit: &str, wanted: &Wanted) -> Result<(), Refusal> {
        let asked = wanted.requests.last();
        let requester = asked.map_or_else(|| AGENT.to_owned(), |asked| asked.requester.clone());
        let reason = asked.map_or_else(|| "asked for on the node".to_owned(), |asked| asked.reason.clone());
        let request = Request {
            id: format!("requested.{}", wanted.number),
            change: Change::RestartUnit { unit: unit.to_owned(), expected_invocation_id: wanted.invocation_id.clone() },
            order: Order { epoch: self.epoch(), reason, requester, ..Order::default() },
            caller: Caller::named([AGENT]),
            patience: None,
        };
        let operation = self.submit(request).await?;
        info!(unit, operation = operation.id, "the only control plane: the agent restarts what was asked for");
        if let Err(error) = self.inner.store.restart_begun(unit, wanted.number).await {
            warn!(unit, "that a restart was begun could not be stored: {}", chain(&error));
        }
        Ok(())
    }
}
