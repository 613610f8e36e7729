//! What people do to the cluster beside usher.

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::apiserver::ApiServer;

/// `kubectl uncordon NODE && kubectl cordon NODE`: the cordon is theirs from now on.
pub(super) fn cordon(api: &ApiServer, node: &'static str) {
    let nodes: Api<Node> = Api::all(api.client());
    tokio::spawn(async move {
        for (manager, unschedulable) in [("kubectl-uncordon", None), ("kubectl-cordon", Some(true))] {
            let patch = Patch::Merge(json!({"spec": {"unschedulable": unschedulable}}));
            let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
            // The Node is there, and their API is not usher's.
            let _ = nodes.patch(node, &params, &patch).await;
        }
    });
}
