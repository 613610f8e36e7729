//! login1 (systemd-logind): reboots, inhibitors, and sessions.

use std::sync::Arc;

use futures::future::join_all;
use zbus::{proxy::CacheProperties, zvariant::OwnedObjectPath};

use super::{
    bus::{Bus, BusError},
    printable::printable,
};

/// The D-Bus error for an object that was removed since login1 listed it.
const UNKNOWN_OBJECT: &str = "org.freedesktop.DBus.Error.UnknownObject";

/// A list of inhibitors as login1 sends it: what, who, why, mode, uid, pid.
type Inhibitors = Vec<(String, String, String, String, u32, u32)>;

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1",
    gen_blocking = false
)]
trait Manager {
    fn reboot(&self, interactive: bool) -> zbus::Result<()>;
    fn can_reboot(&self) -> zbus::Result<String>;
    fn list_inhibitors(&self) -> zbus::Result<Inhibitors>;
    #[allow(clippy::type_complexity)]
    fn list_sessions(&self) -> zbus::Result<Vec<(String, u32, String, String, OwnedObjectPath)>>;
    #[zbus(property)]
    fn preparing_for_shutdown(&self) -> zbus::Result<bool>;
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Session",
    default_service = "org.freedesktop.login1",
    gen_blocking = false
)]
trait Session {
    #[zbus(property)]
    fn class(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
}

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

#[derive(Debug, Clone)]
pub(crate) struct Login {
    bus: Arc<Bus>,
}

impl Login {
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    async fn manager(&self) -> Result<ManagerProxy<'static>, BusError> {
        let bus = self.bus.connection().await?;
        ManagerProxy::builder(&bus).cache_properties(CacheProperties::No).build().await.map_err(BusError::Unreachable)
    }

    /// Reboots the machine, whatever inhibits it: with the polkit actions that the agent needs, login1 ignores inhibitors. After
    /// a [`BusError::Lost`] it may reboot anyway.
    pub(crate) async fn reboot(&self) -> Result<(), BusError> {
        Ok(self.manager().await?.reboot(false).await?)
    }

    /// Whether login1 would let the agent reboot: `yes`, `no`, `challenge` (it would ask for a password) or `na`.
    pub(crate) async fn can_reboot(&self) -> Result<String, BusError> {
        Ok(self.manager().await?.can_reboot().await?)
    }

    /// Whether a shutdown is in progress.
    pub(crate) async fn is_shutting_down(&self) -> Result<bool, BusError> {
        Ok(self.manager().await?.preparing_for_shutdown().await?)
    }

    pub(crate) async fn inhibitors(&self) -> Result<Vec<Inhibitor>, BusError> {
        let all = self.manager().await?.list_inhibitors().await?;
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
        let bus = self.bus.connection().await?;
        let sessions = self.manager().await?.list_sessions().await?;
        let sessions = sessions.into_iter().map(|(id, uid, user, _seat, path)| {
            let bus = &bus;
            async move {
                let session =
                    SessionProxy::builder(bus).path(path)?.cache_properties(CacheProperties::No).build().await?;
                let person = session.class().await?.starts_with("user") && session.state().await? != "closing";
                Ok(person.then_some(UserSession { id, user, uid }))
            }
        });
        let mut people = Vec::new();
        for session in join_all(sessions).await {
            match session.map_err(|error: zbus::Error| BusError::from(error)) {
                Ok(person) => people.extend(person),
                Err(BusError::Refused { name, .. }) if name == UNKNOWN_OBJECT => {}
                Err(error) => return Err(error),
            }
        }
        Ok(people)
    }
}
