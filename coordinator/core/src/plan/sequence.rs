//! In which order control-plane machines are touched: leaders go last.

use crate::{
    facts::Inventory,
    facts::leader::Leadership,
    site::{Component, Role, Site},
};

/// How late a machine goes; machines of the same rank keep the site's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Its own apiserver is not ready, and the restart may mend it: that cannot make things worse, touching another first could.
    Broken,
    /// Leads nothing.
    Follower,
    /// Leads something whose lease is handed on within a second or two when it ends.
    Leader,
    /// Its member leads etcd, and the machine is rebooted. The leadership goes to a member of one's choice, which is done if others
    /// have gone before.
    LeaderOfEtcd,
    /// Leads something that keeps its lease when it ends, unless it is handed over: the longest time without a leader. Nobody chooses
    /// who takes the lease, so that all others must be done.
    LeaderThatKeeps,
    /// Is about to lead the component that is restarted: its holder was asked to step down in favour of this machine.
    Preferred,
    /// Leads the component that is restarted.
    LeaderOfThis,
}

/// The control-plane machines in the order in which `component` is to be restarted on them; for a reboot, which restarts
/// everything, `component` is None.
pub(super) fn leader_last<'a>(
    machines: impl IntoIterator<Item = &'a str>,
    component: Option<&Component>,
    facts: &Inventory,
    site: &Site,
) -> Vec<&'a str> {
    let mut ordered: Vec<&str> = machines.into_iter().collect();
    ordered.sort_by_key(|machine| rank(machine, component, facts, site));
    ordered
}

fn rank(machine: &str, component: Option<&Component>, facts: &Inventory, site: &Site) -> Rank {
    let leads_etcd = facts.etcd.leader().is_some_and(|(leader, _)| leader == machine);
    if component.is_some_and(Component::is_etcd) && leads_etcd {
        return Rank::LeaderOfThis;
    }
    if let Some(component) = component
        && let Some(leadership) = facts.leaders.get(&component.name)
    {
        if leadership.holder().and_then(|holder| holder.machine.as_deref()) == Some(machine) {
            return Rank::LeaderOfThis;
        }
        if leadership.holder().and_then(|holder| holder.preferred.as_deref()) == Some(machine) {
            return Rank::Preferred;
        }
    }
    let mends = |component: &Component| component.is_apiserver() && !facts.apiserver_misses_its_etcd(machine);
    if component.is_none_or(mends) && facts.apiservers.get(machine).is_some_and(|readiness| !readiness.is_ready()) {
        return Rank::Broken;
    }
    let led = site
        .components
        .iter()
        .filter(|other| facts.leaders.get(&other.name).and_then(Leadership::machine) == Some(machine));
    let ranks = led.map(|component| match component.role {
        Role::Elected { keeps_lease: true, .. } => Rank::LeaderThatKeeps,
        _ => Rank::Leader,
    });
    // The restart of another component leaves etcd's leader alone.
    let of_etcd = (component.is_none() && leads_etcd).then_some(Rank::LeaderOfEtcd);
    ranks.chain(of_etcd).max().unwrap_or(Rank::Follower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::apiserver::Readiness,
        plan::fixtures::{facts, facts_with_etcd, holder, site, site_with_etcd},
    };

    fn order(component: Option<&str>, scheduler: &str, manager: &str, change: impl FnOnce(&mut Inventory)) -> String {
        let site = site();
        let mut facts = facts(scheduler, manager);
        change(&mut facts);
        let component = component.map(|name| site.component(name).unwrap());
        leader_last(["cp1", "cp2", "cp3"], component, &facts, &site).join(" ")
    }

    #[test]
    fn the_leader_of_a_component_is_restarted_last_and_leaders_of_others_before_it() {
        for (component, scheduler, manager, expected) in [
            (Some("kube-scheduler"), "cp2", "cp3", "cp1 cp3 cp2"),
            (Some("kube-controller-manager"), "cp2", "cp3", "cp1 cp2 cp3"),
            (Some("kube-scheduler"), "cp1", "cp1", "cp2 cp3 cp1"),
            (Some("kube-apiserver"), "cp1", "cp2", "cp3 cp1 cp2"),
            (Some("kube-apiserver"), "cp2", "cp1", "cp3 cp2 cp1"),
            (Some("kube-apiserver"), "cp3", "cp3", "cp1 cp2 cp3"),
            (None, "cp1", "cp2", "cp3 cp1 cp2"),
        ] {
            assert_eq!(order(component, scheduler, manager, |_| {}), expected, "{component:?} {scheduler} {manager}");
        }
    }

    #[test]
    fn the_leader_of_etcd_is_rebooted_late_and_restarted_last() {
        for (component, etcd_leader, scheduler, manager, expected) in [
            (None, "cp1", "cp2", "cp2", "cp3 cp1 cp2"),
            (None, "cp1", "cp2", "cp3", "cp2 cp1 cp3"),
            (None, "cp1", "cp1", "cp1", "cp2 cp3 cp1"),
            (Some("etcd"), "cp1", "cp2", "cp3", "cp2 cp3 cp1"),
            (Some("kube-scheduler"), "cp1", "cp2", "cp3", "cp1 cp3 cp2"),
        ] {
            let site = site_with_etcd();
            let facts = facts_with_etcd(scheduler, manager, etcd_leader);
            let component = component.map(|name| site.component(name).unwrap());
            let order = leader_last(["cp1", "cp2", "cp3"], component, &facts, &site).join(" ");
            assert_eq!(order, expected, "{component:?} {etcd_leader} {scheduler} {manager}");
        }
    }

    #[test]
    fn an_apiserver_that_is_not_ready_is_mended_first() {
        let broken = |facts: &mut Inventory| {
            facts.apiservers.insert("cp3".into(), Readiness::NotReady { message: "500".into() });
        };
        assert_eq!(order(Some("kube-apiserver"), "cp1", "cp2", broken), "cp3 cp1 cp2");
        // A restart mends nothing for want of etcd, unless its member is there and only the connection to it is not.
        let without_etcd = |facts: &mut Inventory| {
            facts.apiservers.insert("cp2".into(), Readiness::NotReady { message: "500 etcd failed".into() });
        };
        assert_eq!(order(Some("kube-apiserver"), "cp1", "cp1", without_etcd), "cp2 cp3 cp1");
        assert_eq!(order(Some("kube-apiserver"), "cp2", "cp1", without_etcd), "cp3 cp2 cp1");
        let beside_its_member = |facts: &mut Inventory| {
            without_etcd(facts);
            facts.etcd = facts_with_etcd("cp2", "cp1", "cp3").etcd;
        };
        assert_eq!(order(Some("kube-apiserver"), "cp2", "cp1", beside_its_member), "cp2 cp3 cp1");
    }

    #[test]
    fn a_preferred_holder_goes_just_before_the_leader() {
        let preferred = |facts: &mut Inventory| {
            let mut asked = holder("cp2");
            asked.preferred = Some("cp1".into());
            facts.leaders.insert("kube-scheduler".into(), Leadership::Held(asked));
        };
        assert_eq!(order(Some("kube-scheduler"), "cp2", "cp3", preferred), "cp3 cp1 cp2");
    }
}
