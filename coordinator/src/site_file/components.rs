//! `[components.*]`: the control plane's units.

use usher_common::config_file::{FLAG, TEXT, Table, nearest};

use super::values::{APISERVER_URL, LEASE, UNIT, machine};
use crate::site::{Component, ETCD, Role, Site};

/// Of every control plane, with what they are, in the order in which they are shown.
const BUILT_IN: [(&str, &str); 4] = [
    ("kube-apiserver", "Serves the API; all of its instances are active."),
    ("kube-controller-manager", "Keeps its lease when it ends, so that usher hands it over."),
    ("kube-scheduler", "Releases its lease when it ends."),
    (ETCD, "Its members are asked through the agents that know of one: [etcd] in agent.toml."),
];

/// The built-in components that are not switched off, then the site's own in the order of the file.
pub(super) fn components(table: &mut Table<'_>) -> Vec<Component> {
    let plain = Site::default();
    let mut found: Vec<Component> = Vec::new();
    for (name, says) in BUILT_IN {
        let assumed = plain.component(name).cloned().unwrap_or_else(|| of_the_site(name));
        table.table(name).says(says).read(|section| add(&mut found, assumed, section));
    }
    table
        .others("COMPONENT", "cloud-controller-manager")
        .says("A component of your own, elected through a lease.")
        .tables(|name, section| {
            // `[components.kube-schedular]` would else be one more component instead of a mistake.
            match nearest(name, BUILT_IN.map(|(name, _)| name)) {
                Some(meant) => section.misnamed(format!("unknown component; did you mean \"{meant}\"?")),
                None => match machine(name) {
                    Ok(()) => add(&mut found, of_the_site(name), section),
                    Err(_) => section.misnamed("no name of a component (lower-case letters, digits and '-')"),
                },
            }
        });
    found
}

/// One that the site adds, as far as its name tells.
fn of_the_site(name: &str) -> Component {
    let role = Role::Elected { namespace: "kube-system".to_owned(), lease: name.to_owned(), keeps_lease: false };
    Component { name: name.to_owned(), unit: format!("{name}.service"), role }
}

fn add(found: &mut Vec<Component>, assumed: Component, section: &mut Table<'_>) {
    let enabled = match assumed.role {
        Role::Etcd => !section
            .key("managed", FLAG)
            .says("Somebody else runs etcd: usher asks nothing about it, restarts nothing of it, and holds nothing back for it.")
            .or(false),
        _ => section.key("enabled", FLAG).says("Whether the cluster has this component.").or(true),
    };
    let unit = section.key("unit", UNIT).says("Its systemd unit on each machine.").or(assumed.unit);
    let role = match assumed.role {
        Role::Etcd => Role::Etcd,
        Role::ApiServer { url, server_name } => Role::ApiServer {
            url: section
                .key("url", APISERVER_URL)
                .says(
                    "The URL of one machine's apiserver. {address} is the machine's host, as usher reaches its agent; {node} \
                     is its name.",
                )
                .or(url),
            server_name: section
                .key("server_name", TEXT)
                .says(
                    "The name that the certificate of one machine's apiserver must carry, where it is another than the host in \
                     url. {node} is the machine's name.",
                )
                .example("{node}.example")
                .optional("the kubeconfig's tls-server-name, else the URL's host")
                .or(server_name),
        },
        Role::Elected { namespace, lease, keeps_lease } => {
            let leader_election = section
                .key("leader_election", FLAG)
                .says(
                    "Whether its instances elect a leader. false for one that runs with --leader-elect=false: it has no lease, and \
                     its unit alone is proved.",
                )
                .or(true);
            let (namespace, lease) = section
                .key("lease", LEASE)
                .says("The Lease through which its instances elect a leader, as NAMESPACE/NAME.")
                .or((namespace, lease));
            let keeps_lease =
                section.key("keeps_lease", FLAG).says("Whether it ends without releasing its lease.").or(keeps_lease);
            for key in ["lease", "keeps_lease"] {
                if !leader_election && section.has(key) {
                    section.mistake(key, "a component without leader election has no lease");
                }
            }
            match leader_election {
                true => Role::Elected { namespace, lease, keeps_lease },
                false => Role::Unelected,
            }
        }
        Role::Unelected => Role::Unelected,
    };
    if enabled {
        if let Some(other) = found.iter().find(|other| other.unit == unit) {
            section.mistake("unit", format!("\"{unit}\" is the unit of {} already", other.name));
        }
        found.push(Component { name: assumed.name, unit, role });
    }
}
