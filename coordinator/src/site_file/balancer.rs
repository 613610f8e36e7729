//! `[load_balancer]`: what stands before the apiservers, and the site's commands for it.

use std::{collections::BTreeMap, time::Duration};

use usher_common::config_file::{DURATION, FLAG, LIMIT, Table};

use super::values::{BALANCER_URL, COMMAND, machine};
use crate::site::{LoadBalancer, PoolCommands};

/// One call of a site's command-line tool: it changes a balancer's state over the network or in etcd, and retries at most
/// a few times.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A balancer's slowest usual checks (5 s apart, three of them) take a quarter of this.
const POOL_TIMEOUT: Duration = Duration::from_secs(60);

/// New connections stop at once when a balancer drains a server; those accepted just before need a moment for their answer.
const SETTLE: Duration = Duration::from_secs(2);

/// The balancer. `control_plane` are the machines that the file names, if it names any.
pub(super) fn load_balancer(table: &mut Table<'_>, control_plane: &[String]) -> LoadBalancer {
    let common = Given::by(table);
    check(table, common);
    LoadBalancer {
        url: table
            .key("url", BALANCER_URL)
            .says(
                "Where clients reach the apiservers. New connections to it show which of them are in rotation, provided \
                 that each has a certificate of its own.",
            )
            .example("https://k8s.example.org:6443")
            .optional("usher does not check the rotation"),
        commands: commands(table),
        command_timeout: table
            .key("command_timeout", LIMIT)
            .says("How long one command may take.")
            .or(COMMAND_TIMEOUT),
        pool_timeout: table
            .key("pool_timeout", LIMIT)
            .says("How long the balancer may take until a change of the pool is in effect.")
            .or(POOL_TIMEOUT),
        settle: table
            .key("settle", DURATION)
            .says("Wait this long after depool, for connections that the balancer handed out before.")
            .or(SETTLE),
        shutdown_delay_covers_checks: table
            .key("shutdown_delay_covers_checks", FLAG)
            .says(
                "You vouch that --shutdown-delay-duration of the apiservers outlasts the balancer's checks, so that no \
                 depool is needed.",
            )
            .or(false),
        machines: table
            .table("machines")
            .says("Commands of single machines, each of which wins over the one for all.")
            .read(|table| machines(table, common, control_plane)),
    }
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

fn machines(table: &mut Table<'_>, common: Given, control_plane: &[String]) -> BTreeMap<String, PoolCommands> {
    table
        .others("MACHINE", "cp1")
        .says("The commands of one machine.")
        .tables(|name, section| {
            if let Err(wrong) = machine(name) {
                section.wrong(wrong);
            } else if !control_plane.is_empty() && !control_plane.iter().any(|known| known == name) {
                section.wrong(format!("no such machine in control_plane.machines ({})", control_plane.join(", ")));
            }
            let own = Given::by(section);
            if own.depool || own.pool {
                check(section, Given { depool: own.depool || common.depool, pool: own.pool || common.pool });
            }
            (name.to_owned(), commands(section))
        })
        .into_iter()
        .collect()
}

fn commands(table: &mut Table<'_>) -> PoolCommands {
    let command = |verb: &'static str| ["/usr/local/sbin/lb", verb, "{node}"];
    PoolCommands {
        depool: table
            .key("depool", COMMAND)
            .says("Takes a machine out of the pool.")
            .example(command("drain"))
            .optional("none; needs pool if there is one"),
        pool: table
            .key("pool", COMMAND)
            .says("Puts the machine back.")
            .example(command("ready"))
            .optional("none; needs depool if there is one"),
        check: table
            .key("check", COMMAND)
            .says(
                "Ends with exit code 0 if the machine is in the pool and serving, with 1 if it is out. Any other end means that it \
                 could not tell, which is never taken for out.",
            )
            .example(command("in-pool"))
            .optional("none"),
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
