//! What a request must be allowed to ask of the Kubernetes API: one table, by the calls that usher makes.
//!
//! [`needs`] lists the rights of a request. Each change asks for those without which it would stop half way, before it takes the
//! lock; `usher doctor` asks for all of them, and the ClusterRole that comes with usher is written from [`of_everything`].

mod rules;

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

pub use self::rules::{manifest, rules};
use crate::{
    drain::DrainOptions,
    request::{Eviction, Kind, OnNodes, Reboot, Request},
    site::{Component, LeaseName, Site},
};

/// Where usher's own lock and the components' leases are.
const KUBE_SYSTEM: &str = "kube-system";
/// The Lease that is usher's lock.
const LOCK: &str = "usher";
/// Where kubelets renew their heartbeats.
const NODE_LEASES: &str = "kube-node-lease";

const LEASES: (&str, &str) = ("coordination.k8s.io", "leases");
const BUDGETS: (&str, &str) = ("policy", "poddisruptionbudgets");
const ENDPOINT_SLICES: (&str, &str) = ("discovery.k8s.io", "endpointslices");

/// One verb on one kind of object, or on a path that is no object's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Right {
    /// `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
    /// The API group; empty for the core group, and for a path.
    pub group: &'static str,
    /// The resource with its subresource, as `pods/eviction`, or a path, as `/readyz`.
    pub resource: &'static str,
    /// The namespace; None for all of them, and for what has none.
    pub namespace: Option<String>,
    /// The one object that is meant; None for any.
    pub name: Option<String>,
}

impl Right {
    fn on(verb: &'static str, (group, resource): (&'static str, &'static str)) -> Self {
        Self { verb, group, resource, namespace: None, name: None }
    }

    fn within(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Whether it is about a path of the API server and not about objects.
    pub fn is_path(&self) -> bool {
        self.resource.starts_with('/')
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

/// A right, and what a request does without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Need {
    pub right: Right,
    /// What is worse without it; None if the request fails without it.
    pub without: Option<&'static str>,
}

/// The needs of a request, each right once.
#[derive(Debug, Default)]
struct Needs(Vec<Need>);

impl Needs {
    /// A right without which the request fails.
    fn must(&mut self, right: Right) {
        match self.0.iter_mut().find(|need| need.right == right) {
            Some(need) => need.without = None,
            None => self.0.push(Need { right, without: None }),
        }
    }

    fn must_on(&mut self, verbs: &[&'static str], resource: (&'static str, &'static str)) {
        verbs.iter().for_each(|&verb| self.must(Right::on(verb, resource)));
    }

    /// Rights without which the request still does what it should, only not as well.
    fn should_on(&mut self, verbs: &[&'static str], resource: (&'static str, &'static str), without: &'static str) {
        for &verb in verbs {
            let right = Right::on(verb, resource);
            if !self.0.iter().any(|need| need.right == right) {
                self.0.push(Need { right, without: Some(without) });
            }
        }
    }

    fn lock(&mut self) {
        // A Role cannot narrow `create` by a name: the object does not exist yet.
        self.must(Right::on("create", LEASES).within(KUBE_SYSTEM));
        for verb in ["get", "update", "patch"] {
            self.must(Right::on(verb, LEASES).within(KUBE_SYSTEM).named(LOCK));
        }
    }

    /// What tells who leads and which apiservers there are and are ready, and what hands leases over.
    fn control_plane(&mut self, site: &Site, handover: bool) {
        let right = Right::on("list", ENDPOINT_SLICES).within("default");
        let without = "a machine of the control plane that has lost its label goes unnoticed";
        self.0.push(Need { right, without: Some(without) });
        for component in &site.components {
            if component.is_apiserver() {
                self.must(Right::on("get", ("", "/readyz")));
            }
            let Some(LeaseName { namespace, name }) = component.lease() else { continue };
            self.must(Right::on("get", LEASES).within(&namespace).named(&name));
            self.watches_lease(&namespace, &name);
            if handover && component.keeps_lease() {
                let right = Right::on("update", LEASES).within(&namespace).named(&name);
                let without = "its lease is not freed by usher, so that the next leader waits for its expiry";
                self.0.push(Need { right, without: Some(without) });
            }
        }
    }

    fn watches_lease(&mut self, namespace: &str, name: &str) {
        let right = Right::on("watch", LEASES).within(namespace).named(name);
        if !self.0.iter().any(|need| need.right == right) {
            let without = "its lease is read twice a second instead of watched";
            self.0.push(Need { right, without: Some(without) });
        }
    }

    /// What tells whether disruption budgets are refilled.
    fn refilling(&mut self, site: &Site) {
        if let Some(LeaseName { namespace, name }) = site.refills_budgets().and_then(Component::lease) {
            let right = Right::on("get", LEASES).within(&namespace).named(&name);
            if !self.0.iter().any(|need| need.right == right) {
                let without = "nobody says beforehand that no controller refills disruption budgets";
                self.0.push(Need { right, without: Some(without) });
            }
            // While a budget holds pods back.
            self.watches_lease(&namespace, &name);
        }
    }

    fn drain(&mut self, options: &DrainOptions) {
        self.must_on(&["list", "watch"], ("", "pods"));
        if !options.disable_eviction {
            self.must_on(&["create"], ("", "pods/eviction"));
        }
        let deletes = options.escalation.kill_after.is_some() || options.escalation.delete_after.is_some();
        if options.disable_eviction || deletes {
            self.must_on(&["delete"], ("", "pods"));
        }
        self.must_on(&["get"], ("apps", "daemonsets"));
        self.should_on(&["list"], BUDGETS, "nobody says beforehand which pods a budget holds back");
        self.should_on(
            &["watch"],
            BUDGETS,
            "a pod that a budget blocks is tried every 5 seconds, not when the budget changes",
        );
        let without = "nobody says beforehand which pods have to stay with their volumes";
        self.should_on(&["list"], ("", "persistentvolumeclaims"), without);
        self.should_on(&["list"], ("", "persistentvolumes"), without);
        if options.policy.wait_for_volumes {
            let without = "a drain cannot see whether the volumes of pods that went are detached";
            self.should_on(&["list", "watch"], ("storage.k8s.io", "volumeattachments"), without);
            let without = "a drain does not wait for volumes whose claims went with their pods";
            self.should_on(&["get"], ("", "persistentvolumes"), without);
            self.should_on(&["get"], ("", "persistentvolumeclaims"), without);
        }
        if !options.policy.surge.is_empty() {
            self.must_on(&["get"], ("apps", "replicasets"));
            self.must_on(&["get", "patch"], ("apps", "deployments"));
        }
    }

    fn rebalance(&mut self) {
        self.must_on(&["list"], ("", "nodes"));
        self.must_on(&["list", "watch"], ("", "pods"));
        self.must_on(&["create"], ("", "pods/eviction"));
        self.should_on(&["list", "watch"], BUDGETS, "pods that a budget holds back are tried in vain");
        let without = "pods with volumes stay where they are";
        self.should_on(&["list"], ("", "persistentvolumeclaims"), without);
        self.should_on(&["list"], ("", "persistentvolumes"), without);
        self.should_on(&["list"], ("storage.k8s.io", "csinodes"), without);
    }

    fn reboot(&mut self, reboot: &Reboot, drain: Option<&DrainOptions>) {
        self.must_on(&["get"], ("", "nodes"));
        // Static pods tell that a machine belongs to the control plane; the new boot is proved by its Node's pods.
        self.must_on(&["list"], ("", "pods"));
        self.must(Right::on("get", LEASES).within(NODE_LEASES));
        if let Some(options) = drain {
            self.must_on(&["patch"], ("", "nodes"));
            self.drain(options);
        }
        if reboot.rebalance {
            self.rebalance();
        }
    }
}

/// The rights that a request needs at a site. `is_control_plane` tells of a machine whether it is one.
pub fn needs(request: &Request, site: &Site, is_control_plane: impl Fn(&str) -> bool) -> Vec<Need> {
    let mut needs = Needs::default();
    // How every command begins.
    needs.must_on(&["list"], ("", "nodes"));
    if request.needs_lock() {
        needs.lock();
    }
    let drain = request.drain_options(site);
    let scope = request.scope(is_control_plane);
    if scope.control_plane {
        needs.must_on(&["get"], ("", "nodes"));
        needs.control_plane(site, request.handover(site));
    }
    if scope.evicts {
        needs.refilling(site);
    }
    match &request.kind {
        Kind::Restart(_) => {}
        Kind::Reboot(reboot) => needs.reboot(reboot, drain.as_ref()),
        Kind::Cordon(_) | Kind::Uncordon(_) => needs.must_on(&["get", "patch"], ("", "nodes")),
        Kind::Drain(_) => {
            needs.must_on(&["get", "patch"], ("", "nodes"));
            needs.drain(&drain.unwrap_or_default());
        }
        Kind::Rebalance(_) => {
            needs.must_on(&["get"], ("", "nodes"));
            needs.rebalance();
        }
    }
    needs.0
}

/// The right to change workloads of a kind (`deployments`, `statefulsets`, `daemonsets`) in a namespace, as a rollout does.
pub fn to_roll(kind: &'static str, namespace: &str) -> Right {
    Right::on("patch", ("apps", kind)).within(namespace)
}

/// The rights to delete jobs in a namespace, and to start others if that is wanted.
pub fn to_replace_jobs(namespace: &str, starts: bool) -> Vec<Right> {
    let jobs = |verb| Right::on(verb, ("batch", "jobs")).within(namespace);
    std::iter::once(jobs("delete")).chain(starts.then(|| jobs("create"))).collect()
}

/// The changes as somebody types them without further flags, each with what it needs: `restart`, `reboot`, and so on. A reboot is
/// that of a control-plane machine, and moves pods back.
pub fn of_each(site: &Site) -> Vec<(&'static str, Vec<Need>)> {
    let components: Vec<_> = site.components.iter().map(|component| component.name.clone()).collect();
    let nodes = vec![String::new()];
    let eviction = Eviction::default;
    let kinds = [
        Kind::Restart(crate::request::Restart {
            components,
            wanted: false,
            machines: Vec::new(),
            gap: None,
            handover: None,
            assumed_leaders: Vec::new(),
        }),
        Kind::Reboot(Reboot {
            machines: nodes.clone(),
            impolite: false,
            keep_cordoned: false,
            handover: None,
            override_blockers: Vec::new(),
            rebalance: true,
            eviction: eviction(),
        }),
        Kind::Drain(crate::request::Drain { nodes: nodes.clone(), concurrency: 1, eviction: eviction() }),
        Kind::Rebalance(crate::request::Rebalance { nodes: nodes.clone(), ..Default::default() }),
        Kind::Cordon(OnNodes { nodes: nodes.clone() }),
        Kind::Uncordon(OnNodes { nodes }),
    ];
    let of_kind = |kind| {
        let request = Request { kind, reason: String::new(), task_id: None, connection: Default::default() };
        (request.verb(), needs(&request, site, |_| true))
    };
    kinds.into_iter().map(of_kind).collect()
}

/// Every right that the commands on machines need at a site, those that only look included.
pub fn of_everything(site: &Site) -> Vec<Right> {
    let mut rights: BTreeSet<_> =
        of_each(site).into_iter().flat_map(|(_, needs)| needs).map(|need| need.right).collect();
    rights.insert(Right::on("get", ("", "/version")));
    rights.insert(Right::on("get", ("", "/readyz")));
    rights.into_iter().collect()
}

#[cfg(test)]
mod tests;
