//! `[components.*]`: the control plane's units.

use crate::site::{Component, Role};

use super::{
    nearest::nearest,
    reader::Table,
    values::{ADDRESS, NODE, flag, lease, machine, unit, url},
};

/// The one whose instances all serve.
const API_SERVER: &str = "kube-apiserver";
/// The one that keeps its Lease when it ends.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";

/// Of every control plane, in the order in which they are shown.
const BUILT_IN: [&str; 3] = [API_SERVER, CONTROLLER_MANAGER, SCHEDULER];

/// Where leader election puts the Leases of the control plane by default.
const LEASE_NAMESPACE: &str = "kube-system";

/// The built-in components that are not switched off, then the site's own in the order of the file.
pub(super) fn components(mut table: Table<'_>) -> Vec<Component> {
    let mut found: Vec<Component> = Vec::new();
    for name in BUILT_IN {
        let section = table.table(name);
        add(&mut found, name, section);
    }
    for (name, section) in table.other_tables() {
        // `[components.kube-schedular]` would else be one more component instead of a mistake.
        match nearest(&name, BUILT_IN) {
            Some(meant) => section.misnamed(format!("unknown component; did you mean \"{meant}\"?")),
            None => match machine(&name) {
                Ok(()) => add(&mut found, &name, section),
                Err(_) => section.misnamed("no name of a component (lower-case letters, digits and '-')"),
            },
        }
    }
    found
}

fn add(found: &mut Vec<Component>, name: &str, mut section: Table<'_>) {
    let enabled = section.get("enabled", flag).unwrap_or(true);
    let unit = section.get("unit", unit).unwrap_or_else(|| format!("{name}.service"));
    let role = if name == API_SERVER {
        let url = section.get("url", |value| url(value, &[ADDRESS, NODE]));
        Role::ApiServer { url: url.unwrap_or_else(|| "https://{address}:6443".into()) }
    } else {
        let (namespace, lease) =
            section.get("lease", lease).unwrap_or_else(|| (LEASE_NAMESPACE.to_owned(), name.to_owned()));
        let keeps_lease = section.get("keeps_lease", flag).unwrap_or(name == CONTROLLER_MANAGER);
        Role::Elected { namespace, lease, keeps_lease }
    };
    if enabled {
        if let Some(other) = found.iter().find(|other| other.unit == unit) {
            section.mistake("unit", format!("\"{unit}\" is the unit of {} already", other.name));
        }
        found.push(Component { name: name.to_owned(), unit, role });
    }
    section.finish();
}
