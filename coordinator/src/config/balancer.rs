//! `[load_balancer]`: what stands before the apiservers, and the site's commands for it.

use std::{collections::BTreeMap, time::Duration};

use crate::site::{LoadBalancer, PoolCommands};

use super::{
    reader::Table,
    values::{command, duration, flag, limit, machine, url},
};

/// One call of a site's command-line tool: it changes a balancer's state over the network or in etcd, and retries at most
/// a few times.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// New connections stop at once when a balancer drains a server; those accepted just before need a moment for their answer.
const SETTLE: Duration = Duration::from_secs(2);

/// The balancer, if the file describes one. `control_plane` are the machines that the file names, if it names any.
pub(super) fn load_balancer(mut table: Table<'_>, control_plane: &[String]) -> Option<LoadBalancer> {
    let url = table.get("url", |value| url(value, &[]));
    let commands = commands(&mut table);
    let common = Given::by(&table);
    check(&table, common);
    let command_timeout = table.get("command_timeout", limit).unwrap_or(COMMAND_TIMEOUT);
    let settle = table.get("settle", duration).unwrap_or(SETTLE);
    let shutdown_delay_covers_checks = table.get("shutdown_delay_covers_checks", flag).unwrap_or(false);
    let machines = machines(table.table("machines"), common, control_plane);
    let present = table.is_present();
    table.finish();
    present.then_some(LoadBalancer { url, commands, machines, command_timeout, settle, shutdown_delay_covers_checks })
}

/// Which of the two commands that need each other are given, right or wrong.
#[derive(Clone, Copy)]
struct Given {
    depool: bool,
    pool: bool,
}

impl Given {
    fn by(table: &Table<'_>) -> Self {
        Self { depool: table.has("depool"), pool: table.has("pool") }
    }
}

fn machines(table: Table<'_>, common: Given, control_plane: &[String]) -> BTreeMap<String, PoolCommands> {
    let mut machines = BTreeMap::new();
    for (name, mut section) in table.other_tables() {
        if let Err(wrong) = machine(&name) {
            section.misnamed(wrong);
        } else if !control_plane.is_empty() && !control_plane.contains(&name) {
            section.misnamed(format!("no such machine in control_plane.machines ({})", control_plane.join(", ")));
        }
        let own = Given::by(&section);
        if own.depool || own.pool {
            check(&section, Given { depool: own.depool || common.depool, pool: own.pool || common.pool });
        }
        machines.insert(name, commands(&mut section));
        section.finish();
    }
    machines
}

fn commands(table: &mut Table<'_>) -> PoolCommands {
    PoolCommands {
        depool: table.get("depool", command),
        pool: table.get("pool", command),
        check: table.get("check", command),
    }
}

fn check(table: &Table<'_>, given: Given) {
    match given {
        Given { depool: true, pool: false } => {
            table.mistake("depool", "there is no \"pool\" command: a machine taken out could not be put back");
        }
        Given { depool: false, pool: true } => {
            table.mistake("pool", "there is no \"depool\" command: nothing would be put back");
        }
        _ => {}
    }
}
