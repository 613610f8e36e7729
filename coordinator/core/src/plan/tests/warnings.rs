//! What an operator is told before saying yes, from facts that forbid nothing.

use jiff::SignedDuration;

use super::*;

const NOW: &str = "2026-03-02T03:00:00Z";

fn warnings(kind: Kind, facts: &Inventory) -> Vec<String> {
    let mut facts = facts.clone();
    facts.now = NOW.parse().ok();
    make(&request(kind), &facts, &site()).unwrap().warnings
}

/// Changes the facts, and gives the only warning of a plan.
fn only_warning(kind: Kind, change: impl FnOnce(&mut Inventory)) -> String {
    let mut facts = facts("cp2", "cp3");
    change(&mut facts);
    let warnings = warnings(kind, &facts);
    let [only] = &warnings[..] else { panic!("{warnings:#?}") };
    only.clone()
}

fn of(kind: Kind, change: impl FnOnce(&mut Inventory)) -> Vec<String> {
    let mut facts = facts("cp2", "cp3");
    change(&mut facts);
    warnings(kind, &facts)
}

fn workers() -> Kind {
    Kind::Reboot(reboot(&["w1", "w2"]))
}

#[test]
fn nothing_is_warned_of_where_all_is_well() {
    assert_eq!(of(workers(), |_| {}), [""; 0]);
    assert_eq!(of(Kind::Restart(restart(&["kube-scheduler"])), |_| {}), [""; 0]);
}

#[test]
fn clocks_that_are_off_by_more_than_half_a_minute_are_told() {
    let seconds = SignedDuration::from_secs;
    assert_eq!(
        only_warning(workers(), |facts| facts.server_ahead = Some(seconds(-120))),
        "the API server's clock is 2m0s behind this machine's, so ages and ends may be told wrongly; see: timedatectl"
    );
    assert_eq!(of(workers(), |facts| facts.server_ahead = Some(seconds(30))), [""; 0]);
    assert_eq!(
        only_warning(workers(), |facts| facts.machine_mut("w1").clock_ahead = Some(seconds(45))),
        "the clock of w1 is 45s ahead of this machine's; see: ssh w1 timedatectl"
    );
    // Both are off by the same: it is this machine's clock.
    let both_off = |facts: &mut Inventory| {
        facts.server_ahead = Some(seconds(90));
        facts.machine_mut("w1").clock_ahead = Some(seconds(90));
    };
    assert_eq!(of(workers(), both_off).len(), 1);
    let two = |facts: &mut Inventory| {
        facts.server_ahead = Some(seconds(1));
        facts.machine_mut("w1").clock_ahead = Some(seconds(-44));
        facts.machine_mut("w2").clock_ahead = Some(seconds(3601));
        facts.machine_mut("cp1").clock_ahead = Some(seconds(9999));
    };
    assert_eq!(
        only_warning(workers(), two),
        "clocks are off on w1 and w2: that of w2 is 1h0m ahead of the API server's; see: ssh w2 timedatectl"
    );
}

#[test]
fn a_certificate_that_ends_within_a_week_or_within_the_operation_is_told() {
    let ends = |facts: &mut Inventory, machine: &str, at: &str| {
        facts.agent_mut(machine).certificate_not_after = at.parse().ok();
    };
    assert_eq!(
        only_warning(workers(), |facts| ends(facts, "w2", "2026-03-09T02:59:59Z")),
        "the certificate of the agent on w2 ends at 2026-03-09 02:59:59Z: renew the file that tls.certificate names in its \
         /etc/usher/agent.toml"
    );
    assert_eq!(of(workers(), |facts| ends(facts, "w2", "2026-03-09T03:00:01Z")), [""; 0]);
    let two = |facts: &mut Inventory| {
        ends(facts, "w1", "2026-03-05T00:00:00Z");
        ends(facts, "w2", "2026-03-04T00:00:00Z");
        ends(facts, "cp1", "2026-03-03T00:00:00Z");
    };
    let told = only_warning(workers(), two);
    assert!(
        told.starts_with("the certificates of the agents on w1 and w2 end soon, the first at 2026-03-04 "),
        "{told}"
    );
    // 500 machines may take 14 days.
    let mut fleet = facts("cp2", "cp3");
    let names: Vec<_> = (1..=500).map(|number| format!("x{number}")).collect();
    for name in &names {
        let mut machine = fleet.machine("w1").unwrap().clone();
        machine.name.clone_from(name);
        fleet.machines.push(machine);
    }
    ends(&mut fleet, "x500", "2026-03-12T00:00:00Z");
    let all = Kind::Reboot(Reboot { machines: names, ..reboot(&[]) });
    assert!(warnings(all, &fleet).iter().any(|told| told.starts_with("the certificate of the agent on x500 ends at ")));
}

#[test]
fn agents_of_another_version_are_told() {
    let old = |facts: &mut Inventory| {
        facts.agent_mut("w1").agent_version = "0.0.1".into();
        facts.agent_mut("cp1").agent_version = "0.0.1".into();
        facts.agent_mut("w2").agent_version = env!("CARGO_PKG_VERSION").into();
    };
    let told = only_warning(workers(), old);
    assert!(
        told.starts_with("the agent on w1 has version 0.0.1, older than usher: upgrade usher-agent there"),
        "{told}"
    );
    assert!(told.ends_with("; see: usher version"), "{told}");
}

#[test]
fn what_agents_warn_of_is_told_once_with_all_that_say_it() {
    let disabled = "usher-agent.service is disabled: it will not start after the next boot";
    let told = only_warning(workers(), |facts| {
        for machine in ["w1", "w2", "cp1"] {
            facts.agent_mut(machine).warnings = vec![disabled.into()];
        }
    });
    assert_eq!(told, format!("the agents on w1 and w2 say: {disabled}; see: usher agent status w1"));
    let told = only_warning(Kind::Restart(restart(&["kube-scheduler"])), |facts| {
        facts.agent_mut("cp2").warnings = vec!["the clock was set".into()];
    });
    assert_eq!(told, "the agent on cp2 says: the clock was set; see: usher agent status cp2");
}

#[test]
fn a_drain_without_a_leader_that_refills_budgets_is_told_of() {
    let drain =
        || Kind::Drain(crate::request::Drain { nodes: names(&["w1"]), concurrency: 1, eviction: Eviction::default() });
    let manager = "kube-controller-manager";
    for (what, leadership, expected) in [
        ("it is led", Leadership::Held(fixtures::holder("cp3")), None),
        ("no such election", Leadership::Absent, None),
        ("free", Leadership::Free, Some("nobody leads kube-controller-manager (its lease is free): ")),
        ("stale", Leadership::Stale(fixtures::holder("cp3")), Some("does not renew its lease): disruption budgets ")),
    ] {
        for kind in [drain(), workers()] {
            let told = of(kind.clone(), |facts| {
                facts.leaders.clear();
                facts.holders.insert(manager.into(), leadership.clone());
            });
            match expected {
                None => assert_eq!(told, [""; 0], "{what}"),
                Some(words) => assert!(told.len() == 1 && told[0].contains(words), "{what}: {kind:?}: {told:?}"),
            }
        }
    }
    let impolite = Kind::Reboot(Reboot { impolite: true, ..reboot(&["w1"]) });
    let told = of(impolite, |facts| {
        facts.leaders.clear();
        facts.holders.insert(manager.into(), Leadership::Free);
    });
    assert_eq!(told, ["w1 is neither cordoned nor drained: its pods die with it"], "it evicts nothing");
}

#[test]
fn a_run_of_configuration_management_that_a_reboot_would_interrupt_is_told() {
    let file = "/var/cache/puppet/state/agent_catalog_run.lock";
    let running = |facts: &mut Inventory| {
        for machine in ["w1", "w2", "cp1"] {
            facts.agent_mut(machine).lock_files = vec![file.to_owned()];
        }
    };
    assert_eq!(
        only_warning(workers(), running),
        format!(
            "{file} says that configuration management or dpkg may be at work on w1 and w2, and a reboot would interrupt it; see: usher \
             agent status w1"
        )
    );
    assert_eq!(of(Kind::Restart(restart(&["kube-scheduler"])), running), [""; 0]);
}

#[test]
fn a_component_without_leader_election_is_restarted_and_rebooted_by_its_unit_alone() {
    let mut site = site();
    for component in site.components.iter_mut().filter(|component| !component.is_apiserver()) {
        component.role = crate::site::Role::Unelected;
    }
    let mut facts = facts("cp2", "cp3");
    facts.leaders.clear();
    let plan = |kind| make(&request(kind), &facts, &site).unwrap().to_text(&site);
    assert_eq!(
        plan(Kind::Restart(restart(&["kube-controller-manager"]))),
        "\
kube-controller-manager
  1  cp1  restart, wait until healthy
  2  cp2  restart, wait until healthy
  3  cp3  restart, wait until healthy
"
    );
    let text = plan(Kind::Reboot(reboot(&["cp3"])));
    assert!(text.starts_with("  1  cp3  take out of the pool, reboot, wait until its units are healthy, "), "{text}");
}
