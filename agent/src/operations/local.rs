//! What the node's own root asks for: restarts that are wanted, and holds.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use jiff::SignedDuration;
use tokio::time::{Instant, timeout_at};
use usher_common::{chain, clock};
use usher_proto::reason;

use super::{
    Operations,
    admit::{check_reason, check_requester, check_text, unusable_store},
    expected,
    moment::Moment,
    record::{Change, Operation},
    store::{Ask, Asked, NewHold, OWNERS, OwnedHold, StoreError, Unannounced, Wanted},
};
use crate::{machine::systemd::Unit, refusal::Refusal};

/// How long a caller is let wait for a restart before it has to ask again. Less than any call may take.
const AWAITED_FOR: Duration = Duration::from_secs(25);

/// The bound of an owner's name, in bytes.
const OWNER_LIMIT: usize = 64;

/// How long a hold may last.
const HOLD_LASTS: RangeInclusive<SignedDuration> = SignedDuration::from_secs(1)..=SignedDuration::from_hours(365 * 24);

/// A wanted restart, waited for.
#[derive(Debug)]
pub(crate) struct AwaitedRestart {
    pub(crate) settled: bool,
    pub(crate) unit: Unit,
    /// The operation that restarted it, as far as the agent can tell.
    pub(crate) operation: Option<Operation>,
}

impl Operations {
    /// The restarts that are wanted, by unit.
    pub(crate) fn wanted_restarts(&self) -> Vec<(String, Wanted)> {
        self.inner.store.wanted_restarts()
    }

    /// The last starts that no operation caused, oldest first.
    pub(crate) fn unannounced(&self) -> Vec<Unannounced> {
        self.inner.store.unannounced()
    }

    /// Records that somebody wants a unit restarted.
    pub(crate) async fn request_restart(
        &self,
        unit: &str,
        why: &str,
        requester: &str,
        if_sole: bool,
    ) -> Result<Wanted, Refusal> {
        check_reason("reason", why)?;
        check_requester("requester", requester)?;
        self.check_unit_is_allowed(unit)?;
        let now = self.unit_now(unit).await?;
        let expected_invocation_id = now.invocation_id.clone();
        expected::check_loaded(&Change::RestartUnit { unit: unit.to_owned(), expected_invocation_id }, &now)?;
        if now.active_state == "inactive" {
            let message = format!(
                "{unit} does not run ({}): it reads what has changed when it starts, so no restart is noted",
                now.state()
            );
            return Err(Refusal::new(reason::UNIT_NOT_RUNNING, message).with("active_state", now.active_state));
        }
        let boot_id = self.boot_id()?;
        let ask = Ask {
            unit: unit.to_owned(),
            invocation_id: now.invocation_id,
            boot_id,
            at_once: if_sole && self.inner.machine.config().sole_control_plane,
            asked: Asked { at: clock::now(), requester: requester.to_owned(), reason: why.to_owned() },
        };
        let wanted = self.inner.store.ask_restart(ask).await.map_err(|error| unusable_store(&chain(&error)))?;
        self.inner.observe.notify_one();
        // Somebody may have restarted the unit in the meantime, which the next call finds.
        wanted.ok_or_else(|| {
            Refusal::new(reason::STATE_UNAVAILABLE, format!("{unit} was restarted at the same moment; ask again"))
        })
    }

    /// Waits until the request for a unit that ran as `invocation_id` is settled, and the operation that did it has ended.
    pub(crate) async fn await_restart(&self, unit: &str, invocation_id: &str) -> Result<AwaitedRestart, Refusal> {
        self.check_unit_is_allowed(unit)?;
        let deadline = Instant::now() + AWAITED_FOR;
        let mut observed = self.inner.observed.subscribe();
        loop {
            let wanted = self.inner.store.wanted_restart(unit);
            let waits = wanted.is_some_and(|wanted| wanted.invocation_id == invocation_id) || self.works_on(unit);
            if !waits || timeout_at(deadline, observed.changed()).await.is_err() {
                let operation = self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone());
                let caused = |operation: &Operation| {
                    operation.change.unit() == Some(unit) && operation.evidence.invocation_id_before == invocation_id
                };
                let unit = self.unit_now(unit).await?;
                return Ok(AwaitedRestart { settled: !waits, unit, operation: operation.filter(caused) });
            }
        }
    }

    /// Takes back what was asked for a unit, and says whether there was anything.
    pub(crate) async fn withdraw_restart(&self, unit: &str) -> Result<bool, Refusal> {
        let withdrawn = self.inner.store.withdraw_restart(unit).await;
        self.inner.observe.notify_one();
        withdrawn.map_err(|error| unusable_store(&chain(&error)))
    }

    /// The holds in force that were set through the agent. If they are unknown, the agent itself holds the node.
    pub(crate) fn holds(&self) -> Vec<OwnedHold> {
        self.inner.store.holds(&Moment::now(&self.inner.machine)).unwrap_or_else(|why| {
            let (owner, since) = ("usher-agent".to_owned(), clock::now());
            vec![OwnedHold { owner, reason: why, requester: String::new(), since, until: None }]
        })
    }

    /// Where they are kept.
    pub(crate) fn holds_file(&self) -> PathBuf {
        self.inner.store.holds_file()
    }

    /// Holds the node in an owner's name.
    pub(crate) async fn set_hold(&self, hold: NewHold) -> Result<OwnedHold, Refusal> {
        if hold.owner.trim().is_empty() {
            return Err(Refusal::bad_request("owner", "must say whose hold it is"));
        }
        check_text("owner", &hold.owner, OWNER_LIMIT)?;
        check_reason("reason", &hold.reason)?;
        check_requester("requester", &hold.requester)?;
        if hold.lasts.is_some_and(|lasts| !HOLD_LASTS.contains(&lasts)) {
            return Err(Refusal::bad_request("lasts", "must be from 1 second to 365 days"));
        }
        let set = self.inner.store.set_hold(hold, Moment::now(&self.inner.machine)).await.map_err(not_stored)?;
        set.ok_or_else(|| {
            let owners: Vec<_> = self.holds().into_iter().map(|hold| hold.owner).collect();
            let message =
                format!("{OWNERS} owners hold this node already; release a hold first: {}", owners.join(", "));
            Refusal::new(reason::TOO_MANY_HOLDS, message).with("owners", owners.join("\n"))
        })
    }

    /// Ends an owner's hold.
    pub(crate) async fn release_hold(&self, owner: &str, requester: &str) -> Result<(), Refusal> {
        check_requester("requester", requester)?;
        let released = self.inner.store.release_hold(owner, Moment::now(&self.inner.machine)).await;
        if released.map_err(not_stored)? {
            return Ok(());
        }
        let owners: Vec<_> = self.holds().into_iter().map(|hold| hold.owner).collect();
        let held =
            if owners.is_empty() { "nobody does".to_owned() } else { format!("these do: {}", owners.join(", ")) };
        Err(Refusal::new(reason::NO_SUCH_HOLD, format!("{owner:?} does not hold this node; {held}")))
    }

    fn works_on(&self, unit: &str) -> bool {
        self.running().is_some_and(|running| running.change.unit() == Some(unit))
    }
}

fn not_stored(error: StoreError) -> Refusal {
    Refusal::new(
        reason::STATE_UNAVAILABLE,
        format!("the hold could not be stored, and nothing has changed: {}", chain(&error)),
    )
}
