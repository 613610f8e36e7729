//! `usher-agent status`.

use jiff::Timestamp;
use serde::Serialize;
use usher_proto::v1;

use super::{Client, Failure, Told};
use crate::arguments::Output;

/// How much of an InvocationID or a boot id is shown to people.
const SHORT: usize = 8;

pub(super) async fn show(client: &mut Client, output: Output) -> Result<Told, Failure> {
    let node = client.info.get_node(v1::GetNodeRequest {}).await?.into_inner().node.unwrap_or_default();
    let status = Status::of(node);
    let text = match output {
        Output::Text => status.to_text(),
        Output::Json => serde_json::to_string_pretty(&status).unwrap_or_default(),
    };
    Ok(Told::done(text))
}

/// The node as its agent tells of it. `-o json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    api_version: &'static str,
    kind: &'static str,
    name: String,
    agent_version: String,
    boot_id: String,
    booted_at: Option<Timestamp>,
    kernel_running: String,
    kernel_installed: String,
    reboot_required: bool,
    units: Vec<Unit>,
    /// A hold file's text, or the holds below in one.
    held: Option<String>,
    holds: Vec<Hold>,
    wanted_restarts: Vec<Wanted>,
    unannounced: Vec<Start>,
    current_operation: Option<Operation>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unit {
    name: String,
    active_state: String,
    sub_state: String,
    invocation_id: String,
    active_since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    owner: String,
    reason: String,
    requester: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    unit: String,
    invocation_id: String,
    requests: Vec<Request>,
    more: u32,
    at_once: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    at: Option<Timestamp>,
    requester: String,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    /// Empty: the node was rebooted.
    unit: String,
    at: Option<Timestamp>,
    automatic: bool,
    before: String,
    after: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    id: String,
    unit: String,
    requester: String,
    reason: String,
    started_at: Option<Timestamp>,
}

impl Status {
    fn of(node: v1::Node) -> Self {
        Self {
            api_version: "usher.dev/v1",
            kind: "NodeStatus",
            name: node.name,
            agent_version: node.agent_version,
            boot_id: node.boot_id,
            booted_at: time(node.booted_at.as_ref()),
            kernel_running: node.kernel_running,
            kernel_installed: node.kernel_installed,
            reboot_required: node.reboot_required.is_some_and(|reboot| reboot.required),
            units: node.units.into_iter().map(Unit::of).collect(),
            held: node.hold.map(|hold| hold.text),
            holds: node.holds.into_iter().map(Hold::of).collect(),
            wanted_restarts: node.wanted_restarts.into_iter().map(Wanted::of).collect(),
            unannounced: node.unannounced.into_iter().map(Start::of).collect(),
            current_operation: node.current_operation.map(Operation::of),
            warnings: node.warnings,
        }
    }

    fn to_text(&self) -> String {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:<16} {value}"));
        line("node", self.name.clone());
        line("agent", self.agent_version.clone());
        let since = self.booted_at.map(|at| format!(" since {at}")).unwrap_or_default();
        line("boot", format!("{}{since}", self.boot_id));
        line("kernel", format!("{} (installed: {})", self.kernel_running, self.kernel_installed));
        line("reboot wanted", if self.reboot_required { "yes" } else { "no" }.to_owned());
        for unit in &self.units {
            let since = unit.active_since.map(|at| format!(" since {at}")).unwrap_or_default();
            let state = format!("{} {} ({}){since}", unit.name, unit.active_state, unit.sub_state);
            line("unit", format!("{state}, invocation {}", short(&unit.invocation_id)));
        }
        if let Some(text) = self.held.as_ref().filter(|_| self.holds.is_empty()) {
            line("HELD", text.clone());
        }
        for hold in &self.holds {
            let until = hold.until.map_or_else(|| "until it is released".to_owned(), |until| format!("until {until}"));
            line("HELD", format!("by {} {until}: {}", hold.owner, hold.reason));
        }
        for wanted in &self.wanted_restarts {
            for request in &wanted.requests {
                let at = request.at.map(|at| at.to_string()).unwrap_or_default();
                line("restart wanted", format!("{}: {} ({}, {at})", wanted.unit, request.reason, request.requester));
            }
            if wanted.more > 0 {
                line("restart wanted", format!("{}: and {} more requests", wanted.unit, wanted.more));
            }
        }
        for start in &self.unannounced {
            let what = match (start.unit.as_str(), start.automatic) {
                ("", _) => "the node was rebooted".to_owned(),
                (unit, true) => format!("{unit} was restarted by systemd itself"),
                (unit, false) => format!("{unit} was started"),
            };
            let at = start.at.map(|at| at.to_string()).unwrap_or_default();
            line("past usher", format!("{at}: {what} ({} → {})", short(&start.before), short(&start.after)));
        }
        if let Some(operation) = &self.current_operation {
            let what = if operation.unit.is_empty() { "reboot" } else { operation.unit.as_str() };
            line("under way", format!("{} ({what}) by {}: {}", operation.id, operation.requester, operation.reason));
        }
        for warning in &self.warnings {
            line("WARNING", warning.clone());
        }
        lines.join("\n")
    }
}

impl Unit {
    fn of(unit: v1::Unit) -> Self {
        let active_since = time(unit.active_since.as_ref());
        let v1::Unit { name, active_state, sub_state, invocation_id, .. } = unit;
        Self { name, active_state, sub_state, invocation_id, active_since }
    }
}

impl Hold {
    fn of(hold: v1::OwnedHold) -> Self {
        let (since, until) = (time(hold.since.as_ref()), time(hold.until.as_ref()));
        let v1::OwnedHold { owner, reason, requester, .. } = hold;
        Self { owner, reason, requester, since, until }
    }
}

impl Wanted {
    fn of(wanted: v1::WantedRestart) -> Self {
        let v1::WantedRestart { unit, invocation_id, requests, more, at_once } = wanted;
        let requests = requests.into_iter().map(|request| {
            let at = time(request.at.as_ref());
            Request { at, requester: request.requester, reason: request.reason }
        });
        Self { unit, invocation_id, requests: requests.collect(), more, at_once }
    }
}

impl Start {
    fn of(start: v1::UnannouncedStart) -> Self {
        let at = time(start.at.as_ref());
        let v1::UnannouncedStart { unit, automatic, before, after, .. } = start;
        Self { unit, at, automatic, before, after }
    }
}

impl Operation {
    fn of(operation: v1::Operation) -> Self {
        let order = operation.order.unwrap_or_default();
        let started_at = time(operation.started_at.as_ref());
        let (requester, reason) = (order.requester, order.reason);
        Self { id: operation.id, unit: operation.unit, requester, reason, started_at }
    }
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

pub(super) fn time(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.seconds, at.nanos).ok()
}
