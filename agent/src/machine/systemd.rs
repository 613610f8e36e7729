//! systemd: what units are like, and jobs on them.
//!
//! The types are ours: systemd-zbus has closed enums, in which one state that is newer than the crate makes a whole answer
//! unreadable. States are systemd's own words here.

mod job;

use std::sync::Arc;

use jiff::Timestamp;
use systemd_zbus::{ManagerProxy, Mode, ServiceProxy, UnitProxy};
use tokio::try_join;
use zbus::{Connection, proxy::CacheProperties, zvariant::OwnedObjectPath};

pub(crate) use job::Job;

use super::bus::{Bus, BusError};
use job::Ends;

/// A unit as systemd sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Its name with the suffix.
    pub(crate) name: String,
    /// `loaded`, `not-found`, `masked`, …
    pub(crate) load_state: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub(crate) active_state: String,
    /// `running`, `dead`, `auto-restart`, …
    pub(crate) sub_state: String,
    /// 32 hexadecimal digits, empty if the unit never ran in this boot.
    pub(crate) invocation_id: String,
    /// Automatic restarts since it was last started by hand.
    pub(crate) restarts: u32,
    /// 0 if nothing runs.
    pub(crate) main_pid: u32,
    /// When it became active last.
    pub(crate) active_since: Option<Timestamp>,
    /// Result of the last run: `success`, `exit-code`, …
    pub(crate) result: String,
    /// The unit's file changed since systemd read it.
    pub(crate) needs_daemon_reload: bool,
    /// The object path of the job that is queued or running for it.
    pub(crate) job: Option<String>,
}

impl Unit {
    /// Whether systemd knows a unit of this name.
    pub(crate) fn exists(&self) -> bool {
        self.load_state != "not-found"
    }

    /// Whether it runs. A unit that reloads does.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether it neither runs nor is on its way to: nothing more will happen by itself.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.active_state.as_str(), "inactive" | "failed")
    }

    /// Its state for people: `active (running)`, `failed (failed, exit-code)`.
    pub(crate) fn state(&self) -> String {
        let result =
            if matches!(self.result.as_str(), "" | "success") { String::new() } else { format!(", {}", self.result) };
        format!("{} ({}{result})", self.active_state, self.sub_state)
    }
}

/// What a job does to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Stops it, if it runs, and starts it.
    Restart,
    /// Stops it.
    Stop,
    /// Starts it.
    Start,
}

/// systemd behind a bus.
#[derive(Debug, Clone)]
pub(crate) struct Systemd {
    bus: Arc<Bus>,
}

impl Systemd {
    /// systemd as `bus` reaches it.
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    /// What a unit is like. A unit that systemd does not know has the load state `not-found`.
    ///
    /// # Errors
    ///
    /// If systemd does not answer.
    pub(crate) async fn unit(&self, name: &str) -> Result<Unit, BusError> {
        let bus = self.bus.connection().await?;
        let path = ManagerProxy::new(&bus).await?.load_unit(name).await?;
        read_unit(&bus, path, name).await.map_err(BusError::from)
    }

    /// Asks for a job. Once this returns, systemd has taken it.
    ///
    /// # Errors
    ///
    /// If systemd refuses, or does not answer: [`BusError::perhaps_taken`] tells them apart.
    pub(crate) async fn start_job(&self, verb: Verb, unit: &str) -> Result<Job, BusError> {
        let bus = self.bus.connection().await?;
        let manager = ManagerProxy::new(&bus).await.map_err(BusError::Unreachable)?;
        // Listen before asking: the job may have ended by the time its path is here.
        let ends = Ends::of_jobs(&manager).await.map_err(BusError::Unreachable)?;
        let path = match verb {
            Verb::Restart => manager.restart_unit(unit, Mode::Replace).await,
            Verb::Stop => manager.stop_unit(unit, Mode::Replace).await,
            Verb::Start => manager.start_unit(unit, Mode::Replace).await,
        }?;
        Ok(Job::new(path.to_string(), ends))
    }

    /// The unit's present job, to be followed by someone who did not ask for it. `None` if it has none.
    ///
    /// # Errors
    ///
    /// If systemd does not answer.
    pub(crate) async fn present_job(&self, unit: &str) -> Result<Option<Job>, BusError> {
        let bus = self.bus.connection().await?;
        let ends = Ends::of_jobs(&ManagerProxy::new(&bus).await?).await?;
        Ok(self.unit(unit).await?.job.map(|path| Job::new(path, ends)))
    }

    /// When this boot's user space began, as systemd recorded it. Uptime would not do: in a container it is the host's.
    ///
    /// # Errors
    ///
    /// If systemd does not answer.
    pub(crate) async fn booted_at(&self) -> Result<Option<Timestamp>, BusError> {
        let bus = self.bus.connection().await?;
        let manager = ManagerProxy::builder(&bus).cache_properties(CacheProperties::No).build().await?;
        Ok(timestamp(manager.userspace_timestamp().await?))
    }
}

async fn read_unit(bus: &Connection, path: OwnedObjectPath, name: &str) -> zbus::Result<Unit> {
    let unit = UnitProxy::builder(bus).path(path.clone())?.cache_properties(CacheProperties::No).build().await?;
    let words = |property: &'static str| unit.inner().get_property::<String>(property);
    let service = async {
        if !name.ends_with(".service") {
            return Ok((0, 0, String::new()));
        }
        let service = ServiceProxy::builder(bus).path(path)?.cache_properties(CacheProperties::No).build().await?;
        try_join!(service.n_restarts(), service.main_pid(), service.result())
    };
    let (load_state, active_state, sub_state, invocation_id, active_since, needs_daemon_reload, job, service) = try_join!(
        words("LoadState"),
        words("ActiveState"),
        words("SubState"),
        unit.inner().get_property::<Vec<u8>>("InvocationID"),
        unit.active_enter_timestamp(),
        unit.need_daemon_reload(),
        unit.inner().get_property::<(u32, OwnedObjectPath)>("Job"),
        service,
    )?;
    let (restarts, main_pid, result) = service;
    Ok(Unit {
        name: name.to_owned(),
        load_state,
        active_state,
        sub_state,
        invocation_id: hexadecimal(&invocation_id),
        restarts,
        main_pid,
        active_since: timestamp(active_since),
        result,
        needs_daemon_reload,
        // systemd's "no job" is number 0 with the path "/".
        job: (job.0 != 0).then(|| job.1.to_string()),
    })
}

/// systemd's InvocationID as `systemctl show` prints it; all zeros is none.
fn hexadecimal(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// systemd counts microseconds since 1970; 0 is never.
fn timestamp(microseconds: u64) -> Option<Timestamp> {
    let microseconds = i64::try_from(microseconds).ok().filter(|microseconds| *microseconds != 0)?;
    Timestamp::from_microsecond(microseconds).ok()
}
