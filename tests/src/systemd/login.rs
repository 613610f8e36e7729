//! `org.freedesktop.login1.Manager` and its sessions.

use zbus::{Connection, ObjectServer, fdo, interface, zvariant::OwnedObjectPath};

use super::{
    CallMoment, FakeSystemd,
    objects::path,
    refused::Refused,
    state::{Reboot, Service},
};

/// Where login1's manager is.
pub(super) const PATH: &str = "/org/freedesktop/login1";

/// The first systemd whose login1 respects block inhibitors, and knows a flag to skip them.
const RESPECTS_INHIBITORS: u32 = 257;

/// `SD_LOGIND_SKIP_INHIBITORS`.
const SKIP_INHIBITORS: u64 = 1 << 4;

pub(super) struct Login(pub(super) FakeSystemd);

impl Login {
    async fn begin(&self, skip_inhibitors: bool, connection: &Connection) -> Result<(), Refused> {
        self.0.awake(Service::Login).await;
        let blocked = {
            let state = self.0.state();
            let blocks =
                state.inhibitors.iter().any(|inhibitor| inhibitor.0.contains("shutdown") && inhibitor.3 == "block");
            state.version >= RESPECTS_INHIBITORS && blocks && !skip_inhibitors
        };
        if blocked {
            return Err(Refused::new(
                "org.freedesktop.login1.BlockedByInhibitorLock",
                "Operation denied due to active block inhibitor",
            ));
        }
        self.0.tell("reboot", CallMoment::Before).await;
        let reboot = self.0.change(|state| {
            state.reboots += 1;
            state.preparing |= matches!(state.reboot, Reboot::Calls(_) | Reboot::AnswerLost(_));
            state.reboot.clone()
        });
        match reboot {
            Reboot::Ignored => Ok(()),
            Reboot::Refused => Err(Refused::new("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")),
            Reboot::InProgress => Err(Refused::new(
                "org.freedesktop.login1.OperationInProgress",
                "There's already a shutdown or sleep operation in progress",
            )),
            Reboot::Calls(machine) => {
                machine();
                self.0.tell("reboot", CallMoment::After).await;
                Ok(())
            }
            Reboot::AnswerLost(machine) => {
                machine();
                // The connection goes before the answer does.
                let _ = connection.clone().close().await;
                Err(Refused::new("org.freedesktop.DBus.Error.Failed", "never sent"))
            }
        }
    }
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl Login {
    async fn reboot(&self, _interactive: bool, #[zbus(connection)] connection: &Connection) -> Result<(), Refused> {
        self.begin(false, connection).await
    }

    async fn reboot_with_flags(&self, flags: u64, #[zbus(connection)] connection: &Connection) -> Result<(), Refused> {
        let known = if self.0.state().version >= RESPECTS_INHIBITORS { SKIP_INHIBITORS } else { 0 };
        if flags & !known != 0 {
            return Err(Refused::new("org.freedesktop.DBus.Error.InvalidArgs", "Invalid flags parameter"));
        }
        self.begin(flags & SKIP_INHIBITORS != 0, connection).await
    }

    fn set_wall_message(&self, message: String, enable: bool) {
        self.0.change(|state| state.wall = enable.then_some(message));
    }

    async fn can_reboot(&self) -> String {
        self.0.awake(Service::Login).await;
        self.0.state().can_reboot.clone()
    }

    #[allow(clippy::type_complexity)]
    async fn list_inhibitors(&self) -> Vec<(String, String, String, String, u32, u32)> {
        self.0.awake(Service::Login).await;
        self.0.state().inhibitors.clone()
    }

    #[allow(clippy::type_complexity)]
    async fn list_sessions(
        &self,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> fdo::Result<Vec<(String, u32, String, String, OwnedObjectPath)>> {
        self.0.awake(Service::Login).await;
        let sessions = self.0.state().sessions.clone();
        let mut listed = Vec::new();
        for (number, (user, class, state)) in sessions.into_iter().enumerate() {
            let path = path(format!("{PATH}/session/c{number}"));
            // What was there may be another session by now.
            let _ = server.remove::<Session, _>(&path).await;
            server.at(&path, Session { class, state }).await?;
            listed.push((format!("c{number}"), 1000, user, "seat0".to_owned(), path));
        }
        Ok(listed)
    }

    #[zbus(property)]
    fn preparing_for_shutdown(&self) -> bool {
        self.0.state().preparing
    }

    #[zbus(property)]
    fn scheduled_shutdown(&self) -> (String, u64) {
        let (kind, at, _) = self.0.state().scheduled.clone();
        (kind, at)
    }

    #[zbus(property)]
    fn wall_message(&self) -> String {
        self.0.state().scheduled.2.clone()
    }
}

struct Session {
    class: String,
    state: String,
}

#[interface(name = "org.freedesktop.login1.Session")]
impl Session {
    #[zbus(property)]
    fn class(&self) -> String {
        self.class.clone()
    }

    #[zbus(property)]
    fn state(&self) -> String {
        self.state.clone()
    }
}
