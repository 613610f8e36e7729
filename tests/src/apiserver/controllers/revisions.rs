//! ControllerRevisions: the templates that a StatefulSet or a DaemonSet has had.

use serde_json::{Value, json};

use super::replicas::short_hash;
use crate::apiserver::{
    managed::Writer,
    resource::CONTROLLER_REVISIONS,
    store::{Key, Store, controller, owner_reference},
    verbs,
};

/// The label that tells of which revision a pod is.
pub(super) const HASH: &str = "controller-revision-hash";

/// The hash of the set's present template, after its revision was stored or made the newest again.
pub(super) fn record(store: &mut Store, key: &Key, set: &Value) -> String {
    let template = &set["spec"]["template"];
    let hash = short_hash(&template.to_string());
    let wanted = Key::new(CONTROLLER_REVISIONS, &key.namespace, &format!("{}-{hash}", key.name));
    let of_set = |revision: &Value| controller(revision).is_some_and(|owner| owner["uid"] == set["metadata"]["uid"]);
    let others = store.list(CONTROLLER_REVISIONS, Some(&key.namespace)).filter(|(key, _)| **key != wanted);
    let numbers = others.filter(|(_, it)| of_set(it)).filter_map(|(_, it)| it["revision"].as_i64());
    let newest = numbers.max().unwrap_or_default();
    match store.get(&wanted) {
        Some(known) if known["revision"].as_i64() > Some(newest) => {}
        Some(_) => drop(store.edit(&wanted, |it| it["revision"] = (newest + 1).into())),
        None => {
            let mut data = json!({"spec": {"template": template}});
            data["spec"]["template"]["$patch"] = "replace".into();
            let mut labels = template["metadata"]["labels"].clone();
            labels[HASH] = hash.as_str().into();
            let revision = json!({
                "metadata": {"name": wanted.name, "labels": labels, "ownerReferences": [owner_reference(set)]},
                "data": data, "revision": newest + 1,
            });
            // A namespace that is going forbids it; the real controllers go on trying as well.
            let _ = verbs::create(store, CONTROLLER_REVISIONS, &key.namespace, revision, Writer::CONTROLLERS);
        }
    }
    hash
}

/// The template of a revision, with the label for its pods.
pub(super) fn template(store: &Store, key: &Key, hash: &str) -> Option<Value> {
    let revision = Key::new(CONTROLLER_REVISIONS, &key.namespace, &format!("{}-{hash}", key.name));
    let mut template = store.get(&revision)?["data"]["spec"]["template"].clone();
    template.as_object_mut()?.remove("$patch");
    template["metadata"]["labels"][HASH] = hash.into();
    Some(template)
}

/// Whether a pod is of the revision. One without the label was put there by a test, and is left alone.
pub(super) fn is_of(pod: &Value, hash: &str) -> bool {
    pod["metadata"]["labels"][HASH].as_str().is_none_or(|label| label == hash)
}
