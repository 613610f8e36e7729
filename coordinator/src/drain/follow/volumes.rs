//! Waits until the volumes of pods that have gone are detached from their node.
//!
//! A pod is gone from the API before its volumes are gone from the machine: the attach-detach controller deletes a
//! VolumeAttachment once the kubelet has reported that the volume is no longer in use. Until then the pod's successor cannot
//! start elsewhere, and a machine that reboots keeps the volume for minutes.
//!
//! Only volumes of pods that went are awaited. A node may have others for ever: drivers lose sight of attachments of pods long gone. Whose
//! a volume is, its PersistentVolume says, which outlives the claim of an ephemeral volume until it is detached.

use std::collections::{BTreeMap, BTreeSet};

use futures::{Stream, StreamExt as _, future};
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::VolumeAttachment,
};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};

use crate::{
    cluster::{
        retry::{UNLIMITED, error_message, is_transient, retry},
        watch::{Steady, api_error, watch_seconds},
    },
    drain::select::Claim,
};

/// What pods that went had mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MovedVolumes {
    pub(super) claims: BTreeSet<Claim>,
    /// Whether some had volumes that are attached without a PersistentVolume.
    pub(super) inline: bool,
}

impl MovedVolumes {
    fn is_empty(&self) -> bool {
        self.claims.is_empty() && !self.inline
    }
}

/// Waits until none of the volumes is attached to the node; `tell` hears which ones are, at first and after each change. Gives what could
/// not be seen, if so.
pub(crate) async fn detached(
    client: &Client,
    node: &str,
    moved: MovedVolumes,
    mut tell: impl FnMut(Vec<String>),
) -> Option<String> {
    if moved.is_empty() {
        return None;
    }
    let unseen = |error: &kube::Error| {
        // Without the right to look there is no way to wait; the pods have gone in any case.
        Some(format!("whether volumes are still attached could not be seen: {}", error_message(error)))
    };
    let mut owners = Owners { client, moved, known: BTreeMap::new(), unseen: None };
    let mut attached = std::pin::pin!(attached(client, node));
    while let Some(attached) = attached.next().await {
        let awaited = match attached {
            Ok(attached) => owners.awaited(attached).await,
            Err(error) => Err(error),
        };
        match awaited {
            Ok(awaited) if awaited.is_empty() => break,
            Ok(awaited) => tell(awaited),
            Err(error) => return unseen(&error),
        }
    }
    owners.unseen
}

/// Whose the attached volumes are.
struct Owners<'c> {
    client: &'c Client,
    moved: MovedVolumes,
    /// Whether each is one of the moved pods, by the name of its PersistentVolume.
    known: BTreeMap<String, bool>,
    unseen: Option<String>,
}

impl Owners<'_> {
    /// The volumes among these that a moved pod had mounted.
    async fn awaited(&mut self, attached: Vec<Attached>) -> Result<Vec<String>, kube::Error> {
        let mut awaited = Vec::new();
        for Attached { attachment, volume } in attached {
            match volume {
                None if self.moved.inline => awaited.push(attachment),
                None => {}
                Some(volume) if self.is_of_moved(&volume).await? => awaited.push(volume),
                Some(_) => {}
            }
        }
        Ok(awaited)
    }

    async fn is_of_moved(&mut self, volume: &str) -> Result<bool, kube::Error> {
        // Once the claims had to tell, they have told all.
        if self.known.contains_key(volume) || self.unseen.is_some() {
            return Ok(self.known.get(volume).copied().unwrap_or_default());
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        match retry(UNLIMITED, || volumes.get_opt(volume)).await {
            Ok(found) => {
                let claim = found.and_then(|found| found.spec?.claim_ref);
                let claim = claim.and_then(|claim| Some((claim.namespace?, claim.name?)));
                let is_of_moved = claim.is_some_and(|claim| self.moved.claims.contains(&claim));
                self.known.insert(volume.to_owned(), is_of_moved);
            }
            // The claims that are still there say it as well.
            Err(error) => {
                self.unseen = Some(format!(
                    "volumes whose claims went with their pods were not awaited, as it could not be seen whose they were: {}",
                    error_message(&error)
                ));
                self.known =
                    bound_to(self.client, &self.moved.claims).await?.into_iter().map(|it| (it, true)).collect();
                self.known.entry(volume.to_owned()).or_insert(false);
            }
        }
        Ok(self.known.get(volume).copied().unwrap_or_default())
    }
}

/// The volumes that are bound to those of the claims that still exist.
async fn bound_to(client: &Client, claims: &BTreeSet<Claim>) -> Result<BTreeSet<String>, kube::Error> {
    let mut volumes = BTreeSet::new();
    for (namespace, name) in claims {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let claim = retry(UNLIMITED, || api.get_opt(name)).await?;
        volumes.extend(claim.and_then(|claim| claim.spec?.volume_name));
    }
    Ok(volumes)
}

/// A volume that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attached {
    /// The VolumeAttachment's name.
    attachment: String,
    /// None for a volume without a PersistentVolume.
    volume: Option<String>,
}

/// The volumes attached to the node: at first and after each change. An error is permanent and ends the stream.
fn attached(client: &Client, node: &str) -> impl Stream<Item = Result<Vec<Attached>, kube::Error>> + use<> {
    let attachments: Api<VolumeAttachment> = Api::all(client.clone());
    let config = watcher::Config::default().timeout(watch_seconds());
    let mut present = Present { node: node.to_owned(), volumes: BTreeMap::new(), complete: false };
    watcher(attachments, config).backoff(Steady).filter_map(move |event| {
        future::ready(match event {
            Ok(event) => present.after(event).map(Ok),
            Err(error) => api_error(error).filter(|error| !is_transient(error)).map(Err),
        })
    })
}

/// The attachments of a node.
#[derive(Debug)]
struct Present {
    node: String,
    /// By the attachment's name.
    volumes: BTreeMap<String, Attached>,
    /// Whether the list is complete.
    complete: bool,
}

impl Present {
    /// The attached volumes after an event; None while the list is incomplete.
    fn after(&mut self, event: watcher::Event<VolumeAttachment>) -> Option<Vec<Attached>> {
        match event {
            watcher::Event::Init => {
                self.volumes.clear();
                self.complete = false;
            }
            watcher::Event::InitApply(attachment) | watcher::Event::Apply(attachment) => self.note(attachment),
            watcher::Event::InitDone => self.complete = true,
            watcher::Event::Delete(attachment) => {
                self.volumes.remove(&attachment.name_any());
            }
        }
        self.complete.then(|| self.volumes.values().cloned().collect())
    }

    fn note(&mut self, attachment: VolumeAttachment) {
        if attachment.spec.node_name == self.node {
            let name = attachment.name_any();
            let volume = attachment.spec.source.persistent_volume_name;
            self.volumes.insert(name.clone(), Attached { attachment: name, volume });
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
    fn only_volumes_of_this_node_count() {
        let mut present = Present { node: "w1".into(), volumes: BTreeMap::new(), complete: false };
        for (name, node, volume) in [("a", "w1", "pv-a"), ("b", "w2", "pv-b")] {
            assert_eq!(present.after(watcher::Event::InitApply(attachment(name, node, volume))), None);
        }
        let attached = Attached { attachment: "a".into(), volume: Some("pv-a".into()) };
        assert_eq!(present.after(watcher::Event::InitDone), Some(vec![attached]));
        assert_eq!(present.after(watcher::Event::Delete(attachment("a", "w1", "pv-a"))), Some(vec![]));
    }
}
