//! `org.freedesktop.login1.Manager` and its sessions.

use zbus::{Connection, ObjectServer, fdo, interface, zvariant::OwnedObjectPath};

use super::{FakeSystemd, objects::path, state::Reboot};

/// Where login1's manager is.
pub(super) const PATH: &str = "/org/freedesktop/login1";

pub(super) struct Login(pub(super) FakeSystemd);

#[interface(name = "org.freedesktop.login1.Manager")]
impl Login {
    async fn reboot(&self, _interactive: bool, #[zbus(connection)] connection: &Connection) -> fdo::Result<()> {
        let reboot = self.0.change(|state| {
            state.reboots += 1;
            state.preparing |= matches!(state.reboot, Reboot::Calls(_) | Reboot::AnswerLost(_));
            state.reboot.clone()
        });
        match reboot {
            Reboot::Ignored => Ok(()),
            Reboot::Refused => Err(fdo::Error::AccessDenied("Permission denied".to_owned())),
            Reboot::Calls(machine) => {
                machine();
                Ok(())
            }
            Reboot::AnswerLost(machine) => {
                machine();
                // The connection goes before the answer does.
                let _ = connection.clone().close().await;
                Err(fdo::Error::Failed("never sent".to_owned()))
            }
        }
    }

    fn can_reboot(&self) -> String {
        self.0.state().can_reboot.clone()
    }

    #[allow(clippy::type_complexity)]
    fn list_inhibitors(&self) -> Vec<(String, String, String, String, u32, u32)> {
        self.0.state().inhibitors.clone()
    }

    #[allow(clippy::type_complexity)]
    async fn list_sessions(
        &self,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> fdo::Result<Vec<(String, u32, String, String, OwnedObjectPath)>> {
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
