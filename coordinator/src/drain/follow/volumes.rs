//! Waits until the volumes of pods that have gone are detached from their node.
//!
//! A pod is gone from the API before its volumes are gone from the machine: the attach-detach controller deletes a
//! VolumeAttachment once the kubelet has reported that the volume is no longer in use. Until then the pod's successor cannot
//! start elsewhere, and a machine that reboots keeps the volume for minutes.

use std::collections::{BTreeMap, BTreeSet};

use futures::{Stream, StreamExt as _, future};
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::VolumeAttachment};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};

use crate::cluster::{
    retry::{UNLIMITED, is_transient, retry},
    watch::{Steady, api_error, watch_seconds},
};

/// The volumes that are bound to these claims.
pub(crate) async fn bound_to(
    client: &Client,
    claims: &BTreeSet<(String, String)>,
) -> Result<BTreeSet<String>, kube::Error> {
    let mut volumes = BTreeSet::new();
    for (namespace, name) in claims {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let claim = retry(UNLIMITED, || api.get_opt(name)).await?;
        volumes.extend(claim.and_then(|claim| claim.spec?.volume_name));
    }
    Ok(volumes)
}

/// The volumes attached to the node, except those in `spared`: at first and after each change. An error is permanent and ends
/// the stream.
pub(crate) fn attached<'a>(
    client: &Client,
    node: &'a str,
    spared: &'a BTreeSet<String>,
) -> impl Stream<Item = Result<Vec<String>, kube::Error>> + use<'a> {
    let attachments: Api<VolumeAttachment> = Api::all(client.clone());
    let config = watcher::Config::default().timeout(watch_seconds());
    let mut present = Attached { node, spared, volumes: BTreeMap::new(), complete: false };
    watcher(attachments, config).backoff(Steady).filter_map(move |event| {
        future::ready(match event {
            Ok(event) => present.after(event).map(Ok),
            Err(error) => api_error(error).filter(|error| !is_transient(error)).map(Err),
        })
    })
}

/// The attachments that the drain waits for.
#[derive(Debug)]
struct Attached<'a> {
    node: &'a str,
    spared: &'a BTreeSet<String>,
    /// By the attachment's name.
    volumes: BTreeMap<String, String>,
    /// Whether the list is complete.
    complete: bool,
}

impl Attached<'_> {
    /// The attached volumes after an event; None while the list is incomplete.
    fn after(&mut self, event: watcher::Event<VolumeAttachment>) -> Option<Vec<String>> {
        match event {
            watcher::Event::Init => {
                self.volumes.clear();
                self.complete = false;
            }
            watcher::Event::InitApply(attachment) | watcher::Event::Apply(attachment) => self.note(&attachment),
            watcher::Event::InitDone => self.complete = true,
            watcher::Event::Delete(attachment) => {
                self.volumes.remove(&attachment.name_any());
            }
        }
        self.complete.then(|| self.volumes.values().cloned().collect())
    }

    fn note(&mut self, attachment: &VolumeAttachment) {
        let name = attachment.name_any();
        // An inline volume has no PersistentVolume.
        let volume = attachment.spec.source.persistent_volume_name.clone().unwrap_or_else(|| name.clone());
        if attachment.spec.node_name == self.node && !self.spared.contains(&volume) {
            self.volumes.insert(name, volume);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attachment(name: &str, node: &str, volume: &str) -> VolumeAttachment {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"attacher": "csi", "nodeName": node, "source": {"persistentVolumeName": volume}},
        }))
        .unwrap()
    }

    #[test]
    fn only_volumes_of_this_node_whose_pods_have_gone_count() {
        let spared = BTreeSet::from(["pv-kept".to_owned()]);
        let mut attached = Attached { node: "w1", spared: &spared, volumes: BTreeMap::new(), complete: false };
        for (name, node, volume) in [("a", "w1", "pv-a"), ("b", "w2", "pv-b"), ("c", "w1", "pv-kept")] {
            assert_eq!(attached.after(watcher::Event::InitApply(attachment(name, node, volume))), None);
        }
        assert_eq!(attached.after(watcher::Event::InitDone), Some(vec!["pv-a".to_owned()]));
        assert_eq!(attached.after(watcher::Event::Delete(attachment("a", "w1", "pv-a"))), Some(vec![]));
    }
}
