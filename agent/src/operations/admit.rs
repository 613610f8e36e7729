//! Admission: the checks before an operation, in the order of the contract's refusals.

use std::collections::BTreeSet;

use usher_common::chain;
use usher_proto::reason;

use super::{
    Operations,
    blockers::blockers,
    record::{Change, Evidence, Operation, Order, is_operation_id},
    run::Begin,
    stopping,
    store::{Store, StoreError},
};
use crate::{
    caller::Caller,
    machine::{bus::BusError, systemd::Unit},
    refusal::Refusal,
};

/// A changing call.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The id of the operation.
    pub(crate) id: String,
    pub(crate) change: Change,
    pub(crate) order: Order,
    pub(crate) caller: Caller,
}

impl Request {
    /// The checks that need only the request.
    fn check(&self) -> Result<(), Refusal> {
        if !is_operation_id(&self.id) {
            return Err(Refusal::bad_request("order.operation_id", "must be 1 to 64 characters of [A-Za-z0-9._-]"));
        }
        if self.order.reason.trim().is_empty() {
            return Err(Refusal::bad_request("order.reason", "must say why; it is kept with the operation"));
        }
        if self.change.unit() == Some("") {
            return Err(Refusal::bad_request("unit", "must name a unit of the agent's configuration"));
        }
        match &self.change {
            Change::RestartUnit { expected_invocation_id: id, .. }
            | Change::StopUnit { expected_invocation_id: id, .. }
                if !is_invocation_id(id) =>
            {
                let message = "must be the InvocationID that the caller saw, 32 hexadecimal digits; GetNode tells it";
                Err(Refusal::bad_request("expected_invocation_id", message))
            }
            Change::RebootNode { expected_boot_id, .. } if expected_boot_id.trim().is_empty() => {
                let message = "must be the boot id that the caller saw; GetNode tells it";
                Err(Refusal::bad_request("expected_boot_id", message))
            }
            _ => Ok(()),
        }
    }
}

fn is_invocation_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Operations {
    pub(super) async fn admit(&self, request: Request) -> Result<Operation, Refusal> {
        request.check()?;
        if let Some(known) = self.known(&request.id).await? {
            return same_change(&request, known);
        }
        self.check_unit_is_allowed(&request.change)?;
        self.check_epoch(&request.order).await?;
        self.check_nothing_runs()?;
        self.check_hold(&request.change)?;
        let boot_id = self.inner.machine.boot_id().map_err(|error| {
            Refusal::new(reason::STATE_UNAVAILABLE, format!("the node's boot id cannot be read: {error}"))
        })?;
        let evidence = match &request.change {
            Change::RebootNode { expected_boot_id, override_blockers } => {
                self.check_reboot(&boot_id, expected_boot_id, override_blockers).await?
            }
            change => self.check_unit(change).await?,
        };

        let caller = request.caller.names().to_vec();
        let fingerprint = request.caller.certificate().map(|certificate| certificate.fingerprint.to_string());
        let mut operation = Operation::new(request.id, request.change, request.order, caller, boot_id);
        operation.caller_fingerprint = fingerprint.unwrap_or_default();
        operation.evidence = evidence;
        if !operation.order.dry_run {
            // The next agent would find it on disk and fail it as interrupted.
            if self.inner.stop.is_cancelled() {
                return Err(stopping());
            }
            let recorded = operation.clone();
            self.stored("the operation", move |store| store.save(&recorded)).await?;
            self.begin(operation.clone(), Begin::Fresh);
        }
        Ok(operation)
    }

    async fn known(&self, id: &str) -> Result<Option<Operation>, Refusal> {
        let latest = self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone());
        match latest.filter(|latest| latest.id == id) {
            Some(latest) => Ok(Some(latest)),
            None => self.ended(id).await,
        }
    }

    fn check_unit_is_allowed(&self, change: &Change) -> Result<(), Refusal> {
        let units = &self.inner.machine.config.units;
        let Some(unit) = change.unit().filter(|unit| !units.contains_key(*unit)) else { return Ok(()) };
        let allowed: Vec<_> = units.keys().map(String::as_str).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        let message = format!("{unit} is not a unit that this agent may touch; those are: {allowed}");
        Err(Refusal::new(reason::UNIT_NOT_ALLOWED, message))
    }

    /// Refuses a lower epoch, and records a higher one before anything happens under it.
    async fn check_epoch(&self, order: &Order) -> Result<(), Refusal> {
        let (epoch, highest) = (order.epoch, self.epoch());
        if epoch < highest {
            let message = format!(
                "epoch {epoch} is over: this node has seen {highest}. Another coordinator has taken the lock; take it again"
            );
            return Err(Refusal::new(reason::STALE_EPOCH, message).with("epoch", highest.to_string()));
        }
        if order.dry_run || epoch == highest {
            return Ok(());
        }
        self.stored("the epoch", move |store| store.raise_epoch(epoch)).await
    }

    fn check_nothing_runs(&self) -> Result<(), Refusal> {
        let Some(running) = self.running() else { return Ok(()) };
        let change = running.change.description();
        let by = running.requested_by();
        let message = format!("operation {} runs on this node ({change}, by {by}); wait for its end", running.id);
        Err(Refusal::new(reason::BUSY, message).with("operation_id", running.id))
    }

    /// A hold forbids everything but a start, so that a stopped unit can always be started.
    fn check_hold(&self, change: &Change) -> Result<(), Refusal> {
        let hold = self.inner.machine.hold().filter(|_| !matches!(change, Change::StartUnit { .. }));
        let Some(hold) = hold else { return Ok(()) };
        let (line, path) = (hold.first_line().to_owned(), hold.path.display());
        let message = format!("the node is held: {line:?}. Remove {path} on it when that is settled");
        Err(Refusal::new(reason::HELD, message).with("hold", line))
    }

    async fn check_unit(&self, change: &Change) -> Result<Evidence, Refusal> {
        let name = change.unit().unwrap_or_default();
        let unit = self.inner.machine.systemd.unit(name).await.map_err(|error| unavailable("systemd", &error))?;
        if !unit.exists() {
            return Err(Refusal::new(reason::NO_SUCH_UNIT, format!("systemd knows no unit {name} on this node")));
        }
        match change {
            Change::RestartUnit { expected_invocation_id: expected, .. }
            | Change::StopUnit { expected_invocation_id: expected, .. } => same_invocation(&unit, expected)?,
            _ => {}
        }
        Ok(Evidence { invocation_id_before: unit.invocation_id, ..Evidence::default() })
    }

    async fn check_reboot(
        &self,
        boot_id: &str,
        expected: &str,
        overridden: &BTreeSet<String>,
    ) -> Result<Evidence, Refusal> {
        if boot_id != expected {
            let message = format!("the node's boot id is {boot_id}, not {expected}: it has been rebooted since");
            return Err(Refusal::new(reason::BOOT_MISMATCH, message).with("boot_id", boot_id));
        }
        let (used, allowed) = (self.reboots_within_a_day().await, self.inner.machine.config.reboots_per_day);
        if used >= usize::try_from(allowed).unwrap_or(usize::MAX) {
            let message = format!(
                "the node was rebooted {used} times within 24 hours, and {allowed} are allowed (reboot.budget_per_day). \
                 Find out why it needs another, or wait"
            );
            return Err(Refusal::new(reason::REBOOT_BUDGET, message));
        }
        let login = &self.inner.machine.login;
        let asked = async { Ok((login.inhibitors().await?, login.user_sessions().await?, login.can_reboot().await?)) };
        let (inhibitors, sessions, can) = asked.await.map_err(|error: BusError| unavailable("login1", &error))?;
        let mut blockers = blockers(&inhibitors, &sessions);
        blockers.retain(|blocker| !overridden.contains(&blocker.name));
        if !blockers.is_empty() {
            let names: BTreeSet<_> = blockers.iter().map(|blocker| blocker.name.as_str()).collect();
            let names: Vec<_> = names.into_iter().collect();
            let messages: Vec<_> = blockers.iter().map(|blocker| blocker.message.as_str()).collect();
            let message =
                format!("{}. Wait for them, or override them by name: {}", messages.join("; "), names.join(", "));
            return Err(Refusal::new(reason::INHIBITED, message).with("blockers", names.join("\n")));
        }
        if can != "yes" {
            let message =
                format!("login1 would not let the agent reboot (CanReboot: {can}). Is usher's polkit rule installed?");
            return Err(Refusal::new(reason::SYSTEMD_UNAVAILABLE, message));
        }
        Ok(Evidence { boot_id_before: boot_id.to_owned(), ..Evidence::default() })
    }

    /// Writes what must be on disk before anything is done.
    async fn stored<F>(&self, what: &str, work: F) -> Result<(), Refusal>
    where
        F: FnOnce(&mut Store) -> Result<(), StoreError> + Send + 'static,
    {
        let reason = match self.inner.store.run(work).await {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => chain(&error),
            None => return Err(stopping()),
        };
        let message = format!("{what} could not be stored, so nothing was begun: {reason}");
        Err(Refusal::new(reason::STATE_UNAVAILABLE, message))
    }
}

/// Answers a repeated id with the known operation if it is the same change. Requester, reason and epoch may differ: a
/// coordinator that resumes asks again in its own name.
fn same_change(request: &Request, known: Operation) -> Result<Operation, Refusal> {
    if known.change == request.change {
        return Ok(known);
    }
    let change = known.change.description();
    let message =
        format!("operation {} was used at {} to {change}; a new change needs a new id", known.id, known.started_at);
    Err(Refusal::new(reason::OPERATION_ID_REUSED, message))
}

fn same_invocation(unit: &Unit, expected: &str) -> Result<(), Refusal> {
    if unit.invocation_id == expected {
        return Ok(());
    }
    let now = if unit.invocation_id.is_empty() { "empty (it never ran in this boot)" } else { &unit.invocation_id };
    let message = format!(
        "the InvocationID of {} is {now}, not {expected}: someone else started it since. Look at it, then ask anew",
        unit.name
    );
    Err(Refusal::new(reason::INVOCATION_MISMATCH, message).with("invocation_id", unit.invocation_id.clone()))
}

fn unavailable(whom: &str, error: &BusError) -> Refusal {
    Refusal::new(reason::SYSTEMD_UNAVAILABLE, format!("{whom} could not be asked: {}", chain(error)))
}
