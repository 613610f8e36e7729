//! `org.freedesktop.systemd1.Unit`, `.Service` and `.Job`.

use zbus::{interface, zvariant::OwnedObjectPath};

use super::{FakeSystemd, FakeUnit, state::Verb};

/// systemd's own escaping of a unit's name in its object path.
pub(super) fn unit_path(name: &str) -> OwnedObjectPath {
    let escape = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:02x}", u32::from(c)) };
    path(format!("/org/freedesktop/systemd1/unit/{}", name.chars().map(escape).collect::<String>()))
}

pub(super) fn job_path(number: u32) -> OwnedObjectPath {
    path(format!("/org/freedesktop/systemd1/job/{number}"))
}

pub(super) fn path(text: String) -> OwnedObjectPath {
    OwnedObjectPath::try_from(text).expect("a path of letters, digits and underscores")
}

pub(super) struct Unit {
    pub(super) fake: FakeSystemd,
    pub(super) name: String,
}

impl Unit {
    fn read<T>(&self, of: impl FnOnce(&FakeUnit) -> T) -> Option<T> {
        self.fake.state().units.get(&self.name).map(of)
    }
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn id(&self) -> String {
        self.name.clone()
    }

    #[zbus(property)]
    fn load_state(&self) -> &'static str {
        self.read(|unit| unit.load_state).unwrap_or("not-found")
    }

    #[zbus(property)]
    fn active_state(&self) -> String {
        self.read(|unit| unit.active_state.clone()).unwrap_or_else(|| "inactive".to_owned())
    }

    #[zbus(property)]
    fn sub_state(&self) -> String {
        self.read(|unit| unit.sub_state.clone()).unwrap_or_else(|| "dead".to_owned())
    }

    #[zbus(property, name = "InvocationID")]
    fn invocation_id(&self) -> Vec<u8> {
        let id = self.read(|unit| unit.invocation_id.clone()).unwrap_or_default();
        let digits = |at: usize| u8::from_str_radix(id.get(at..at + 2).unwrap_or("00"), 16).unwrap_or(0);
        (0..id.len()).step_by(2).map(digits).collect()
    }

    #[zbus(property)]
    fn active_enter_timestamp(&self) -> u64 {
        self.read(|unit| if unit.active_state == "active" { 1_760_000_100_000_000 } else { 0 }).unwrap_or(0)
    }

    #[zbus(property)]
    fn need_daemon_reload(&self) -> bool {
        self.read(|unit| unit.needs_daemon_reload).unwrap_or(false)
    }

    #[zbus(property)]
    fn unit_file_state(&self) -> String {
        self.read(|unit| unit.file_state.clone()).unwrap_or_default()
    }

    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        match self.read(|unit| unit.job).flatten() {
            Some(number) => (number, job_path(number)),
            None => (0, path("/".to_owned())),
        }
    }
}

/// As systemd sends a command: program, arguments, whether its failure is ignored; then times, process and result.
type ExecCommand = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

pub(super) struct Service {
    pub(super) fake: FakeSystemd,
    pub(super) name: String,
}

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> String {
        self.fake.state().units.get(&self.name).map(|unit| unit.result.clone()).unwrap_or_default()
    }

    #[zbus(property)]
    fn exec_start(&self) -> Vec<ExecCommand> {
        let unit = self.fake.state().units.get(&self.name).cloned();
        let command = |unit: FakeUnit| (unit.program, Vec::new(), false, 0, 0, 0, 0, 0, 0, 0);
        unit.map(command).into_iter().collect()
    }

    #[zbus(property, name = "NRestarts")]
    fn n_restarts(&self) -> u32 {
        self.fake.state().units.get(&self.name).map_or(0, |unit| unit.restarts)
    }

    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> u32 {
        let state = self.fake.state();
        let running = state.units.get(&self.name).is_some_and(|unit| unit.active_state == "active");
        if running { 4242 } else { 0 }
    }
}

pub(super) struct Job {
    pub(super) fake: FakeSystemd,
    pub(super) number: u32,
    pub(super) unit: String,
    pub(super) verb: Verb,
}

#[interface(name = "org.freedesktop.systemd1.Job")]
impl Job {
    #[zbus(property)]
    fn id(&self) -> u32 {
        self.number
    }

    #[zbus(property)]
    fn job_type(&self) -> &'static str {
        self.verb.word()
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        "running"
    }

    #[zbus(property)]
    fn unit(&self) -> (String, OwnedObjectPath) {
        (self.unit.clone(), unit_path(&self.unit))
    }

    /// Cancels the job: the unit stays as it is.
    fn cancel(&self) {
        self.fake.change(|state| {
            if let Some(unit) = state.units.get_mut(&self.unit) {
                unit.job = None;
            }
        });
    }
}
