//! What forbids a reboot. Asked at admission, and again right before login1 is asked.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{time::timeout, try_join};
use usher_common::chain;
use usher_proto::reason;

use crate::{
    machine::{
        Machine,
        bus::BusError,
        login::{Inhibitor, Shutdowns, UserSession, reboot_refused},
    },
    operations::{
        blockers::{BlockerKind, blockers},
        moment::Moment,
        record::Change,
        stopping,
        store::Store,
    },
    refusal::Refusal,
};

/// How long a change of a unit waits for login1 to say whether a shutdown is under way. It does not need login1 otherwise.
const LOGIN_ASKED_FOR: Duration = Duration::from_secs(2);

/// What is there and was overridden by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Overridden {
    /// At least one inhibitor is among it.
    pub(in super::super) inhibitors: bool,
    /// At least one logged-in user is.
    pub(in super::super) users: bool,
}

/// The machine is not going down already: a unit that is restarted or stopped then would not be started again, and another
/// reboot would come to nothing. Starting a stopped unit stays possible.
pub(in super::super) async fn not_shutting_down(machine: &Machine, change: &Change) -> Result<(), Refusal> {
    if matches!(change, Change::StartUnit { .. }) {
        return Ok(());
    }
    // A login1 that does not tell forbids reboots, by the next check, but no changes of units.
    match timeout(LOGIN_ASKED_FOR, machine.login.shutdowns()).await {
        Ok(Ok(shutdowns)) if shutdowns.under_way => {
            let message = "a shutdown of the node is under way already; look again when it is back";
            Err(Refusal::new(reason::SHUTTING_DOWN, message))
        }
        _ => Ok(()),
    }
}

/// Neither a hold that was set through the agent nor a hold file forbids changes.
pub(in super::super) async fn not_held(machine: &Arc<Machine>, store: &Store) -> Result<(), Refusal> {
    let refused = |line: String, release: String| {
        let message = format!("the node is held: {line:?}. When that is settled, {release}");
        Err(Refusal::new(reason::HELD, message).with("hold", line))
    };
    match store.holds(&Moment::now(machine)) {
        Ok(holds) => {
            if let Some(hold) = holds.first() {
                let owner = &hold.owner;
                return refused(
                    hold.text(),
                    format!("release it on the node: usher-agent hold release --owner {owner:?}"),
                );
            }
        }
        Err(why) => {
            let path = store.holds_file();
            return refused(why, format!("remove {} on it and restart usher-agent", path.display()));
        }
    }
    let its = Arc::clone(machine);
    // A disk that hangs must not hold up the runtime.
    let held = machine.disk.run(move || its.hold()).await.ok_or_else(stopping)?;
    let Some(hold) = held else { return Ok(()) };
    refused(hold.first_line().to_owned(), format!("remove {} on it", hold.path.display()))
}

/// The node's boot id, which changes refer to.
pub(in super::super) fn boot_id(machine: &Machine) -> Result<String, Refusal> {
    machine
        .boot_id()
        .map_err(|error| Refusal::new(reason::STATE_UNAVAILABLE, format!("the node's boot id cannot be read: {error}")))
}

/// The boot is the one that the caller saw.
pub(in super::super) fn same_boot(boot_id: &str, expected: &str) -> Result<(), Refusal> {
    if boot_id == expected {
        return Ok(());
    }
    let message = format!("the node's boot id is {boot_id}, not {expected}: it has been rebooted since");
    Err(Refusal::new(reason::BOOT_MISMATCH, message).with("boot_id", boot_id))
}

/// What login1 says of reboots, all of it asked at once.
pub(in super::super) struct LoginSays {
    inhibitors: Vec<Inhibitor>,
    sessions: Vec<UserSession>,
    shutdowns: Shutdowns,
    can_reboot: String,
}

impl LoginSays {
    pub(in super::super) async fn now(machine: &Machine) -> Result<Self, Refusal> {
        let login = &machine.login;
        let asked = try_join!(login.inhibitors(), login.user_sessions(), login.shutdowns(), login.can_reboot());
        let (inhibitors, sessions, shutdowns, can_reboot) = asked.map_err(|error: BusError| {
            Refusal::new(reason::SYSTEMD_UNAVAILABLE, format!("login1 could not be asked: {}", chain(&error)))
        })?;
        Ok(Self { inhibitors, sessions, shutdowns, can_reboot })
    }

    /// Whether a shutdown is under way.
    pub(in super::super) fn goes_down(&self) -> bool {
        self.shutdowns.under_way
    }

    /// Nothing forbids the reboot that is not overridden by name, and login1 would let the agent do it.
    pub(in super::super) fn nothing_forbids(&self, overridden: &BTreeSet<String>) -> Result<Overridden, Refusal> {
        let blockers = blockers(&self.inhibitors, &self.sessions, self.shutdowns.scheduled.as_ref());
        let (ignored, forbid): (Vec<_>, Vec<_>) =
            blockers.into_iter().partition(|blocker| overridden.contains(&blocker.name));
        if !forbid.is_empty() {
            let names: BTreeSet<_> = forbid.iter().map(|blocker| blocker.name.as_str()).collect();
            let names: Vec<_> = names.into_iter().collect();
            let messages: Vec<_> = forbid.iter().map(|blocker| blocker.message.as_str()).collect();
            let message =
                format!("{}. Wait for them, or override them by name: {}", messages.join("; "), names.join(", "));
            return Err(Refusal::new(reason::INHIBITED, message).with("blockers", names.join("\n")));
        }
        if let Some(message) = reboot_refused(&self.can_reboot) {
            return Err(Refusal::new(reason::SYSTEMD_UNAVAILABLE, message));
        }
        let has = |kind| ignored.iter().any(|blocker| blocker.kind == kind);
        Ok(Overridden { inhibitors: has(BlockerKind::Inhibitor), users: has(BlockerKind::User) })
    }
}
