//! The cluster file: found, read, checked, and made into a [`Site`]. Several sites have a file each, in one folder ([`Sites`]).
//!
//! Everything in it has a default that fits a plain three-node control plane, so that an empty file, or none, is a valid
//! one. [`usher_common::config_file`] says how it is read; each key is described where it is read, here and below.

mod agents;
mod api;
mod balancer;
mod components;
mod create;
mod drain;
mod helmfile;
mod metrics;
mod places;
mod remembered;
mod sites;
mod staging;
#[cfg(test)]
mod tests;
mod values;
mod versions;

use std::path::Path;

use usher_common::config_file::{self, DURATION, FLAG, FileError, LIMIT, ListOf, Record, TEXT, Table};

use self::values::{MACHINE, SITE_NAME, VARIABLE_TEMPLATE, variable};
pub use self::{
    create::create,
    places::{Place, first_place, pki_folder},
    remembered::Remembered,
    sites::{Entry, Sites},
    staging::{describe as describe_staging, load as load_staging},
};
use crate::site::{Defaults, Site};

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
    Ok(config_file::load(path, WHAT, |root| site(root, None))?.value)
}

/// Reads a cluster file's text that is not on disk yet, as if it were at this path.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, path: &Path) -> Result<Site, FileError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(config_file::parse(text, path, folder, |root| site(root, None))?.value)
}

/// Every key's default, as it applies without a file.
pub fn defaults() -> Record {
    config_file::defaults(Path::new(""), |root| site(root, None)).record
}

/// Every key that a cluster file may have.
pub fn describe() -> Record {
    config_file::describe(|root| site(root, None))
}

/// `file` is the name of the site's file without its suffix, where it stands for a name that the file does not give.
fn site(root: &mut Table<'_>, file: Option<&str>) -> Site {
    let name = root
        .key("name", SITE_NAME)
        .says("The cluster's name, as you type it to confirm a change, and as --cluster takes it.")
        .example("eqiad")
        .optional(
            "in a folder of several sites, the file's name without .toml; else the name of the kubeconfig's cluster",
        )
        .or_else(|| file.map(str::to_owned));
    let aliases = root
        .key("aliases", ListOf(SITE_NAME))
        .says("Other names that --cluster takes for it.")
        .example(["wikikube-eqiad"])
        .or([]);
    let realm = root
        .key("realm", TEXT)
        .says("What the cluster is for; `usher clusters list` shows it.")
        .example("production")
        .optional("none");
    let data_centre = root
        .key("data_centre", TEXT)
        .says("Where it is; `usher clusters list` shows it.")
        .example("eqiad")
        .optional("none");
    let is_named = name.is_some();
    let api = root.table("api").says("How to reach the Kubernetes API.").read(|table| api::api(table, is_named));
    let env = root
        .table("env")
        .says("Variables that `usher clusters env` prints for a shell, beside its own.")
        .read(|table| {
            table
                .others("VARIABLE", "TILLER_NAMESPACE")
                .says(
                    "Its value, in which {cluster}, {user}, {service}, {context}, {realm} and {data_centre} are filled in. Where \
                     there is nothing to fill in, as without a service, the variable is unset.",
                )
                .values(&VARIABLE_TEMPLATE, "{service}", variable)
                .into_iter()
                .collect()
        });
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
    let helmfile = root
        .table("helmfile")
        .says("The services that `usher helmfile roll` restarts; docs/helmfile.md has an example.")
        .read(|table| helmfile::helmfile(table, is_named));
    let versions = root
        .table("versions")
        .says("What `usher versions` holds the versions against, beside Kubernetes' own policy.")
        .read(versions::versions);
    let metrics = root
        .table("metrics")
        .says("Where changes tell Prometheus of themselves; docs/operations.md has the alerts.")
        .read(metrics::metrics);
    let defaults = root.table("defaults").says("What flags override.").read(flag_defaults);
    Site {
        name,
        aliases,
        realm,
        data_centre,
        env,
        api,
        control_plane,
        agents,
        components,
        load_balancer,
        drain,
        helmfile,
        versions,
        metrics,
        defaults,
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
        apiserver_timeout: table
            .key("apiserver_timeout", LIMIT)
            .says("How long an apiserver may take from its unit's start until it is ready.")
            .or(plain.apiserver_timeout),
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
