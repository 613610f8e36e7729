//! The cluster file: found, read, checked, and made into a [`Site`].
//!
//! Everything in it has a default that fits a plain three-node control plane, so that an empty file, or none, is a valid
//! one. [`usher_common::config_file`] says how it is read; each key is described where it is read, here and below.

mod agents;
mod balancer;
mod components;
mod drain;
mod places;
#[cfg(test)]
mod tests;
mod values;
mod versions;

use std::path::Path;

use usher_common::config_file::{self, DURATION, FLAG, FileError, LIMIT, ListOf, PATH, Record, TEXT, Table};

pub use self::places::locate;
use self::values::MACHINE;
use crate::site::{ApiAccess, Defaults, Site};

/// What the file is, in errors.
const WHAT: &str = "the cluster file";

/// Reads a cluster file.
///
/// Relative paths in it are relative to its folder.
///
/// # Errors
///
/// If the file cannot be read, is not TOML, or says something that makes no sense: then everything that is wrong.
pub fn load(path: &Path) -> Result<Site, FileError> {
    Ok(config_file::load(path, WHAT, site)?.value)
}

/// The same, with every key and the line that it comes from. Without a file: every key's default.
///
/// # Errors
///
/// As [`load`].
pub fn record(path: Option<&Path>) -> Result<Record, FileError> {
    Ok(match path {
        Some(path) => config_file::load(path, WHAT, site)?.record,
        None => config_file::defaults(Path::new(""), site).record,
    })
}

/// Every key that a cluster file may have.
pub fn describe() -> Record {
    config_file::describe(site)
}

fn site(root: &mut Table<'_>) -> Site {
    let name = root
        .key("name", TEXT)
        .says("The cluster's name, as you type it to confirm a change.")
        .example("eqiad")
        .optional("the name of the kubeconfig's cluster");
    let api = root.table("api").says("How to reach the Kubernetes API.").read(api);
    let control_plane =
        root.table("control_plane").says("The machines on which the control plane runs.").read(control_plane);
    let agents = root.table("agents").says("How to reach the agents.").read(agents::agents);
    let components =
        root.table("components").says("The control plane's components and their units.").read(components::components);
    let load_balancer = root
        .table("load_balancer")
        .says(
            "The load balancer in front of the apiservers. Without this table, requests may be lost while an apiserver \
             restarts. The commands are your own; usher runs them without a shell, and fills in {node} and {address}.",
        )
        .read_if_present(|table| balancer::load_balancer(table, &control_plane));
    let drain = root
        .table("drain")
        .says(
            "Which pods every drain leaves alone, waits for, or evicts in order; docs/drain.md explains each. Selectors are \
             written as for kubectl -l.",
        )
        .read(drain::drain);
    let versions = root
        .table("versions")
        .says("What `usher versions` holds the versions against, beside Kubernetes' own policy.")
        .read(versions::versions);
    let defaults = root.table("defaults").says("What flags override.").read(flag_defaults);
    Site { name, api, control_plane, agents, components, load_balancer, drain, versions, defaults }
}

fn api(table: &mut Table<'_>) -> ApiAccess {
    ApiAccess {
        kubeconfig: table
            .key("kubeconfig", PATH)
            .says("Path of the kubeconfig.")
            .example("/etc/kubernetes/admin.conf")
            .optional("$KUBECONFIG, then ~/.kube/config, then the service account of the pod"),
        context: table
            .key("context", TEXT)
            .says(
                "Context of the kubeconfig. Needed where the kubeconfig calls the cluster by another name than this file: it \
                 says that both are one.",
            )
            .example("admin@eqiad")
            .optional("its current context"),
    }
}

fn control_plane(table: &mut Table<'_>) -> Vec<String> {
    let machines = table
        .key("machines", ListOf(MACHINE))
        .says(
            "Their names, in the order in which usher restarts them when nothing else decides. Name them if they are no \
             Nodes.",
        )
        .example(["cp1", "cp2", "cp3"])
        .optional("the Nodes with the label node-role.kubernetes.io/control-plane")
        .unwrap_or_default();
    for (number, name) in machines.iter().enumerate() {
        if machines[..number].contains(name) {
            table.mistake("machines", format!("\"{name}\" is listed twice"));
        }
    }
    machines
}

fn flag_defaults(table: &mut Table<'_>) -> Defaults {
    let plain = Defaults::default();
    Defaults {
        gap: table
            .key("gap", DURATION)
            .says("Wait between an apiserver that is ready again and the next.")
            .or(plain.gap),
        lease_timeout: table
            .key("lease_timeout", LIMIT)
            .says("A leader must renew its lease within this time.")
            .or(plain.lease_timeout),
        restart_timeout: table
            .key("restart_timeout", LIMIT)
            .says("How long a unit's restart may take, its probe included.")
            .or(plain.restart_timeout),
        drain_timeout: table
            .key("drain_timeout", LIMIT)
            .says("How long the drain of one node may take.")
            .or(plain.drain_timeout),
        reboot_timeout: table
            .key("reboot_timeout", LIMIT)
            .says("How long a machine may take from the reboot until its agent answers with a new boot id.")
            .or(plain.reboot_timeout),
        ready_timeout: table
            .key("ready_timeout", LIMIT)
            .says("How long a Node may take from its new boot until it is Ready.")
            .or(plain.ready_timeout),
        settle: table
            .key("settle", DURATION)
            .says("How long a rebooted Node must stay Ready before usher uncordons it.")
            .or(plain.settle),
        handover: table
            .key("handover", FLAG)
            .says("Hand over the lease of a component that keeps it, instead of waiting for its expiry.")
            .or(plain.handover),
    }
}
