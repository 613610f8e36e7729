//! systemd: the state of units, and jobs on them.
//!
//! The types are our own, with states as the strings that systemd sends: systemd-zbus has closed enums, and one state that is
//! newer than the crate would make a whole reply unreadable.

mod job;

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use systemd_zbus::ManagerProxy;
use tokio::try_join;
use usher_common::unit;
use zbus::zvariant::{OwnedObjectPath, Value};

pub(crate) use job::{Job, Jobs};

use super::bus::{Bus, BusError, Interface, Properties};
use job::Ends;

const SERVICE: &str = "org.freedesktop.systemd1";

const MANAGER: Interface<'_> =
    Interface { service: SERVICE, path: "/org/freedesktop/systemd1", name: "org.freedesktop.systemd1.Manager" };

/// The result of a unit that was started too often.
const START_LIMIT_HIT: &str = "start-limit-hit";

/// How a job treats other jobs of its unit: it takes their place.
const REPLACE: &str = "replace";

/// A unit's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// With its suffix, as it was asked for.
    pub(crate) name: String,
    /// systemd's own name of it: another one if it was asked for by an alias.
    pub(crate) id: String,
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
    /// Whether it starts with the machine: `enabled`, `disabled`, `masked`, `static`, … Empty if it has no unit file.
    pub(crate) file_state: String,
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

    /// systemd's own name of the unit if it was asked for by an alias.
    pub(crate) fn alias_of(&self) -> Option<&str> {
        (!self.id.is_empty() && self.id != self.name).then_some(&self.id)
    }

    /// The state for people: `active (running)`, `failed (failed, exit-code)`. For a unit that systemd does not start any
    /// more it also says what a person has to do: polkit has no action for that alone, so the agent may not.
    pub(crate) fn state(&self) -> String {
        let Self { name, active_state, sub_state, result, .. } = self;
        match result.as_str() {
            "" | "success" => format!("{active_state} ({sub_state})"),
            START_LIMIT_HIT if !self.is_active() => format!(
                "{active_state} ({sub_state}, {result}: it was started too often for its StartLimitBurst=; to let it start \
                 again: systemctl reset-failed {name} && systemctl start {name})"
            ),
            _ => format!("{active_state} ({sub_state}, {result})"),
        }
    }
}

/// systemd's job types, as far as the agent uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobType {
    Restart,
    Stop,
    Start,
}

/// systemd, over one of the agent's connections.
#[derive(Debug, Clone)]
pub(crate) struct Systemd {
    bus: Arc<Bus>,
}

impl Systemd {
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    /// A unit's state. One that systemd does not know has the load state `not-found`.
    ///
    /// Three calls: with one for each property, a few statuses at once would exhaust what the bus allows a connection.
    pub(crate) async fn unit(&self, name: &str) -> Result<Unit, BusError> {
        let path: OwnedObjectPath = self.bus.call(MANAGER, "LoadUnit", &name).await?.body().deserialize()?;
        let of = |name| Interface { service: SERVICE, path: path.as_str(), name };
        let service = async {
            if !name.ends_with(".service") {
                return Ok(None);
            }
            self.bus.properties(of("org.freedesktop.systemd1.Service")).await.map(Some)
        };
        let (unit, service) = try_join!(self.bus.properties(of("org.freedesktop.systemd1.Unit")), service)?;
        read_unit(name, &unit, service.as_ref())
    }

    /// Whether a unit starts with the machine, as [`Unit::file_state`]. `None` if there is no such unit file.
    pub(crate) async fn file_state(&self, name: &str) -> Result<Option<String>, BusError> {
        match self.bus.call(MANAGER, "GetUnitFileState", &name).await {
            Ok(answer) => Ok(Some(answer.body().deserialize()?)),
            Err(BusError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Enqueues a job for a unit as it was just read. After an error with [`BusError::outcome_unknown`] systemd may have it anyway.
    pub(crate) async fn start_job(&self, job_type: JobType, unit: &Unit) -> Result<Job, BusError> {
        // Subscribe first: the job may end before the reply with its path arrives.
        let ends = self.ends_of_jobs().await?;
        let method = match job_type {
            JobType::Restart => "RestartUnit",
            JobType::Stop => "StopUnit",
            JobType::Start => "StartUnit",
        };
        let asked = (unit.name.as_str(), REPLACE);
        let path: OwnedObjectPath = self.bus.call(MANAGER, method, &asked).await?.body().deserialize()?;
        Ok(Job::new(path.to_string(), unit, ends))
    }

    /// The unit's current job, regardless of who enqueued it.
    pub(crate) async fn current_job(&self, unit: &str) -> Result<Option<Job>, BusError> {
        let ends = self.ends_of_jobs().await?;
        let unit = self.unit(unit).await?;
        Ok(unit.job.clone().map(|path| Job::new(path, &unit, ends)))
    }

    /// Follows the ends of jobs, from now on.
    pub(crate) async fn jobs(&self) -> Result<Jobs, BusError> {
        self.ends_of_jobs().await.map(Jobs)
    }

    /// When this boot's user space started, as systemd recorded it. In a container the uptime would be the host's.
    pub(crate) async fn booted_at(&self) -> Result<Option<Timestamp>, BusError> {
        let get = Interface { name: "org.freedesktop.DBus.Properties", ..MANAGER };
        let answer = self.bus.call(get, "Get", &(MANAGER.name, "UserspaceTimestamp")).await?;
        match answer.body().deserialize::<Value<'_>>()? {
            Value::U64(at) => Ok(timestamp(at)),
            _ => Ok(None),
        }
    }

    /// Subscribes to the ends of jobs. After an error nothing was asked of systemd yet.
    async fn ends_of_jobs(&self) -> Result<Ends, BusError> {
        let bus = self.bus.connection().await?;
        let manager = ManagerProxy::new(&bus).await.map_err(BusError::Unreachable)?;
        Ends::of_jobs(&manager).await.map_err(BusError::Unreachable)
    }
}

fn read_unit(name: &str, unit: &Properties, service: Option<&Properties>) -> Result<Unit, BusError> {
    let (mut restarts, mut main_pid, mut result, mut program) = (0, 0, String::new(), None);
    if let Some(service) = service {
        (restarts, main_pid) = (service.number("NRestarts")?, service.number("MainPID")?);
        result = service.text("Result")?;
        program = service.first("ExecStart", |command| match command.first()? {
            Value::Str(program) => Some(PathBuf::from(program.as_str())),
            _ => None,
        })?;
    }
    // systemd returns number 0 and the path "/" for no job.
    let job = unit.structure("Job", |job| match job {
        [Value::U32(0), _] => Some(None),
        [Value::U32(_), Value::ObjectPath(path)] => Some(Some(path.as_str().to_owned())),
        _ => None,
    })?;
    Ok(Unit {
        name: name.to_owned(),
        id: unit.text("Id")?,
        load_state: unit.text("LoadState")?,
        active_state: unit.text("ActiveState")?,
        sub_state: unit.text("SubState")?,
        invocation_id: hex(&unit.bytes("InvocationID")?),
        restarts,
        main_pid,
        active_since: timestamp(unit.microseconds("ActiveEnterTimestamp")?),
        result,
        needs_daemon_reload: unit.flag("NeedDaemonReload")?,
        file_state: unit.text("UnitFileState")?,
        program,
        job,
    })
}

/// An InvocationID as `systemctl show` prints it. All zeros means none.
fn hex(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// systemd and login1 count microseconds since 1970; 0 means never.
pub(super) fn timestamp(microseconds: u64) -> Option<Timestamp> {
    let microseconds = i64::try_from(microseconds).ok().filter(|microseconds| *microseconds != 0)?;
    Timestamp::from_microsecond(microseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_by_another_name_than_its_own_is_an_alias() {
        let unit = |id: &str| Unit { name: "a.service".to_owned(), id: id.to_owned(), ..Unit::default() };
        assert_eq!(unit("a.service").alias_of(), None);
        assert_eq!(unit("b.service").alias_of(), Some("b.service"));
        assert_eq!(unit("").alias_of(), None, "one that was not read");
    }

    #[test]
    fn a_unit_that_was_started_too_often_is_told_with_the_command_that_lets_it_start_again() {
        let unit = |active: &str, sub: &str, result: &str| Unit {
            name: "a.service".to_owned(),
            active_state: active.to_owned(),
            sub_state: sub.to_owned(),
            result: result.to_owned(),
            ..Unit::default()
        };
        assert_eq!(unit("active", "running", "success").state(), "active (running)");
        assert_eq!(unit("failed", "failed", "exit-code").state(), "failed (failed, exit-code)");
        let told = unit("failed", "failed", "start-limit-hit").state();
        assert!(told.starts_with("failed (failed, start-limit-hit: "), "{told}");
        assert!(told.contains("systemctl reset-failed a.service && systemctl start a.service"), "{told}");
    }
}
