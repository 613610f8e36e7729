//! The agent's unit and user, as the real systemd of each release of Debian has made them of what the package brings.

use std::collections::BTreeMap;

use usher_testkit::bed::Bed;

use crate::{
    observe::{RELEASES, assert_home_is_not_its_own},
    turn::on_the_bed,
};

const AGENT: &str = "usher-agent.service";

/// Properties, and what `systemctl show` tells of them: the values of packaging/systemd/usher-agent.service, with sizes in bytes. The order
/// of words does not matter.
const IN_FORCE: &[(&str, &str)] = &[
    ("NeedDaemonReload", "no"),
    // It is there for ever.
    ("Type", "notify"),
    ("NotifyAccess", "main"),
    ("Restart", "always"),
    ("RestartUSec", "2s"),
    ("StartLimitIntervalUSec", "0"),
    ("WatchdogUSec", "1min"),
    ("TimeoutStopUSec", "15s"),
    // Nothing of the control plane goes short because of it, and it does not go first. In a container, as the bed's machines are, systemd
    // cannot have the kernel hold to the latter, and passes over it.
    ("OOMScoreAdjust", "-500"),
    ("MemoryHigh", "50331648"),
    ("MemoryMax", "67108864"),
    ("TasksMax", "64"),
    ("LimitNOFILE", "512"),
    ("LimitCORE", "0"),
    ("Environment", "MALLOC_ARENA_MAX=1"),
    // No audit record is dropped.
    ("LogRateLimitIntervalUSec", "0"),
    // It is nobody.
    ("User", "usher-agent"),
    ("Group", "usher-agent"),
    ("SupplementaryGroups", "systemd-journal"),
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("PrivateUsers", "yes"),
    ("UMask", "0077"),
    ("StateDirectory", "usher-agent"),
    ("StateDirectoryMode", "0700"),
    ("RuntimeDirectory", "usher-agent"),
    // It sees and changes little.
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateIPC", "yes"),
    ("PrivateMounts", "yes"),
    ("NoExecPaths", "/"),
    ("ExecPaths", "/usr/sbin -/usr/bin/journalctl -/usr/bin/kill /usr/lib -/usr/lib64 -/lib -/lib64"),
    ("InaccessiblePaths", "-/etc/usher/client-key.pem"),
    ("DevicePolicy", "closed"),
    ("ProtectProc", "invisible"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("KeyringMode", "private"),
    ("RemoveIPC", "yes"),
];

#[test]
fn what_the_agents_unit_says_is_in_force_on_debian_12_and_on_debian_13() {
    on_the_bed(async |bed| {
        for machine in RELEASES {
            let shown = show(bed, machine).await?;
            let in_force = |property: &str| shown.get(property).map_or("", String::as_str);
            let wrong: Vec<_> = IN_FORCE
                .iter()
                .filter(|(property, value)| words(in_force(property)) != words(value))
                .map(|(property, value)| format!("{property}={}, not {value:?}", in_force(property)))
                .collect();
            assert!(wrong.is_empty(), "on {machine}:\n{}", wrong.join("\n"));
        }
        Ok(())
    });
}

async fn show(bed: &Bed, machine: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let properties: Vec<_> = IN_FORCE.iter().map(|(property, _)| *property).collect();
    let property = format!("--property={}", properties.join(","));
    let shown = bed.exec(machine, &["systemctl", "show", &property, AGENT]).await?.success()?;
    let lines = shown.stdout.lines().filter_map(|line| line.split_once('='));
    Ok(lines.map(|(property, value)| (property.to_owned(), value.to_owned())).collect())
}

fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<_> = text.split_whitespace().collect();
    words.sort_unstable();
    words
}

#[test]
fn the_agents_process_has_no_capability_and_cannot_gain_any() {
    on_the_bed(async |bed| {
        for machine in RELEASES {
            let script = format!("cat /proc/$(systemctl show --property=MainPID --value {AGENT})/status");
            let process = bed.shell(machine, &script).await?;
            let none = "0000000000000000";
            for (what, value) in [
                ("CapPrm:", none),
                ("CapEff:", none),
                ("CapBnd:", none),
                ("CapAmb:", none),
                ("NoNewPrivs:", "1"),
                ("Seccomp:", "2"),
            ] {
                let found = process.stdout.lines().find_map(|line| line.strip_prefix(what)).map(str::trim);
                assert_eq!(found, Some(value), "{what} on {machine}: {process}");
            }
        }
        Ok(())
    });
}

#[test]
fn the_agents_user_has_no_home_of_its_own_on_debian_12_and_on_debian_13() {
    on_the_bed(async |bed| {
        for machine in RELEASES {
            assert_home_is_not_its_own(bed, machine).await?;
        }
        Ok(())
    });
}
