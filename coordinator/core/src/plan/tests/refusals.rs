//! Gates as an operator meets them: what closes them, and what they say would open them.

mod moments;
mod reboot;
mod restart;

use super::*;

/// What is different from a site where all is well.
type Change = Box<dyn Fn(&mut Inventory)>;

/// The state of a unit's file on a machine.
fn unit_file(facts: &mut Inventory, machine: &str, unit: &str, state: &str) {
    let units = &mut facts.agent_mut(machine).units;
    units.iter_mut().find(|found| found.name == unit).unwrap().file_state = Some(state.into());
}

#[test]
fn a_node_that_takes_no_pods_is_not_rebalanced() {
    let rebalance =
        || Kind::Rebalance(Rebalance { nodes: names(&["w1", "w2"]), concurrency: 1, ..Rebalance::default() });
    let mut cordoned = facts("cp1", "cp2");
    cordoned.node_mut("w2").unschedulable = true;
    assert_eq!(
        refusal(rebalance(), &cordoned),
        "w2 is cordoned and takes no pods\nif the cordon is no longer wanted: usher uncordon w2 -r REASON"
    );
    let mut away = facts("cp1", "cp2");
    away.node_mut("w1").ready = "Unknown".into();
    assert!(refusal(rebalance(), &away).starts_with("w1 is not Ready and takes no pods: "));
}

#[test]
fn the_plan_says_that_the_api_goes_away_with_its_only_apiserver() {
    let mut facts = facts("cp1", "cp1");
    facts.machines.retain(|machine| !["cp2", "cp3"].contains(&machine.name.as_str()));
    facts.apiservers.retain(|machine, _| machine == "cp1");
    for kind in [Kind::Restart(restart(&["kube-apiserver"])), Kind::Reboot(reboot(&["cp1"]))] {
        let plan = make(&request(kind), &facts, &site()).unwrap();
        let told =
            plan.warnings.iter().filter(|warning| warning.starts_with("the API is away while the apiserver on cp1"));
        assert_eq!(told.count(), 1, "{:?}", plan.warnings);
    }
    let plan = make(&request(Kind::Restart(restart(&["kube-scheduler"]))), &facts, &site()).unwrap();
    assert!(!plan.warnings.iter().any(|warning| warning.contains("the API is away")), "{:?}", plan.warnings);
}

#[test]
fn a_control_plane_node_that_the_cluster_file_does_not_list_is_not_passed_over_in_silence() {
    let mut facts = facts("cp1", "cp2");
    facts.unlisted = names(&["cp4"]);
    let expected = "cp4 belongs to the control plane and is not listed in the cluster file";
    let text = refusal(Kind::Restart(restart(&["kube-scheduler"])), &facts);
    assert!(text.starts_with(expected) && text.contains(r#"machines = ["cp1", "cp2", "cp3", "cp4"]"#), "{text}");
    assert!(text.contains("--nodes"), "{text}");
    assert!(refusal(Kind::Reboot(reboot(&["cp3"])), &facts).starts_with(expected));
    let named = Restart { machines: names(&["cp1"]), ..restart(&["kube-scheduler"]) };
    make(&request(Kind::Restart(named)), &facts, &site()).unwrap();
    make(&request(Kind::Reboot(reboot(&["w1"]))), &facts, &site()).unwrap();

    // Where labels are the list, it has lost its own.
    let by_label = Site { control_plane: Vec::new(), ..site() };
    let refused = make(&request(Kind::Restart(restart(&["kube-scheduler"]))), &facts, &by_label).unwrap_err();
    assert_eq!(refused.message, "cp4 belongs to the control plane and is not labelled so");
    assert_eq!(refused.hints[0], "kubectl label node cp4 node-role.kubernetes.io/control-plane=");
    facts.unlisted.clear();
    facts.machine_mut("w1").control_plane = true;
    let refused = make(&request(Kind::Reboot(reboot(&["w1"]))), &facts, &by_label).unwrap_err();
    assert_eq!(refused.hints[0], "label its Node: kubectl label node w1 node-role.kubernetes.io/control-plane=");
}

#[test]
fn the_plan_says_that_nobody_asks_the_apiservers_where_the_site_has_none() {
    let mut bare = site();
    bare.components.retain(|component| !component.is_apiserver());
    let mut facts = facts("cp1", "cp1");
    facts.apiservers.clear();
    let told = |kind: Kind, site: &Site| {
        let plan = make(&request(kind), &facts, site).unwrap();
        plan.warnings.iter().filter(|warning| warning.contains("no kube-apiserver among its components")).count()
    };
    for kind in [Kind::Restart(restart(&["kube-scheduler"])), Kind::Reboot(reboot(&["cp2"]))] {
        assert_eq!((told(kind.clone(), &bare), told(kind, &site())), (1, 0));
    }
    assert_eq!(told(Kind::Reboot(reboot(&["w1"])), &bare), 0);
}
