//! What is wrong with the versions of a cluster.
//!
//! The rules are those of <https://kubernetes.io/releases/version-skew-policy/>. While a control plane is upgraded, its
//! apiservers differ; what is newer is then held against the oldest of them, and what is older against the newest.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan as _, civil::Date};
use serde::Serialize;

use super::{Instance, Number, Program, Support};
use crate::{nodeset::argument, text};

/// An end of support is told this many days before.
const SOON_DAYS: i32 = 60;

/// A kubelet before 1.25 may be two minor releases older than an apiserver, later ones three. kube-proxy the same.
const NODE_LAG_SINCE: u32 = 25;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// It is not supported, or not what the site wants.
    Wrong,
    /// Somebody did not answer, so that it may be wrong.
    Unknown,
    /// It will be wrong soon, a restart is missing, or nobody can tell.
    Notice,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub severity: Severity,
    /// In a sentence without a full stop.
    pub message: String,
    /// All machines that it is about; the message names a few.
    pub machines: Vec<String>,
    /// A command that mends it or shows more, if there is one.
    pub hint: Option<String>,
}

/// What the site wants: by project, a series such as `1.37`, or a whole version.
pub type Targets = BTreeMap<String, String>;

/// Everything that is wrong, the worst first.
pub fn judge(instances: &[Instance], targets: &Targets, support: &Support, today: Date) -> Vec<Finding> {
    let mut findings = skew(instances);
    findings.extend(off_target(instances, targets));
    findings.extend(unsupported(instances, support, today));
    findings.extend(replaced(instances));
    findings.extend(unknown(instances));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// A finding about machines. `message` is given a few of their names.
fn finding(severity: Severity, machines: Vec<String>, message: impl FnOnce(&str) -> String) -> Finding {
    Finding { severity, message: message(&text::few(&machines)), machines, hint: None }
}

fn skew(instances: &[Instance]) -> Vec<Finding> {
    let numbers = |program: Program| {
        let of_program = instances.iter().filter(move |instance| instance.program == program);
        of_program.filter_map(|instance| Some((instance.number()?, instance.machine.as_str())))
    };
    let (oldest, newest) = (numbers(Program::KubeApiserver).min(), numbers(Program::KubeApiserver).max());
    let (Some((oldest, oldest_on)), Some((newest, newest_on))) = (oldest, newest) else { return Vec::new() };
    let mut findings = Vec::new();
    if newest.minors_ahead_of(oldest).is_none_or(|ahead| ahead > 1) {
        let machines = vec![oldest_on.to_owned(), newest_on.to_owned()];
        findings.push(finding(Severity::Wrong, machines, |_| {
            format!(
                "apiservers must be within one minor release of each other: {oldest_on} has {oldest}, {newest_on} {newest}"
            )
        }));
    }
    let rules = [
        (Program::KubeControllerManager, 1),
        (Program::KubeScheduler, 1),
        (Program::Kubelet, 3),
        (Program::KubeProxy, 3),
    ];
    for (program, lag) in rules {
        let mut ahead: BTreeMap<Number, Vec<String>> = BTreeMap::new();
        let mut behind = ahead.clone();
        for (number, machine) in numbers(program) {
            let lag = if lag == 3 && number.major == 1 && number.minor < NODE_LAG_SINCE { 2 } else { lag };
            if number.minors_ahead_of(oldest).is_none_or(|minors| minors > 0) {
                ahead.entry(number).or_default().push(machine.to_owned());
            }
            if newest.minors_ahead_of(number).is_some_and(|minors| minors > lag) {
                behind.entry(number).or_default().push(machine.to_owned());
            }
        }
        let name = program.name();
        findings.extend(ahead.into_iter().map(|(number, machines)| {
            finding(Severity::Wrong, machines, |on| {
                format!("{name} {number} on {on} is newer than the apiserver on {oldest_on}, {oldest}; it must not be")
            })
        }));
        findings.extend(behind.into_iter().map(|(number, machines)| {
            finding(Severity::Wrong, machines, |on| {
                format!("{name} {number} on {on} is too old for the apiserver on {newest_on}, {newest}")
            })
        }));
    }
    findings.extend(proxies(instances));
    findings
}

/// A kube-proxy and the kubelet beside it may be three minor releases apart.
fn proxies(instances: &[Instance]) -> Vec<Finding> {
    let on = |program: Program, machine: &str| {
        instances.iter().find(|instance| instance.program == program && instance.machine == machine)?.number()
    };
    let machines: BTreeSet<_> = instances.iter().map(|instance| instance.machine.as_str()).collect();
    let apart = |machine: &str| {
        let (proxy, kubelet) = (on(Program::KubeProxy, machine)?, on(Program::Kubelet, machine)?);
        let apart = proxy.minors_ahead_of(kubelet).is_none_or(|minors| minors.abs() > 3);
        apart.then(|| {
            finding(Severity::Wrong, vec![machine.to_owned()], |on| {
                format!("kube-proxy {proxy} and kubelet {kubelet} on {on} are more than three minor releases apart")
            })
        })
    };
    machines.into_iter().filter_map(apart).collect()
}

/// What is not as the site wants it.
fn off_target(instances: &[Instance], targets: &Targets) -> Vec<Finding> {
    let mut off: BTreeMap<(Program, String), Vec<String>> = BTreeMap::new();
    for instance in instances {
        let Some(target) = targets.get(instance.program.project()) else { continue };
        let Some(number) = instance.number() else { continue };
        let whole = target.matches('.').count() > 1;
        let is = if whole { number.to_string() } else { number.series() };
        let wanted = Number::read(target).map(|wanted| if whole { wanted.to_string() } else { wanted.series() });
        if wanted.is_some_and(|wanted| wanted != is) {
            off.entry((instance.program, number.to_string())).or_default().push(instance.machine.clone());
        }
    }
    let wrong = |((program, number), machines): ((Program, String), Vec<String>)| {
        let target = &targets[program.project()];
        finding(Severity::Wrong, machines, |on| format!("{} {number} on {on}: the site wants {target}", program.name()))
    };
    off.into_iter().map(wrong).collect()
}

/// Releases whose support has ended, or ends soon.
fn unsupported(instances: &[Instance], support: &Support, today: Date) -> Vec<Finding> {
    let mut seen: BTreeMap<(&str, String), (Number, BTreeSet<&str>)> = BTreeMap::new();
    for instance in instances {
        if let Some(number) = instance.number() {
            let series = (instance.program.project(), number.series());
            seen.entry(series).or_insert((number, BTreeSet::new())).1.insert(&instance.machine);
        }
    }
    let judged = |((project, series), (number, machines)): ((&str, String), (Number, BTreeSet<&str>))| {
        let end = support.end(project, number)?;
        let machines = machines.into_iter().map(str::to_owned).collect();
        if end.before || end.day < today {
            let message = |on: &str| format!("support of {project} {series}, on {on}, ended {end}");
            return Some(finding(Severity::Wrong, machines, message));
        }
        let soon = today.checked_add(SOON_DAYS.days()).is_ok_and(|soon| end.day < soon);
        let message = |on: &str| format!("support of {project} {series}, on {on}, ends {end}");
        soon.then(|| finding(Severity::Notice, machines, message))
    };
    seen.into_iter().filter_map(judged).collect()
}

/// Programs that were upgraded and not restarted.
fn replaced(instances: &[Instance]) -> Vec<Finding> {
    let mut by_program: BTreeMap<Program, Vec<String>> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| instance.replaced) {
        by_program.entry(instance.program).or_default().push(instance.machine.clone());
    }
    let notice = |(program, machines): (Program, Vec<String>)| Finding {
        hint: Some(format!(
            "usher restart {} --nodes {} -r 'new version'",
            program.name(),
            text::command(&[argument(&machines)])
        )),
        ..finding(Severity::Notice, machines, |on| {
            format!("{} was upgraded on {on} and its old version still runs", program.name())
        })
    };
    by_program.into_iter().map(notice).collect()
}

/// Versions that nobody told, by program and reason.
fn unknown(instances: &[Instance]) -> Vec<Finding> {
    let mut untold: BTreeMap<(Program, bool, &str), Vec<String>> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| instance.number().is_none()) {
        let why = instance.note.as_deref().or(instance.version.as_deref()).unwrap_or("nobody told");
        untold.entry((instance.program, instance.silent, why)).or_default().push(instance.machine.clone());
    }
    let unknown = |((program, silent, why), machines): ((Program, bool, &str), Vec<String>)| {
        let severity = if silent { Severity::Unknown } else { Severity::Notice };
        finding(severity, machines, |on| format!("the version of {} on {on} is not known: {why}", program.name()))
    };
    untold.into_iter().map(unknown).collect()
}
