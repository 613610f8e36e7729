//! What an agent that somebody has taken over could still not do: everything that polkit does not allow its user.

use anyhow::ensure;
use usher_testkit::bed::{Bed, Output};

use crate::{
    observe::{LOGIN, boot_id, invocation},
    stand_in,
    turn::on_the_bed,
};

const SYSTEMD: [&str; 3] =
    ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];

/// Its own unit, which it may restart, stop and start, and nothing else.
const OWN: &str = stand_in::UNIT;

/// What everybody may ask. If even that fails, other calls that fail prove nothing.
const HARMLESS: [&str; 1] = ["GetDefaultTarget"];

#[test]
fn the_agents_user_is_refused_whatever_the_contract_does_not_offer() {
    on_the_bed(async |bed| everything_else_is_refused(bed, "cp1").await);
}

#[test]
fn the_agents_user_is_refused_whatever_the_contract_does_not_offer_on_debian_13_too() {
    on_the_bed(async |bed| {
        stand_in::with(bed, async || everything_else_is_refused(bed, stand_in::MACHINE).await).await
    });
}

async fn everything_else_is_refused(bed: &Bed, machine: &str) -> anyhow::Result<()> {
    let uid = bed.exec(machine, &["id", "-u", "usher-agent"]).await?.success()?;
    let uid = uid.stdout.trim().to_owned();
    let (before, own) = (boot_id(bed, machine).await?, invocation(bed, machine, OWN).await?);
    ensure!(!own.is_empty(), "{OWN} does not run on {machine}");
    let calls: &[(&[&str; 3], &[&str])] = &[
        // Processes outside the unit's sandbox, that start with the machine.
        (&LOGIN, &["SetUserLinger", "ubb", &uid, "true", "false"]),
        (&SYSTEMD, &["StartTransientUnit", "ssa(sv)a(sa(sv))", "way-out.service", "replace", "0", "0"]),
        (&SYSTEMD, &["SetUnitProperties", "sba(sv)", OWN, "true", "0"]),
        (&SYSTEMD, &["EnableUnitFiles", "asbb", "1", "debug-shell.service", "false", "true"]),
        (&SYSTEMD, &["MaskUnitFiles", "asbb", "1", OWN, "false", "true"]),
        (&SYSTEMD, &["SetEnvironment", "as", "1", "LD_PRELOAD=/tmp/way-out.so"]),
        (&SYSTEMD, &["Reload", ""]),
        (&SYSTEMD, &["Reexecute", ""]),
        // Other verbs, other units.
        (&SYSTEMD, &["KillUnit", "ssi", OWN, "all", "9"]),
        (&SYSTEMD, &["ResetFailedUnit", "s", OWN]),
        (&SYSTEMD, &["RestartUnit", "ss", "systemd-networkd.service", "replace"]),
        (&SYSTEMD, &["StopUnit", "ss", "dbus.service", "replace"]),
        (&SYSTEMD, &["StartUnit", "ss", "rescue.target", "isolate"]),
        // Ends of the machine that are no reboot, and what holds up its ends.
        (&LOGIN, &["PowerOff", "b", "false"]),
        (&LOGIN, &["Halt", "b", "false"]),
        (&LOGIN, &["Suspend", "b", "false"]),
        (&LOGIN, &["Inhibit", "ssss", "shutdown", "way-out", "for ever", "delay"]),
        (&LOGIN, &["Inhibit", "ssss", "shutdown", "way-out", "for ever", "block"]),
        (&LOGIN, &["SetRebootParameter", "s", "way-out"]),
    ];
    call_as_its_user(bed, machine, &SYSTEMD, &HARMLESS).await?.success()?;
    let mut allowed = Vec::new();
    for (object, call) in calls {
        let call: Vec<&str> = call.iter().copied().filter(|word| !word.is_empty()).collect();
        if call_as_its_user(bed, machine, object, &call).await?.code == Some(0) {
            allowed.push(call.join(" "));
        }
    }
    assert!(allowed.is_empty(), "polkit allows the agent's user on {machine}:\n{}", allowed.join("\n"));
    assert_eq!(before, boot_id(bed, machine).await?);
    assert_eq!(own, invocation(bed, machine, OWN).await?);
    let lingers = bed.exec(machine, &["loginctl", "show-user", "usher-agent", "--property=Linger", "--value"]).await?;
    assert!(!lingers.says("yes"), "{lingers}");
    Ok(())
}

async fn call_as_its_user(bed: &Bed, machine: &str, object: &[&str; 3], call: &[&str]) -> anyhow::Result<Output> {
    let user = ["setpriv", "--reuid=usher-agent", "--regid=usher-agent", "--clear-groups", "--no-new-privs"];
    bed.exec(machine, &[&user[..], &["busctl", "call"], &object[..], call].concat()).await
}

#[test]
fn on_debian_13_the_agent_may_restart_its_unit_and_its_user_in_another_unit_may_not() {
    on_the_bed(async |bed| {
        stand_in::with(bed, async || {
            let before = invocation(bed, stand_in::MACHINE, OWN).await?;
            let restart = ["agent", "restart", stand_in::MACHINE, OWN, "--reason", "bed test", "--yes"];
            bed.usher(&restart).await?.success()?;
            let after = invocation(bed, stand_in::MACHINE, OWN).await?;
            assert_ne!(before, after);

            call_in_another_unit(bed, &HARMLESS).await?.success()?;
            let refused = call_in_another_unit(bed, &["RestartUnit", "ss", OWN, "replace"]).await?;
            assert_ne!(refused.code, Some(0), "{refused}");
            assert_eq!(after, invocation(bed, stand_in::MACHINE, OWN).await?);
            Ok(())
        })
        .await
    });
}

/// Asks systemd as the agent's user, from a unit that has no more privileges than the agent's, and is not the agent's.
async fn call_in_another_unit(bed: &Bed, call: &[&str]) -> anyhow::Result<Output> {
    let unit = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect"];
    let user = ["--property=User=usher-agent", "--property=NoNewPrivileges=yes", "busctl", "call"];
    bed.exec(stand_in::MACHINE, &[&unit[..], &user, &SYSTEMD, call].concat()).await
}
