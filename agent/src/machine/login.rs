//! login1 (systemd-logind): reboots, what forbids them, and who is logged in.

use std::sync::Arc;

use futures::future::join_all;
use zbus::{proxy::CacheProperties, zvariant::OwnedObjectPath};

use super::bus::{Bus, BusError};

/// The D-Bus error of an object that has gone since its path was told.
const GONE: &str = "org.freedesktop.DBus.Error.UnknownObject";

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

/// Something that wants no shutdown now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inhibitor {
    /// What it holds up, colon-separated: `shutdown:sleep`.
    pub(crate) what: String,
    /// Who holds it: the name that overrides it.
    pub(crate) who: String,
    /// Its reason.
    pub(crate) why: String,
    /// `block` or `delay`; since systemd 257 also `block-weak`.
    pub(crate) mode: String,
    /// The user that holds it.
    pub(crate) uid: u32,
    /// The process that holds it.
    pub(crate) pid: u32,
}

impl Inhibitor {
    /// Whether it forbids a shutdown, rather than delaying it for a few seconds.
    pub(crate) fn blocks(&self) -> bool {
        self.mode.starts_with("block")
    }
}

/// A person who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoggedIn {
    /// login1's name of the session.
    pub(crate) id: String,
    /// The user's name.
    pub(crate) user: String,
    /// The user's number.
    pub(crate) uid: u32,
}

/// login1 behind a bus.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    bus: Arc<Bus>,
}

impl Login {
    /// login1 as `bus` reaches it.
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    async fn manager(&self) -> Result<ManagerProxy<'static>, BusError> {
        let bus = self.bus.connection().await?;
        ManagerProxy::builder(&bus).cache_properties(CacheProperties::No).build().await.map_err(BusError::Unreachable)
    }

    /// Reboots. Inhibitors are not looked at here: with the polkit actions the agent needs, login1 would not ask them either.
    ///
    /// # Errors
    ///
    /// If login1 refuses, or does not answer: then it may reboot all the same, see [`BusError::perhaps_taken`].
    pub(crate) async fn reboot(&self) -> Result<(), BusError> {
        Ok(self.manager().await?.reboot(false).await?)
    }

    /// Whether login1 would let the agent reboot: `yes`, `no`, `challenge` (it would ask for a password) or `na`.
    ///
    /// # Errors
    ///
    /// If login1 does not answer.
    pub(crate) async fn can_reboot(&self) -> Result<String, BusError> {
        Ok(self.manager().await?.can_reboot().await?)
    }

    /// Whether a shutdown is under way.
    ///
    /// # Errors
    ///
    /// If login1 does not answer.
    pub(crate) async fn shutting_down(&self) -> Result<bool, BusError> {
        Ok(self.manager().await?.preparing_for_shutdown().await?)
    }

    /// Inhibitors of a shutdown.
    ///
    /// # Errors
    ///
    /// If login1 does not answer.
    pub(crate) async fn inhibitors(&self) -> Result<Vec<Inhibitor>, BusError> {
        let all = self.manager().await?.list_inhibitors().await?;
        let inhibitors =
            all.into_iter().map(|(what, who, why, mode, uid, pid)| Inhibitor { what, who, why, mode, uid, pid });
        Ok(inhibitors.filter(|inhibitor| inhibitor.what.split(':').any(|what| what == "shutdown")).collect())
    }

    /// People who are logged in: sessions of the classes `user…`, without those of services and greeters, and without
    /// closing ones, whose user has logged out and only left processes behind.
    ///
    /// # Errors
    ///
    /// If login1 does not answer.
    pub(crate) async fn logged_in(&self) -> Result<Vec<LoggedIn>, BusError> {
        let bus = self.bus.connection().await?;
        let sessions = self.manager().await?.list_sessions().await?;
        let sessions = sessions.into_iter().map(|(id, uid, user, _seat, path)| {
            let bus = &bus;
            async move {
                let session =
                    SessionProxy::builder(bus).path(path)?.cache_properties(CacheProperties::No).build().await?;
                let person = session.class().await?.starts_with("user") && session.state().await? != "closing";
                Ok(person.then_some(LoggedIn { id, user, uid }))
            }
        });
        let mut people = Vec::new();
        for session in join_all(sessions).await {
            match session.map_err(|error: zbus::Error| BusError::from(error)) {
                Ok(person) => people.extend(person),
                Err(BusError::Refused { name, .. }) if name == GONE => {}
                Err(error) => return Err(error),
            }
        }
        Ok(people)
    }
}
