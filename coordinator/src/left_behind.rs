//! What machines may be left with, in words and with the commands that mend it.

use crate::{exec, plan::Left, site::LoadBalancer, text::command, world::World};

/// After a second ^C: nothing was taken back, a line each.
pub(crate) fn at_once(left: &Left, world: &World) -> Vec<String> {
    let machine = &left.machine;
    let mut lines = Vec::new();
    if left.cordoned {
        lines.push(format!("{machine} may be cordoned; when it is well: usher uncordon {machine} -r REASON"));
    }
    if left.rebooting {
        lines.push(format!("{machine} may be rebooting; see: usher agent status {machine}"));
    }
    if let Some(unit) = &left.restarting {
        lines.push(format!(
            "{unit} on {machine} may be restarting, which its agent ends; see: usher agent status {machine}"
        ));
    }
    lines.extend(after_a_reboot(left, world));
    lines
}

/// After a reboot that is in doubt, whose problem names the cordon and the machine itself.
pub(crate) fn after_a_reboot(left: &Left, world: &World) -> Vec<String> {
    let machine = &left.machine;
    let mut lines = Vec::new();
    if left.depooled {
        let back = match world.site.load_balancer.as_ref().and_then(|balancer| pool_command(balancer, machine, world)) {
            Some(argv) => format!("when its apiserver is ready: {argv}"),
            None => "put it back by hand: the cluster file names no pool command".to_owned(),
        };
        lines.push(format!("{machine} may be out of the load balancer's pool; {back}"));
    }
    lines.extend(
        left.stopped.iter().map(|unit| {
            format!("{unit} on {machine} may be stopped; to start it: ssh {machine} systemctl start {unit}")
        }),
    );
    lines
}

/// The site's command that puts a machine back into the pool, as it would be typed.
pub(crate) fn pool_command(balancer: &LoadBalancer, machine: &str, world: &World) -> Option<String> {
    Some(typed(&balancer.commands_for(machine).pool?, machine, world))
}

/// A command of the balancer's for a machine, as it would be typed.
pub(crate) fn typed(argv: &[String], machine: &str, world: &World) -> String {
    let address = world.agents.host(machine).unwrap_or_default();
    command(&exec::filled(argv, &[("node", machine), ("address", &address)]))
}
