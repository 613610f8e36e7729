//! Lists: pages and selectors.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde_json::json;

use super::{
    Server,
    objects::config_map,
    pods::{running, with_phase},
    seen::{Seen, make},
};

fn names<K: kube::Resource>(items: &[K]) -> String {
    items.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>().join(",")
}

pub(crate) async fn pages(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    for name in ["a", "b", "c", "d", "e"] {
        maps.create(&PostParams::default(), &config_map(name, "1")).await.unwrap();
    }
    let mut params = ListParams::default().limit(2);
    let mut versions = Vec::new();
    loop {
        let page = maps.list(&params).await.unwrap();
        seen.note("page", names(&page.items));
        seen.note("left", format!("{:?}", page.metadata.remaining_item_count));
        versions.push(page.metadata.resource_version.clone());
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else { break };
        if versions.len() == 1 {
            maps.delete("c", &kube::api::DeleteParams::default()).await.unwrap();
        }
        params = ListParams::default().limit(2).continue_token(&token);
    }
    versions.dedup();
    seen.note("versions of the pages", versions.len());
    seen.note("anew", names(&maps.list(&ListParams::default()).await.unwrap().items));
    let selected = maps.list(&ListParams::default().limit(1).labels("!x")).await.unwrap();
    seen.note("left of a selected list", format!("{:?}", selected.metadata.remaining_item_count));
}

pub(crate) async fn selectors(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    running(&pods, "a", "w1", json!({"app": "web", "tier": "front"})).await;
    running(&pods, "b", "w2", json!({"app": "web"})).await;
    with_phase(&pods, "c", "w1", json!({"app": "api"}), "Failed", false).await;
    for fields in [
        "spec.nodeName=w1",
        "spec.nodeName!=w1",
        "spec.nodeName==w1,status.phase=Running",
        "metadata.name=b",
        "metadata.namespace=selectors",
        "spec.nodeName=",
        "spec.restartPolicy=Always",
        "spec.hostNetwork=false",
    ] {
        let found = pods.list(&ListParams::default().fields(fields)).await.unwrap();
        seen.note(fields, names(&found.items));
    }
    for labels in ["app=web", "app!=web", "app in (web,api),tier", "!tier", "app notin (web)", "app==web,tier=front"] {
        let found = pods.list(&ListParams::default().labels(labels)).await.unwrap();
        seen.note(labels, names(&found.items));
    }
    let unknown = pods.list(&ListParams::default().fields("spec.priority=1")).await;
    seen.call("a field that cannot be selected by", unknown);
    let everywhere: Api<Pod> = Api::all(seen.client.clone());
    let found = everywhere.list(&ListParams::default().fields("metadata.namespace=selectors,spec.nodeName=w1")).await;
    seen.note("everywhere", names(&found.unwrap().items));
}

pub(crate) async fn expired_page(server: &impl Server, seen: &mut Seen) {
    // The real server has no cache of these: what etcd has forgotten is forgotten.
    let secrets: Api<Secret> = seen.api();
    let mut last = None;
    for name in ["a", "b", "c"] {
        let secret = make(json!({"metadata": {"name": name}}));
        last = secrets.create(&PostParams::default(), &secret).await.unwrap().resource_version();
    }
    let page = secrets.list(&ListParams::default().limit(1)).await.unwrap();
    let later = make(json!({"metadata": {"name": "d"}}));
    let after = secrets.create(&PostParams::default(), &later).await.unwrap().resource_version();
    seen.note("newer", last != after);
    server.compact(&after.unwrap()).await;
    let token = page.metadata.continue_.unwrap();
    seen.call("the next page", secrets.list(&ListParams::default().limit(1).continue_token(&token)).await);
    seen.note("anew", names(&secrets.list(&ListParams::default()).await.unwrap().items));
}

pub(crate) async fn metadata_only(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    running(&pods, "a", "w1", json!({"app": "web"})).await;
    let list = pods.list_metadata(&ListParams::default().fields("spec.nodeName=w1")).await.unwrap();
    seen.note("names", names(&list.items));
    seen.note("uids", list.items.iter().all(|item| item.uid().is_some()));
    let one = pods.get_metadata("a").await.unwrap();
    let types = one.types.unwrap();
    seen.note("type", format!("{} {}", types.api_version, types.kind));
}
