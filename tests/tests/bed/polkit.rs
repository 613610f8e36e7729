//! What an agent that somebody has taken over could still not do: everything that polkit does not allow its user.

use crate::{observe::boot_id, turn::on_the_bed};

const SYSTEMD: [&str; 3] =
    ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
const LOGIN: [&str; 3] = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"];

/// Its own unit, which it may restart, stop and start, and nothing else.
const OWN: &str = "kube-scheduler.service";

#[test]
fn the_agents_user_is_refused_whatever_the_contract_does_not_offer() {
    on_the_bed(async |bed| {
        let uid = bed.exec("cp1", &["id", "-u", "usher-agent"]).await?.success()?;
        let uid = uid.stdout.trim().to_owned();
        let before = boot_id(bed, "cp1").await?;
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
        let mut allowed = Vec::new();
        for (object, call) in calls {
            let user = ["setpriv", "--reuid=usher-agent", "--regid=usher-agent", "--clear-groups", "--no-new-privs"];
            let call: Vec<&str> = call.iter().copied().filter(|word| !word.is_empty()).collect();
            let output = bed.exec("cp1", &[&user[..], &["busctl", "call"], &object[..], &call].concat()).await?;
            if output.code == Some(0) {
                allowed.push(call.join(" "));
            }
        }
        assert!(allowed.is_empty(), "polkit allows the agent's user:\n{}", allowed.join("\n"));
        assert_eq!(before, boot_id(bed, "cp1").await?);
        let lingers =
            bed.exec("cp1", &["loginctl", "show-user", "usher-agent", "--property=Linger", "--value"]).await?;
        assert!(!lingers.says("yes"), "{lingers}");
        Ok(())
    });
}
