//! The whole file, table by table.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::{
    drain::DrainPolicy,
    site::{AgentAccess, ApiAccess, Defaults, Site},
};

use super::{
    balancer::load_balancer,
    components::components,
    places,
    reader::{Mistake, Mistakes, Table},
    values::{
        address_template, duration, flag, host_and_port, limit, list, machine, machines, node_template, port,
        selectors, text,
    },
};

/// The agent's port where nothing else is said.
const AGENT_PORT: u16 = 7470;

/// The site that the text describes. Relative paths in it begin at `folder`.
pub(super) fn site(text: &str, folder: &Path) -> Result<Site, Vec<Mistake>> {
    let mistakes = Mistakes::default();
    let (root, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        // What a broken file seems to say is not worth a second complaint.
        for error in broken {
            mistakes.add(error.span().map_or(0, |span| span.start), "", format!("not TOML: {}", error.message()));
        }
        return Err(mistakes.into_sorted());
    }

    let site = read(Table::root(root.get_ref(), &mistakes), folder);
    match mistakes.into_sorted() {
        found if found.is_empty() => Ok(site),
        found => Err(found),
    }
}

fn read(mut root: Table<'_>, folder: &Path) -> Site {
    let name = root.get("name", text);
    let api = api(root.table("api"), folder);
    let control_plane = control_plane(root.table("control_plane"));
    let agents = agents(root.table("agents"), folder);
    let components = components(root.table("components"));
    let load_balancer = load_balancer(root.table("load_balancer"), &control_plane);
    let drain = drain(root.table("drain"));
    let defaults = defaults(root.table("defaults"));
    root.finish();
    Site { name, api, control_plane, agents, components, load_balancer, drain, defaults }
}

fn api(mut table: Table<'_>, folder: &Path) -> ApiAccess {
    let kubeconfig = table.get("kubeconfig", text).map(|path| folder.join(path));
    let context = table.get("context", text);
    table.finish();
    ApiAccess { kubeconfig, context }
}

fn control_plane(mut table: Table<'_>) -> Vec<String> {
    let names = table.get("machines", machines).unwrap_or_default();
    table.finish();
    names
}

fn agents(mut table: Table<'_>, folder: &Path) -> AgentAccess {
    let port = table.get("port", port).unwrap_or(AGENT_PORT);
    let address = table.get("address", address_template);
    let server_name = table.get("server_name", node_template).unwrap_or_else(|| "{node}".into());
    let mut file = |key, default: &str| -> PathBuf {
        match table.get(key, text) {
            Some(path) => folder.join(path),
            None => Path::new(places::SYSTEM_FOLDER).join(default),
        }
    };
    let certificate = file("certificate", "client.pem");
    let key = file("key", "client-key.pem");
    let ca = file("ca", "ca.pem");
    let addresses = table.table("addresses").each(|name, value| {
        machine(name)?;
        host_and_port(value)
    });
    table.finish();
    AgentAccess { port, address, addresses: addresses.into_iter().collect(), server_name, certificate, key, ca }
}

fn drain(mut table: Table<'_>) -> DrainPolicy {
    let drain = DrainPolicy {
        protected_namespaces: table.get("protected_namespaces", list).unwrap_or_default(),
        skip: table.get("skip", selectors).unwrap_or_default(),
        wait_for_completion: table.get("wait_for_completion", selectors).unwrap_or_default(),
        wait_for_jobs: table.get("wait_for_jobs", flag).unwrap_or_default(),
        surge: table.get("surge", selectors).unwrap_or_default(),
        // A machine whose volumes are still attached is not empty; where no pod had one it costs nothing.
        wait_for_volumes: table.get("wait_for_volumes", flag).unwrap_or(true),
        order: table.get("order", selectors).unwrap_or_default(),
    };
    table.finish();
    drain
}

fn defaults(mut table: Table<'_>) -> Defaults {
    let plain = Defaults::default();
    let defaults = Defaults {
        gap: table.get("gap", duration).unwrap_or(plain.gap),
        lease_timeout: table.get("lease_timeout", limit).unwrap_or(plain.lease_timeout),
        restart_timeout: table.get("restart_timeout", limit).unwrap_or(plain.restart_timeout),
        drain_timeout: table.get("drain_timeout", limit).unwrap_or(plain.drain_timeout),
        reboot_timeout: table.get("reboot_timeout", limit).unwrap_or(plain.reboot_timeout),
        ready_timeout: table.get("ready_timeout", limit).unwrap_or(plain.ready_timeout),
        settle: table.get("settle", duration).unwrap_or(plain.settle),
        handover: table.get("handover", flag).unwrap_or(plain.handover),
    };
    table.finish();
    defaults
}
