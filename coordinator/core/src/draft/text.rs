//! The text of a first cluster file.

use std::fmt::Write as _;

use super::{
    infer,
    seen::{Answers, Seen},
};
use crate::{
    nodeset::words,
    site::{AgentAccess, Component, Role, Site},
};

/// Lines of comments are as long as those of the examples.
const WIDTH: usize = 98;

/// The port of an apiserver, unless it says otherwise.
const API_PORT: u16 = 6443;

impl Answers {
    /// The text of the file that they and what was seen make; `today` is the date that it bears.
    pub fn file(&self, seen: &Seen, today: &str) -> String {
        file(seen, self, today)
    }
}

fn file(seen: &Seen, answers: &Answers, today: &str) -> String {
    let mut file = File::default();
    file.comment(&format!(
        "Written by `usher config init` on {today}, from what {} showed. Every key that is not here has a default: see \
         usher's example of a cluster file, and `usher config view`. Check it with `usher doctor`.",
        seen.server
    ));
    file.blank();
    file.comment("What you type to confirm a change.");
    file.value("name", &quoted(&answers.name));
    api(&mut file, seen);
    control_plane(&mut file, seen);
    agents(&mut file, seen, answers);
    components(&mut file, seen);
    balancer(&mut file, seen, answers);
    file.0
}

fn api(file: &mut File, seen: &Seen) {
    if seen.kubeconfig.is_none() && seen.context.is_none() {
        return;
    }
    file.table("api");
    if let Some(path) = &seen.kubeconfig {
        file.comment("As --kubeconfig had it.");
        file.value("kubeconfig", &quoted(path));
    }
    if let Some(context) = &seen.context {
        file.comment("The context that was in use. So the cluster is this one, whatever is current later.");
        file.value("context", &quoted(context));
    }
}

fn control_plane(file: &mut File, seen: &Seen) {
    let found = infer::control_plane(seen);
    file.table("control_plane");
    if found.is_empty() {
        file.comment(
            "No machine of the control plane was seen: no Node has its label, and nobody holds its leases. Name them here if usher is to \
             restart them.",
        );
        file.comment("machines = [\"cp1\", \"cp2\", \"cp3\"]");
        return;
    }
    for machine in &found {
        file.comment(&format!("{} {}.", machine.name, machine.why));
    }
    let names: Vec<_> = found.iter().map(|machine| quoted(&machine.name)).collect();
    file.value("machines", &format!("[{}]", names.join(", ")));
}

fn agents(file: &mut File, seen: &Seen, answers: &Answers) {
    let plain = AgentAccess::default();
    file.table("agents");
    let answering: Vec<_> =
        seen.agents.iter().filter(|agent| !agent.names.is_empty()).map(|agent| agent.machine.as_str()).collect();
    let silent: Vec<_> =
        seen.agents.iter().filter(|agent| agent.names.is_empty()).map(|agent| agent.machine.as_str()).collect();
    if !answering.is_empty() {
        file.comment(&format!("An agent listens on {}.", words(&answering)));
    }
    if !silent.is_empty() {
        file.comment(&format!("Nothing listens on port {} of {} yet.", plain.port, words(&silent)));
    }
    match infer::server_name(seen) {
        Some(pattern) if pattern != plain.server_name => {
            file.comment("So the names in their certificates are made.");
            file.value("server_name", &quoted(&pattern));
        }
        None if !answering.is_empty() => {
            file.comment("Their certificates carry names of which none is the machine's: say how they are made.");
            file.comment("server_name = \"{node}.example.org\"");
        }
        _ => {}
    }
    file.comment("What usher shows to agents, and the CA that signed theirs.");
    for (key, value, default) in [
        ("certificate", &answers.certificate, &plain.certificate),
        ("key", &answers.key, &plain.key),
        ("ca", &answers.ca, &plain.ca),
    ] {
        let default = default.display().to_string();
        file.value(key, &quoted(if value.is_empty() { &default } else { value }));
    }
    let elsewhere = infer::control_plane(seen).into_iter().filter_map(|found| Some((found.name, found.address?)));
    let elsewhere: Vec<_> = elsewhere.collect();
    let is_node = |name: &str| seen.nodes.iter().any(|node| node.name == name);
    let lost = infer::control_plane(seen).into_iter().filter(|found| found.address.is_none() && !is_node(&found.name));
    let lost: Vec<_> = lost.map(|found| found.name).collect();
    if !lost.is_empty() {
        file.comment(&format!("No address of {} was seen: name each here.", words(&lost)));
        file.comment("[agents.addresses]");
        for name in lost {
            file.comment(&format!("{} = \"HOST:{}\"", bare(&name), plain.port));
        }
    }
    if !elsewhere.is_empty() {
        file.table("agents.addresses");
        file.comment("By the certificates of their apiservers.");
        for (name, address) in elsewhere {
            let host = if address.contains(':') { format!("[{address}]") } else { address };
            file.value(&quoted(&name), &quoted(&format!("{host}:{}", plain.port)));
        }
    }
}

/// The components, where something differs from what usher assumes.
fn components(file: &mut File, seen: &Seen) {
    let site = Site::default();
    let offering = |unit: &str| -> Vec<&str> {
        let offers = seen.agents.iter().filter(|agent| agent.units.iter().any(|offered| offered == unit));
        offers.map(|agent| agent.machine.as_str()).collect()
    };
    for component in &site.components {
        let on = offering(&component.unit);
        // Whether there is a member of etcd cannot be seen from units that are not offered.
        if !component.is_etcd() || !on.is_empty() {
            component_table(file, component, seen, &on);
        }
    }
    for lease in &seen.leases {
        let name = &lease.lease.name;
        let unit = format!("{name}.service");
        let is_known = site.components.iter().any(|component| component.lease().as_ref() == Some(&lease.lease));
        let on = offering(&unit);
        if !is_known && !on.is_empty() {
            file.table(&format!("components.{}", bare(name)));
            file.comment(&format!("Elected through {}, and offered by the agents of {}.", lease.lease, words(&on)));
            file.value("unit", &quoted(&unit));
        }
    }
}

fn component_table(file: &mut File, component: &Component, seen: &Seen, on: &[&str]) {
    let offered = match (on, seen.agents.iter().any(|agent| !agent.units.is_empty())) {
        ([], true) => format!("No agent that answered offers {}.", component.unit),
        ([], false) => format!("Restarted as {}.", component.unit),
        (on, _) => format!("Offered as {} by the agents of {}.", component.unit, words(on)),
    };
    file.table(&format!("components.{}", bare(&component.name)));
    match &component.role {
        Role::ApiServer { .. } => {
            file.comment(&offered);
            let hosts: Vec<_> =
                seen.apiservers.iter().map(|server| format!("{}:{}", server.host, server.port)).collect();
            let port = seen.apiservers.iter().map(|server| server.port).find(|port| *port != API_PORT);
            if hosts.is_empty() {
                file.comment("Where single apiservers are was not seen.");
            } else {
                file.comment(&format!("Seen at {}.", hosts.join(", ")));
            }
            let url = format!("https://{{address}}:{}", port.unwrap_or(API_PORT));
            file.value("url", &quoted(&url));
        }
        Role::Etcd => {
            file.comment(&format!(
                "{offered} Its state is asked of the agents whose own configuration has a table [etcd]. If somebody else runs it: \
                 managed = true."
            ));
            file.value("unit", &quoted(&component.unit));
        }
        Role::Elected { .. } => {
            let Some(name) = component.lease() else { return };
            let seen = seen.leases.iter().find(|lease| lease.lease == name);
            file.comment(&match seen {
                Some(lease) if !lease.host.is_empty() => format!("{offered} Its lease is held by {}.", lease.host),
                Some(_) => format!("{offered} Nobody held its lease."),
                None => format!(
                    "{offered} There is no lease of this name: name the one that it uses, set leader_election = false if it \
                     runs with --leader-elect=false, or enabled = false if there is no such component."
                ),
            });
            file.value("lease", &quoted(&name.to_string()));
        }
        Role::Unelected => file.comment(&offered),
    }
}

fn balancer(file: &mut File, seen: &Seen, answers: &Answers) {
    let Some(url) = infer::balancer(seen) else { return };
    file.table("load_balancer");
    file.comment("Your kubeconfig leads here, and this is none of the apiservers' own addresses.");
    file.value("url", &quoted(&url));
    let command =
        |argv: &[String]| format!("[{}]", argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "));
    if answers.depool.is_empty() || answers.pool.is_empty() {
        file.comment(
            "Your own commands that take a machine out of the pool and put it back; {node} and {address} are filled in. Without them, \
             requests may be lost while an apiserver restarts.",
        );
        file.comment("depool = [\"/usr/local/sbin/lb\", \"drain\", \"{node}\"]");
        file.comment("pool = [\"/usr/local/sbin/lb\", \"ready\", \"{node}\"]");
    } else {
        file.value("depool", &command(&answers.depool));
        file.value("pool", &command(&answers.pool));
    }
}

/// The lines so far.
#[derive(Default)]
struct File(String);

impl File {
    fn blank(&mut self) {
        self.0.push('\n');
    }

    fn table(&mut self, name: &str) {
        let _ = writeln!(self.0, "\n[{name}]");
    }

    fn value(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    /// A comment, wrapped at words.
    fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() + 1 + word.chars().count() > WIDTH && line != "#" {
                let _ = writeln!(self.0, "{line}");
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        let _ = writeln!(self.0, "{line}");
    }
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// A key of TOML: as it is where that is allowed.
fn bare(key: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
    if !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { quoted(key) }
}
