//! systemd: the state of units, and jobs on them.
//!
//! The types are our own, with states as the strings that systemd sends: systemd-zbus has closed enums, and one state that is
//! newer than the crate would make a whole reply unreadable.

mod job;

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use systemd_zbus::{ManagerProxy, Mode, ServiceProxy, UnitProxy};
use tokio::try_join;
use usher_common::unit;
use zbus::{Connection, proxy::CacheProperties, zvariant::OwnedObjectPath};

pub(crate) use job::Job;

use super::bus::{Bus, BusError};
use job::Ends;

/// A unit's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// With its suffix.
    pub(crate) name: String,
    /// `loaded`, `not-found`, `masked`, …
    pub(crate) load_state: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub(crate) active_state: String,
    /// `running`, `dead`, `auto-restart`, …
    pub(crate) sub_state: String,
    /// 32 hex digits, empty if the unit never ran in this boot.
    pub(crate) invocation_id: String,
    /// Automatic restarts since it was last started manually.
    pub(crate) restarts: u32,
    /// 0 if nothing runs.
    pub(crate) main_pid: u32,
    pub(crate) active_since: Option<Timestamp>,
    /// Result of the last run: `success`, `exit-code`, …
    pub(crate) result: String,
    /// The unit file has changed since systemd read it.
    pub(crate) needs_daemon_reload: bool,
    /// The program of its first ExecStart, as the unit file names it.
    pub(crate) program: Option<PathBuf>,
    /// The object path of the job that is queued or running for it.
    pub(crate) job: Option<String>,
}

impl Unit {
    pub(crate) fn is_active(&self) -> bool {
        unit::is_active(&self.active_state)
    }

    /// Whether it neither runs nor is about to.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.active_state.as_str(), "inactive" | "failed")
    }

    /// The state for people: `active (running)`, `failed (failed, exit-code)`.
    pub(crate) fn state(&self) -> String {
        let result =
            if matches!(self.result.as_str(), "" | "success") { String::new() } else { format!(", {}", self.result) };
        format!("{} ({}{result})", self.active_state, self.sub_state)
    }
}

/// systemd's job types, as far as the agent uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobType {
    Restart,
    Stop,
    Start,
}

#[derive(Debug, Clone)]
pub(crate) struct Systemd {
    bus: Arc<Bus>,
}

impl Systemd {
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    /// A unit's state. One that systemd does not know has the load state `not-found`.
    pub(crate) async fn unit(&self, name: &str) -> Result<Unit, BusError> {
        let bus = self.bus.connection().await?;
        let path = ManagerProxy::new(&bus).await?.load_unit(name).await?;
        read_unit(&bus, path, name).await.map_err(BusError::from)
    }

    /// Enqueues a job. After an error with [`BusError::outcome_unknown`] systemd may have it anyway.
    pub(crate) async fn start_job(&self, job_type: JobType, unit: &str) -> Result<Job, BusError> {
        let bus = self.bus.connection().await?;
        let manager = ManagerProxy::new(&bus).await.map_err(BusError::Unreachable)?;
        // Subscribe first: the job may end before the reply with its path arrives.
        let ends = Ends::of_jobs(&manager).await.map_err(BusError::Unreachable)?;
        let path = match job_type {
            JobType::Restart => manager.restart_unit(unit, Mode::Replace).await,
            JobType::Stop => manager.stop_unit(unit, Mode::Replace).await,
            JobType::Start => manager.start_unit(unit, Mode::Replace).await,
        }?;
        Ok(Job::new(path.to_string(), ends))
    }

    /// The unit's current job, regardless of who enqueued it.
    pub(crate) async fn current_job(&self, unit: &str) -> Result<Option<Job>, BusError> {
        let bus = self.bus.connection().await?;
        let ends = Ends::of_jobs(&ManagerProxy::new(&bus).await?).await?;
        Ok(self.unit(unit).await?.job.map(|path| Job::new(path, ends)))
    }

    /// When this boot's user space started, as systemd recorded it. In a container the uptime would be the host's.
    pub(crate) async fn booted_at(&self) -> Result<Option<Timestamp>, BusError> {
        let bus = self.bus.connection().await?;
        let manager = ManagerProxy::builder(&bus).cache_properties(CacheProperties::No).build().await?;
        Ok(timestamp(manager.userspace_timestamp().await?))
    }
}

/// A command of a service: program, arguments, whether its failure is ignored; then times, process and result of its last run.
type ExecCommand = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

async fn read_unit(bus: &Connection, path: OwnedObjectPath, name: &str) -> zbus::Result<Unit> {
    let unit = UnitProxy::builder(bus).path(path.clone())?.cache_properties(CacheProperties::No).build().await?;
    let text = |property: &'static str| unit.inner().get_property::<String>(property);
    let service = async {
        if !name.ends_with(".service") {
            return Ok((0, 0, String::new(), Vec::new()));
        }
        let service = ServiceProxy::builder(bus).path(path)?.cache_properties(CacheProperties::No).build().await?;
        let commands = service.inner().get_property::<Vec<ExecCommand>>("ExecStart");
        try_join!(service.n_restarts(), service.main_pid(), service.result(), commands)
    };
    let (load_state, active_state, sub_state, invocation_id, active_since, needs_daemon_reload, job, service) = try_join!(
        text("LoadState"),
        text("ActiveState"),
        text("SubState"),
        unit.inner().get_property::<Vec<u8>>("InvocationID"),
        unit.active_enter_timestamp(),
        unit.need_daemon_reload(),
        unit.inner().get_property::<(u32, OwnedObjectPath)>("Job"),
        service,
    )?;
    let (restarts, main_pid, result, commands) = service;
    Ok(Unit {
        name: name.to_owned(),
        load_state,
        active_state,
        sub_state,
        invocation_id: hex(&invocation_id),
        restarts,
        main_pid,
        active_since: timestamp(active_since),
        result,
        needs_daemon_reload,
        program: commands.into_iter().next().map(|command| command.0.into()),
        // systemd returns number 0 and the path "/" for no job.
        job: (job.0 != 0).then(|| job.1.to_string()),
    })
}

/// An InvocationID as `systemctl show` prints it. All zeros means none.
fn hex(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// systemd counts microseconds since 1970; 0 means never.
fn timestamp(microseconds: u64) -> Option<Timestamp> {
    let microseconds = i64::try_from(microseconds).ok().filter(|microseconds| *microseconds != 0)?;
    Timestamp::from_microsecond(microseconds).ok()
}
