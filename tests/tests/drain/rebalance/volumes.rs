//! Pods with volumes.

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim},
    storage::v1::CSINode,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use usher_testkit::apiserver::{Fault, fixtures::deployment};

use super::{W1, after_a_reboot, preview, rebalanced, stay};

async fn create<K>(api: Api<K>, object: serde_json::Value)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn volumes_are_followed_to_the_nodes_that_can_use_them() {
    let with_volume = || deployment("shop/web").replicas(8).with_claim("data");
    for (zone, limit, expected) in [("a", 9, 2), ("b", 9, 0), ("a", 1, 1)] {
        let api = after_a_reboot([with_volume()]).await;
        api.edit::<Node>(W1, json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}}));
        let client = api.client();
        let term = json!({"matchExpressions": [
            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
        ]});
        create::<PersistentVolumeClaim>(
            Api::namespaced(client.clone(), "shop"),
            json!({"metadata": {"name": "data"}, "spec": {"volumeName": "pv-1"}}),
        )
        .await;
        let volume = json!({
            "metadata": {"name": "pv-1"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}},
        });
        create::<PersistentVolume>(Api::all(client.clone()), volume).await;
        let node = json!({
            "metadata": {"name": "w1"},
            "spec": {"drivers": [{"name": "csi", "nodeID": "w1", "allocatable": {"count": limit}}]},
        });
        create::<CSINode>(Api::all(client.clone()), node).await;
        let preview = preview(&api).await;
        assert_eq!(preview.moves.len(), expected, "{zone} {limit}: {preview:?}");
        let claims = Api::<PersistentVolumeClaim>::namespaced(client, "shop");
        claims.delete("data", &DeleteParams::default()).await.unwrap();
        let unbound = self::preview(&api).await;
        assert_eq!(
            (unbound.moves.len(), stay(&unbound)),
            (0, vec!["with volumes that could not be looked up: 8".into()])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_look_at_volumes_moves_the_pods_without() {
    let with_volume = deployment("shop/db").replicas(4).with_claim("data");
    let api = after_a_reboot([with_volume, deployment("shop/web").replicas(4)]).await;
    api.inject(Fault::on(http::Method::GET, "persistentvolumeclaims").status(403).always());
    let ran = rebalanced(&api).await;
    assert!(ran.moved.iter().all(|moved| moved.pod.name.starts_with("web-")), "{:?}", ran.moved);
    assert_eq!(ran.moved.len(), 2);
}
