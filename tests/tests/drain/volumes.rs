//! Volumes of pods that have gone.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{DrainError, DrainOptions, DrainPolicy};
use usher_testkit::apiserver::ApiServer;

use crate::cluster::{MINUTE, cluster, count, drain_with, left, owned, seconds};

fn waiting() -> DrainOptions {
    let policy = DrainPolicy { wait_for_volumes: true, ..DrainPolicy::default() };
    DrainOptions { policy, timeout: MINUTE, ..DrainOptions::default() }
}

fn attachments(api: &ApiServer) -> Api<VolumeAttachment> {
    Api::all(api.client())
}

async fn attach(api: &ApiServer, name: &str, node: &str, volume: &str) {
    let attachment = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"attacher": "csi", "nodeName": node, "source": {"persistentVolumeName": volume}},
    }));
    attachments(api).create(&PostParams::default(), &attachment.unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_when_the_volumes_of_its_pods_are_detached() {
    let api = cluster();
    api.add(owned("web/a").with_claim("data"));
    attach(&api, "csi-1", "w1", "pv-1").await;
    attach(&api, "csi-2", "w2", "pv-2").await;
    let begun = Instant::now();
    let options = waiting();
    let (drained, ()) = tokio::join!(drain_with(&api, &options), async {
        sleep(seconds(20)).await;
        attachments(&api).delete("csi-1", &DeleteParams::default()).await.unwrap();
    });
    let (result, told) = drained;
    result.unwrap();
    assert!(told.iter().any(|told| told.volumes == ["pv-1"]), "{told:?}");
    let took = begun.elapsed();
    assert!(took >= seconds(20) && took < seconds(22), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_stays_is_named_at_the_deadline() {
    let api = cluster();
    api.add(owned("web/a").with_claim("data"));
    attach(&api, "csi-1", "w1", "pv-1").await;
    let error = drain_with(&api, &waiting()).await.0.unwrap_err();
    assert!(matches!(error, DrainError::TimedOut { .. }), "{error:?}");
    assert_eq!(left(&error), ["volume pv-1 is still attached"]);
}

#[tokio::test(start_paused = true)]
async fn pods_without_claims_cost_no_look_at_volumes() {
    let api = cluster();
    api.add(owned("web/a"));
    attach(&api, "csi-1", "w1", "pv-1").await;
    api.forget_requests();
    drain_with(&api, &waiting()).await.0.unwrap();
    assert_eq!(count(&api, "volumeattachments"), 0);
}
