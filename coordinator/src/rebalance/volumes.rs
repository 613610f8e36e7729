//! How many volumes nodes can attach.

use std::collections::HashMap;

use k8s_openapi::api::storage::v1::CSINode;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use crate::drain::{
    report::DrainError,
    select::{PAGE, fold, if_allowed},
};

/// How many volumes each node attaches at most, by its name; nodes without a limit are missing.
pub(super) type AttachLimits = HashMap<String, u64>;

/// The limits of all nodes; None if the API forbids that.
pub(super) async fn attach_limits(client: &Client) -> Result<Option<AttachLimits>, DrainError> {
    let add = |limits: &mut AttachLimits, node: CSINode| {
        // Which driver a volume needs is left open: the smallest limit is right for every one.
        let counts = node.spec.drivers.iter().filter_map(|driver| driver.allocatable.as_ref()?.count);
        limits.extend(counts.min().and_then(|count| Some((node.name_any(), u64::try_from(count).ok()?))));
    };
    let limits = fold(Api::all(client.clone()), ListParams::default().limit(PAGE), HashMap::new(), add).await;
    if_allowed("CSINodes", limits)
}
