//! `org.freedesktop.systemd1.Manager`.

use zbus::{ObjectServer, interface, object_server::SignalEmitter, zvariant::OwnedObjectPath};

use super::{
    CallMoment, FakeSystemd, JobOutcome, Service as Hanging,
    objects::{self, Job, Service, Unit},
    refused::Refused,
    state::{Unheard, Verb},
};

/// Where systemd's manager is.
pub(super) const PATH: &str = "/org/freedesktop/systemd1";

/// What dbus-daemon answers in place of the service.
fn unheard(why: Unheard) -> Refused {
    match why {
        Unheard::Full => Refused::new(
            "org.freedesktop.DBus.Error.LimitsExceeded",
            "The maximum number of pending replies per connection has been reached",
        ),
        Unheard::Absent => Refused::new(
            "org.freedesktop.DBus.Error.Spawn.ChildExited",
            "Launch helper exited with unknown return code 1",
        ),
    }
}

pub(super) struct Manager(pub(super) FakeSystemd);

impl Manager {
    async fn job(&self, verb: Verb, name: &str, server: &ObjectServer) -> Result<OwnedObjectPath, Refused> {
        self.0.awake(Hanging::Systemd).await;
        if let Some(why) = self.0.unheard() {
            return Err(unheard(why));
        }
        match self.0.state().units.get(name).map(|unit| unit.outcome.clone()) {
            None => return Err(Refused::new("org.freedesktop.systemd1.NoSuchUnit", format!("Unit {name} not found."))),
            Some(JobOutcome::AccessDenied) => {
                return Err(Refused::new("org.freedesktop.systemd1.AccessDenied", "Access denied"));
            }
            Some(_) => {}
        }
        let others = self.0.state().other_jobs;
        for number in 0..others {
            tell_job_removed(&self.0, u32::MAX - number, "other.service", "done").await;
        }
        let call = format!("{} {name}", verb.word());
        self.0.tell(&call, CallMoment::Before).await;
        let number = self.0.run_job(verb, name);
        let path = objects::job_path(number);
        server.at(&path, Job { fake: self.0.clone(), number, unit: name.to_owned(), verb }).await?;
        self.0.tell(&call, CallMoment::After).await;
        Ok(path)
    }
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {}

    async fn load_unit(
        &self,
        name: &str,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, Refused> {
        self.0.awake(Hanging::Systemd).await;
        if let Some(why) = self.0.unheard() {
            return Err(unheard(why));
        }
        let takes = {
            let mut state = self.0.state();
            state.calls.loads += 1;
            state.calls.loads_at_once = state.calls.loads_at_once.max(state.calls.loads);
            state.answers_after
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let name = {
            let mut state = self.0.state();
            state.calls.loads -= 1;
            state.aliases.get(name).cloned().unwrap_or_else(|| name.to_owned())
        };
        let path = objects::unit_path(&name);
        server.at(&path, Unit { fake: self.0.clone(), name: name.clone() }).await?;
        server.at(&path, Service { fake: self.0.clone(), name }).await?;
        Ok(path)
    }

    fn get_unit_file_state(&self, name: &str) -> Result<String, Refused> {
        let state = self.0.state().units.get(name).map(|unit| unit.file_state.clone());
        state.ok_or_else(|| Refused::new("org.freedesktop.DBus.Error.FileNotFound", "No such file or directory"))
    }

    async fn restart_unit(
        &self,
        name: &str,
        _mode: &str,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, Refused> {
        self.job(Verb::Restart, name, server).await
    }

    async fn stop_unit(
        &self,
        name: &str,
        _mode: &str,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, Refused> {
        self.job(Verb::Stop, name, server).await
    }

    async fn start_unit(
        &self,
        name: &str,
        _mode: &str,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, Refused> {
        self.job(Verb::Start, name, server).await
    }

    #[zbus(property)]
    fn userspace_timestamp(&self) -> u64 {
        self.0.state().booted_at
    }

    #[zbus(property)]
    fn version(&self) -> String {
        "252 (usher's fake)".to_owned()
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

/// Tells everybody that a job has ended.
pub(super) async fn tell_job_removed(fake: &FakeSystemd, number: u32, unit: &str, result: &str) {
    let connections = fake.state().connections.clone();
    for connection in connections {
        let path = objects::job_path(number);
        // A caller that has hung up need not be told.
        if let Ok(emitter) = SignalEmitter::new(&connection, PATH) {
            let _ = Manager::job_removed(&emitter, number, path.clone(), unit, result).await;
        }
        let _ = connection.object_server().remove::<Job, _>(&path).await;
    }
}
