//! What is attached to nodes, and which of it no pod uses.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use crate::drain::{
    report::{DrainError, UnusedVolume},
    select::{PAGE, fold, if_allowed},
};

/// The volumes that are attached, by the name of their node. Volumes without a PersistentVolume are left out: whose they are, nobody says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attachments(HashMap<String, Vec<UnusedVolume>>);

impl Attachments {
    /// Those of all nodes; None if the API forbids that.
    ///
    /// # Errors
    ///
    /// If the API does not answer.
    pub(super) async fn read(client: &Client) -> Result<Option<Self>, DrainError> {
        let page = ListParams::default().limit(PAGE);
        if_allowed("volume attachments", fold(Api::all(client.clone()), page, Self::default(), Self::add).await)
    }

    fn add(&mut self, attachment: VolumeAttachment) {
        let name = attachment.name_any();
        // One that is being taken away is in good hands.
        if attachment.metadata.deletion_timestamp.is_some() {
            return;
        }
        if let Some(volume) = attachment.spec.source.persistent_volume_name {
            let since = attachment.metadata.creation_timestamp.map(|created| created.0);
            let attacher = attachment.spec.attacher;
            let found = UnusedVolume { volume, attachment: name, attacher, since };
            self.0.entry(attachment.spec.node_name).or_default().push(found);
        }
    }

    /// What is attached to a node whose pods use only these volumes, by the volumes' names.
    pub(super) fn unused(&self, node: &str, used: &BTreeSet<&str>) -> Vec<UnusedVolume> {
        let attached = self.0.get(node).into_iter().flatten();
        let mut unused: Vec<_> = attached.filter(|it| !used.contains(it.volume.as_str())).cloned().collect();
        unused.sort();
        unused
    }
}
