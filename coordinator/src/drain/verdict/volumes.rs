//! Which volumes are behind the claims of pods, and which nodes can use them: the node affinity of bound PersistentVolumes.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::fit::NodeCapacity;
use crate::drain::{
    report::DrainError,
    select::{Claim, PAGE, fold, if_allowed},
};

/// What is known of the volumes behind claims.
#[derive(Debug, Clone, Default)]
pub(crate) struct Volumes(HashMap<Claim, Volume>);

#[derive(Debug, Clone)]
struct Volume {
    name: String,
    /// The terms of which a node must meet one; None where any node will do.
    terms: Option<Vec<NodeSelectorTerm>>,
}

impl Volumes {
    /// The volumes behind all claims that `wanted` selects, by two lists; None if the API forbids one.
    ///
    /// # Errors
    ///
    /// If the API does not answer.
    pub(crate) async fn read(client: &Client, wanted: impl Fn(&Claim) -> bool) -> Result<Option<Self>, DrainError> {
        let page = ListParams::default().limit(PAGE);
        let add = |bound: &mut HashMap<String, Claim>, claim: PersistentVolumeClaim| {
            let name = (claim.namespace().unwrap_or_default(), claim.name_any());
            let volume = claim.spec.and_then(|spec| spec.volume_name).filter(|_| wanted(&name));
            bound.extend(volume.map(|volume| (volume, name)));
        };
        let bound = fold(Api::all(client.clone()), page.clone(), HashMap::new(), add).await;
        let Some(bound) = if_allowed("persistent volume claims", bound)? else { return Ok(None) };
        let add = |volumes: &mut Self, volume: PersistentVolume| {
            if let Some(claim) = bound.get(&volume.name_any()) {
                volumes.bind(claim.clone(), &volume);
            }
        };
        let volumes = fold(Api::all(client.clone()), page, Self::default(), add).await;
        if_allowed("persistent volumes", volumes)
    }

    pub(super) fn bind(&mut self, claim: Claim, volume: &PersistentVolume) {
        let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
        let terms = affinity.map(|required| required.node_selector_terms.clone());
        self.0.insert(claim, Volume { name: volume.name_any(), terms });
    }

    /// Whether the node can use the volume behind a claim; None if no such volume is known.
    pub(crate) fn can_be_used(&self, claim: &Claim, node: &NodeCapacity) -> Option<bool> {
        let volume = self.0.get(claim)?;
        Some(volume.terms.as_ref().is_none_or(|terms| node.meets_any(terms)))
    }

    /// The names of the PersistentVolumes behind these claims, as far as they are known.
    pub(super) fn behind<'c>(&self, claims: impl IntoIterator<Item = &'c Claim>) -> BTreeSet<&str> {
        claims.into_iter().filter_map(|claim| Some(self.0.get(claim)?.name.as_str())).collect()
    }
}
