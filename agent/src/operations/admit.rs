//! Admission: the checks before an operation, in the order of the contract's refusals.

mod epoch;
mod request;

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;
use usher_common::{chain, host::is_same_host};
use usher_proto::reason;

pub(crate) use request::Request;
pub(super) use request::{check_order, check_reason, check_requester, check_text};

use super::{
    Operations, expected,
    moment::Moment,
    reboot,
    record::{Change, Evidence, Operation},
    run::Begin,
    stopping,
};
use crate::{
    host,
    machine::{bus::BusError, systemd::Unit},
    refusal::Refusal,
};

/// How long a call may be checked before its operation begins. Callers wait 10 s for an answer: what they have given up
/// on must not happen afterwards.
const ADMIT_WITHIN: Duration = Duration::from_secs(8);

/// How long to try to store the start of a unit that must not stay down.
const STORE_START_WITHIN: Duration = Duration::from_secs(2);

/// What the checks have come to.
enum Checked {
    /// The operation exists already.
    Known(Box<Operation>),
    New {
        boot_id: String,
        evidence: Evidence,
    },
}

impl Operations {
    /// Checks a request and begins its operation, or refuses it. What has not begun in time is never begun.
    pub(super) async fn admit(&self, request: Request) -> Result<Operation, Refusal> {
        let within = request.patience.map_or(ADMIT_WITHIN, |patience| patience.min(ADMIT_WITHIN));
        let deadline = Instant::now() + within;
        let checking = async {
            let one_at_a_time = self.inner.admission.lock().await;
            Ok::<_, Refusal>((self.check(&request).await?, one_at_a_time))
        };
        let (checked, _one_at_a_time) = timeout_at(deadline, checking).await.map_err(|_| too_slow(within))??;
        let (boot_id, evidence) = match checked {
            Checked::Known(known) => return same_change(&request, *known),
            Checked::New { boot_id, evidence } => (boot_id, evidence),
        };
        let owed = self.is_owed(&request.change);
        let caller = request.caller.names().to_vec();
        let fingerprint = request.caller.certificate().map(|certificate| certificate.fingerprint.to_string());
        let mut operation = Operation::new(request.id, request.change, request.order, caller, boot_id);
        operation.caller_fingerprint = fingerprint.unwrap_or_default();
        operation.evidence = evidence;
        if operation.order.dry_run {
            return Ok(operation);
        }
        // The next agent would find it on disk and fail it as interrupted.
        if self.inner.stop.is_cancelled() {
            return Err(stopping());
        }
        if Instant::now() >= deadline {
            return Err(too_slow(within));
        }
        operation.sequence = self.inner.store.next_sequence();
        if owed {
            self.store_if_possible(&operation).await;
        } else {
            let saved = self.inner.store.save(&operation, &Moment::now(&self.inner.machine)).await;
            saved.map_err(|error| unusable_store(&chain(&error)))?;
            if Instant::now() >= deadline {
                return Err(self.stored_too_late(within).await);
            }
        }
        self.begin(operation.clone(), Begin::Fresh);
        Ok(operation)
    }

    async fn check(&self, request: &Request) -> Result<Checked, Refusal> {
        let Request { id, change, order, .. } = request;
        self.check_node(&order.node)?;
        if let Some(known) = self.known(id).await? {
            return Ok(Checked::Known(Box::new(known)));
        }
        change.unit().map_or(Ok(()), |unit| self.check_unit_is_allowed(unit))?;
        let owed = self.is_owed(change);
        if !owed {
            self.check_epoch(order.epoch)?;
            self.check_store(order.dry_run).await?;
        }
        self.check_nothing_runs()?;
        self.check_hold(change).await?;
        reboot::not_shutting_down(&self.inner.machine, change).await?;
        if !owed && !order.dry_run {
            self.record_epoch(order.epoch).await?;
        }
        let boot_id = self.boot_id()?;
        let evidence = match change {
            Change::RebootNode { expected_boot_id, override_blockers } => {
                self.check_reboot(&boot_id, expected_boot_id, override_blockers).await?
            }
            change => self.check_unit(change, owed).await?,
        };
        Ok(Checked::New { boot_id, evidence })
    }

    /// Whether the change starts a unit that the agent itself stopped. Nothing but another operation may keep it down: no newer
    /// lock, and no disk.
    fn is_owed(&self, change: &Change) -> bool {
        matches!(change, Change::StartUnit { unit } if self.inner.store.has_stopped(unit))
    }

    async fn known(&self, id: &str) -> Result<Option<Operation>, Refusal> {
        let latest = self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone());
        match latest.filter(|latest| latest.id == id) {
            Some(latest) => Ok(Some(latest)),
            None => self.ended(id).await,
        }
    }

    /// Refuses a call that has reached another node than it was meant for.
    pub(super) fn check_node(&self, meant: &str) -> Result<(), Refusal> {
        let (node, host) = (self.inner.machine.config().node.clone(), host::name());
        if meant.is_empty() || is_same_host(meant, &node) || is_same_host(meant, &host) {
            return Ok(());
        }
        let message = format!(
            "the call is meant for {meant}, but this is {node} (host name {host}). Look at the address under which \
             {meant} is called, or, if it is the same machine, at node in this agent's configuration"
        );
        Err(Refusal::new(reason::WRONG_NODE, message).with("node", node))
    }

    /// Refuses what could not be stored anyway, and first stores what could not be stored before: in `running.json` there is room
    /// for one.
    async fn check_store(&self, dry_run: bool) -> Result<(), Refusal> {
        let store = &self.inner.store;
        if dry_run {
            let unusable = store
                .unusable()
                .or_else(|| store.unfiled().map(|id| format!("the end of operation {id} could not be stored yet")));
            return unusable.map_or(Ok(()), |why| Err(unusable_store(&why)));
        }
        let filed = store.file_rest(&Moment::now(&self.inner.machine)).await;
        filed.map_err(|error| unusable_store(&format!("the end of the last operation: {}", chain(&error))))?;
        // What was not written may be by now; what was not read is unknown.
        store.unread().map_or(Ok(()), |why| Err(unusable_store(&why)))
    }

    pub(super) fn check_unit_is_allowed(&self, unit: &str) -> Result<(), Refusal> {
        let config = self.inner.machine.config();
        let units = &config.units;
        if units.contains_key(unit) {
            return Ok(());
        }
        let allowed: Vec<_> = units.keys().map(String::as_str).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        let message = format!("{unit} is not a unit that this agent may touch; those are: {allowed}");
        Err(Refusal::new(reason::UNIT_NOT_ALLOWED, message))
    }

    fn check_nothing_runs(&self) -> Result<(), Refusal> {
        let Some(running) = self.running() else { return Ok(()) };
        let change = running.change.description();
        let by = running.requested_by();
        let message = format!("operation {} runs on this node ({change}, by {by}); wait for its end", running.id);
        Err(Refusal::new(reason::BUSY, message).with("operation_id", running.id))
    }

    /// A hold forbids everything but a start, so that a stopped unit can always be started.
    async fn check_hold(&self, change: &Change) -> Result<(), Refusal> {
        if matches!(change, Change::StartUnit { .. }) {
            return Ok(());
        }
        reboot::not_held(&self.inner.machine, &self.inner.store).await
    }

    pub(super) fn boot_id(&self) -> Result<String, Refusal> {
        reboot::boot_id(&self.inner.machine)
    }

    /// A unit as systemd has it now.
    pub(super) async fn unit_now(&self, name: &str) -> Result<Unit, Refusal> {
        self.inner.machine.systemd.unit(name).await.map_err(|error| unavailable("systemd", &error))
    }

    async fn check_unit(&self, change: &Change, owed: bool) -> Result<Evidence, Refusal> {
        let name = change.unit().unwrap_or_default();
        let unit = self.unit_now(name).await?;
        expected::check(change, &unit, owed)?;
        Ok(Evidence { invocation_id_before: unit.invocation_id, ..Evidence::default() })
    }

    async fn check_reboot(
        &self,
        boot_id: &str,
        expected: &str,
        overridden: &BTreeSet<String>,
    ) -> Result<Evidence, Refusal> {
        reboot::same_boot(boot_id, expected)?;
        let allowed = self.inner.machine.config().reboots_per_day;
        let used = self.reboots_within_a_day().map_err(|why| {
            let message = format!("how often the node was rebooted is unknown, so it is not rebooted: {why}");
            Refusal::new(reason::REBOOT_BUDGET, message)
        })?;
        if used >= usize::try_from(allowed).unwrap_or(usize::MAX) {
            let message = format!(
                "the node was rebooted {used} times within 24 hours, and {allowed} are allowed (reboot.budget_per_day). \
                 Find out why it needs another, or wait"
            );
            return Err(Refusal::new(reason::REBOOT_BUDGET, message));
        }
        reboot::LoginSays::now(&self.inner.machine).await?.nothing_forbids(overridden)?;
        Ok(Evidence { boot_id_before: boot_id.to_owned(), ..Evidence::default() })
    }

    /// Stores a start that is begun all the same if the disk does not take it. It is stored when it has ended, or later.
    async fn store_if_possible(&self, operation: &Operation) {
        let now = Moment::now(&self.inner.machine);
        let why = match timeout(STORE_START_WITHIN, self.inner.store.save(operation, &now)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(_) => "the disk does not answer".to_owned(),
        };
        let (id, change) = (&operation.id, operation.change.description());
        warn!(operation = id, caller = operation.caller.join(", "), "begun without a record ({change}): {why}");
    }

    /// The disk took so long that the caller has given up.
    async fn stored_too_late(&self, within: Duration) -> Refusal {
        let removed = match self.inner.store.forget_running().await {
            Ok(()) => String::new(),
            // The next agent finds it, and that systemd was never asked.
            Err(error) => format!(", and its record could not be removed: {}", chain(&error)),
        };
        let message =
            format!("the disk needed more than {within:?} to store the operation, so nothing was begun{removed}");
        Refusal::new(reason::STATE_UNAVAILABLE, message)
    }
}

/// Answers a repeated id with the known operation if it is the same change. Requester, reason and epoch may differ: a
/// coordinator that resumes asks again in its own name.
fn same_change(request: &Request, mut known: Operation) -> Result<Operation, Refusal> {
    if known.change == request.change {
        known.order.dry_run = request.order.dry_run;
        return Ok(known);
    }
    Err(id_reused(&known.id, &known.change, &format!("at {}", known.started_at)))
}

pub(super) fn id_reused(id: &str, change: &Change, when: &str) -> Refusal {
    let change = change.description();
    let message = format!("operation {id} was used {when} to {change}; a new change needs a new id");
    Refusal::new(reason::OPERATION_ID_REUSED, message)
}

pub(super) fn unusable_store(why: &str) -> Refusal {
    let message = format!("the agent cannot use its state directory, so nothing was begun: {why}");
    Refusal::new(reason::STATE_UNAVAILABLE, message)
}

fn too_slow(within: Duration) -> Refusal {
    let message = format!(
        "systemd, login1, the disk or an earlier call took so long that the operation did not begin within {within:?}, \
         and so it never will. `systemctl status` on the node tells whether systemd answers; then ask again"
    );
    Refusal::new(reason::SYSTEMD_UNAVAILABLE, message)
}

fn unavailable(whom: &str, error: &BusError) -> Refusal {
    Refusal::new(reason::SYSTEMD_UNAVAILABLE, format!("{whom} could not be asked: {}", chain(error)))
}
