//! login1 (systemd-logind): reboots, other shutdowns, inhibitors, and sessions.

use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use zbus::zvariant::{OwnedObjectPath, Value};

use super::{
    bus::{Bus, BusError, Interface},
    printable::printable,
    systemd::timestamp,
};

const SERVICE: &str = "org.freedesktop.login1";

const MANAGER: Interface<'_> =
    Interface { service: SERVICE, path: "/org/freedesktop/login1", name: "org.freedesktop.login1.Manager" };

/// The D-Bus error for an object that was removed since login1 listed it.
const UNKNOWN_OBJECT: &str = "org.freedesktop.DBus.Error.UnknownObject";

/// The errors of a login1 that does not know the flags, or has no `RebootWithFlags` at all.
const WITHOUT_FLAGS: [&str; 2] = ["org.freedesktop.DBus.Error.InvalidArgs", "org.freedesktop.DBus.Error.UnknownMethod"];

/// The error of login1 while a shutdown is under way already.
const IN_PROGRESS: &str = "org.freedesktop.login1.OperationInProgress";

/// `SD_LOGIND_SKIP_INHIBITORS` of systemd 257 and later.
const SKIP_INHIBITORS: u64 = 1 << 4;

/// Inhibitors as login1 sends them: what, who, why, mode, uid, pid.
type Inhibitors = Vec<(String, String, String, String, u32, u32)>;

/// Sessions as login1 sends them: id, uid, user, seat, object.
type Sessions = Vec<(String, u32, String, String, OwnedObjectPath)>;

/// An inhibitor lock on shutdowns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inhibitor {
    /// What it inhibits, colon-separated: `shutdown:sleep`.
    pub(crate) what: String,
    /// Who holds it; the name that overrides it.
    pub(crate) who: String,
    pub(crate) why: String,
    /// `block` or `delay`; since systemd 257 also `block-weak`.
    pub(crate) mode: String,
    pub(crate) uid: u32,
    pub(crate) pid: u32,
}

impl Inhibitor {
    /// Whether it forbids a shutdown instead of delaying it for a few seconds.
    pub(crate) fn blocks(&self) -> bool {
        self.mode.starts_with("block")
    }
}

/// The session of a logged-in user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserSession {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) uid: u32,
}

/// Shutdowns of the machine that somebody else has asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shutdowns {
    /// One is under way, and only inhibitors of the mode `delay` hold it up.
    pub(crate) under_way: bool,
    /// The one that is to come, as `shutdown -r +10` asks for it.
    pub(crate) scheduled: Option<ScheduledShutdown>,
}

/// A shutdown with a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScheduledShutdown {
    /// `poweroff`, `reboot`, `halt`, `kexec` or `soft-reboot`.
    pub(crate) kind: String,
    /// `None` if login1 gives no time that a calendar has.
    pub(crate) at: Option<Timestamp>,
    /// What the one who asked for it tells the users.
    pub(crate) message: String,
}

/// Why login1 would not let the agent reboot, by its answer to CanReboot; `None` if it would. An inhibitor is no such
/// reason: it can be overridden.
pub(crate) fn reboot_refused(can_reboot: &str) -> Option<String> {
    // Since systemd 257 an answer may also say that an inhibitor is in the way of what polkit allows.
    if matches!(can_reboot, "yes" | "inhibited" | "inhibitor-blocked") {
        return None;
    }
    Some(format!(
        "login1 would not let the agent reboot (CanReboot: {can_reboot}). Is usher's polkit rule installed, and does polkit \
         read rules.d (0.106 or later)?"
    ))
}

/// login1, over one of the agent's connections.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    bus: Arc<Bus>,
}

impl Login {
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    /// Reboots the machine. Before systemd 257, login1 ignores inhibitors for a caller with the polkit actions that the agent
    /// needs; since then only if `skip_inhibitors`. After a [`BusError::Lost`] it may reboot anyway.
    pub(crate) async fn reboot(&self, skip_inhibitors: bool) -> Result<(), BusError> {
        let flags = if skip_inhibitors { SKIP_INHIBITORS } else { 0 };
        match self.bus.call(MANAGER, "RebootWithFlags", &flags).await {
            Err(error) if WITHOUT_FLAGS.iter().any(|name| error.is_refusal(name)) => {
                self.bus.call(MANAGER, "Reboot", &false).await?;
            }
            answer => _ = answer?,
        }
        Ok(())
    }

    /// What login1 writes on the terminals of logged-in users once the agent has asked it for a reboot; `None`: nothing. A user who
    /// may reboot may set it: polkit's action `reboot` implies `set-wall-message`.
    pub(crate) async fn tell_users(&self, message: Option<&str>) -> Result<(), BusError> {
        let told = (message.unwrap_or_default(), message.is_some());
        self.bus.call(MANAGER, "SetWallMessage", &told).await.map(drop)
    }

    /// Whether this is login1's answer to a request to reboot while the machine goes down already.
    pub(crate) fn is_in_progress(error: &BusError) -> bool {
        error.is_refusal(IN_PROGRESS)
    }

    /// Whether login1 would let the agent reboot: see [`reboot_refused`].
    pub(crate) async fn can_reboot(&self) -> Result<String, BusError> {
        Ok(self.bus.call(MANAGER, "CanReboot", &()).await?.body().deserialize()?)
    }

    /// The shutdowns that login1 knows of.
    pub(crate) async fn shutdowns(&self) -> Result<Shutdowns, BusError> {
        let manager = self.bus.properties(MANAGER).await?;
        let (kind, at) = manager.structure("ScheduledShutdown", |scheduled| match scheduled {
            [Value::Str(kind), Value::U64(at)] => Some((kind.as_str().to_owned(), timestamp(*at))),
            _ => None,
        })?;
        // `shutdown -k` only tells the users.
        let scheduled = if kind.is_empty() || kind.starts_with("dry-") {
            None
        } else {
            Some(ScheduledShutdown { kind: printable(&kind), at, message: printable(&manager.text("WallMessage")?) })
        };
        Ok(Shutdowns { under_way: manager.flag("PreparingForShutdown")?, scheduled })
    }

    /// Inhibitors of a shutdown, in all modes.
    pub(crate) async fn inhibitors(&self) -> Result<Vec<Inhibitor>, BusError> {
        let all: Inhibitors = self.bus.call(MANAGER, "ListInhibitors", &()).await?.body().deserialize()?;
        // Any local user may hold one, and gives it its texts.
        let inhibitors = all.into_iter().map(|(what, who, why, mode, uid, pid)| {
            let (what, who, why) = (printable(&what), printable(&who), printable(&why));
            Inhibitor { what, who, why, mode, uid, pid }
        });
        Ok(inhibitors.filter(|inhibitor| inhibitor.what.split(':').any(|what| what == "shutdown")).collect())
    }

    /// The sessions of logged-in users: those of the classes `user…`, not those of services and greeters, and not closing
    /// ones, whose user has logged out and only left processes behind.
    pub(crate) async fn user_sessions(&self) -> Result<Vec<UserSession>, BusError> {
        let sessions: Sessions = self.bus.call(MANAGER, "ListSessions", &()).await?.body().deserialize()?;
        let sessions = sessions.into_iter().map(|(id, uid, user, _seat, path)| async move {
            let of = Interface { service: SERVICE, path: path.as_str(), name: "org.freedesktop.login1.Session" };
            let session = self.bus.properties(of).await?;
            let person = session.text("Class")?.starts_with("user") && session.text("State")? != "closing";
            Ok(person.then_some(UserSession { id, user: printable(&user), uid }))
        });
        let mut people = Vec::new();
        for session in join_all(sessions).await {
            match session {
                Ok(person) => people.extend(person),
                Err(BusError::Refused { name, .. }) if name == UNKNOWN_OBJECT => {}
                Err(error) => return Err(error),
            }
        }
        Ok(people)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_polkits_answer_is_a_reason_that_login1_would_refuse_the_agent() {
        assert!(["yes", "inhibited", "inhibitor-blocked"].into_iter().all(|can| reboot_refused(can).is_none()));
        for can in ["no", "na", "challenge", "challenge-inhibitor-blocked"] {
            assert!(reboot_refused(can).unwrap().contains(&format!("CanReboot: {can}")));
        }
    }
}
