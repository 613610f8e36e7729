//! Where the volumes of pods can be used: the node affinity of bound PersistentVolumes, and how many volumes a node can attach.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::{
    core::v1::{NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim},
    storage::v1::CSINode,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use crate::drain::{
    report::DrainError,
    select::{PAGE, fold, if_allowed},
    verdict::NodeCapacity,
};

/// The namespace and the name of a claim.
pub(super) type Claim = (String, String);

/// What is known of the volumes behind some claims.
#[derive(Debug, Clone, Default)]
pub(super) struct Volumes {
    /// The terms of which a node must meet one, by claim; None where any node will do.
    terms: HashMap<Claim, Option<Vec<NodeSelectorTerm>>>,
    /// How many volumes a node attaches at most, by its name.
    limits: HashMap<String, u64>,
}

impl Volumes {
    /// Looks the claims up; None if the API forbids that.
    pub(super) async fn of(client: &Client, claims: &BTreeSet<Claim>) -> Result<Option<Self>, DrainError> {
        if claims.is_empty() {
            return Ok(Some(Self::default()));
        }
        let page = ListParams::default().limit(PAGE);
        let add = |bound: &mut HashMap<String, Claim>, claim: PersistentVolumeClaim| {
            let name = (claim.namespace().unwrap_or_default(), claim.name_any());
            let volume = claim.spec.and_then(|spec| spec.volume_name).filter(|_| claims.contains(&name));
            bound.extend(volume.map(|volume| (volume, name)));
        };
        let bound = fold(Api::all(client.clone()), page.clone(), HashMap::new(), add).await;
        let Some(bound) = if_allowed("persistent volume claims", bound)? else { return Ok(None) };
        let add = |terms: &mut HashMap<Claim, Option<Vec<NodeSelectorTerm>>>, volume: PersistentVolume| {
            let Some(claim) = bound.get(&volume.name_any()) else { return };
            let affinity = volume.spec.and_then(|spec| spec.node_affinity?.required);
            terms.insert(claim.clone(), affinity.map(|required| required.node_selector_terms));
        };
        let terms = fold(Api::all(client.clone()), page.clone(), HashMap::new(), add).await;
        let Some(terms) = if_allowed("persistent volumes", terms)? else { return Ok(None) };
        let add = |limits: &mut HashMap<String, u64>, node: CSINode| {
            // Which driver a volume needs is left open: the smallest limit is right for every one.
            let counts = node.spec.drivers.iter().filter_map(|driver| driver.allocatable.as_ref()?.count);
            limits.extend(counts.min().and_then(|count| Some((node.name_any(), u64::try_from(count).ok()?))));
        };
        let limits = fold(Api::all(client.clone()), page, HashMap::new(), add).await;
        Ok(if_allowed("CSINodes", limits)?.map(|limits| Self { terms, limits }))
    }

    /// Whether the node can use the volume behind a claim; None if there is no such volume.
    pub(super) fn can_be_used(&self, claim: &Claim, node: &NodeCapacity) -> Option<bool> {
        let terms = self.terms.get(claim)?;
        Some(terms.as_ref().is_none_or(|terms| node.meets_any(terms)))
    }

    /// How many volumes the node attaches at most, if it says.
    pub(super) fn limit(&self, node: &str) -> Option<u64> {
        self.limits.get(node).copied()
    }
}
