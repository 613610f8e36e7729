//! Watches.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::json;

use super::{
    Server,
    objects::config_map,
    pods::running,
    seen::{Seen, make, refusal, without_identities},
};

/// Writes down the events until the watch ends. Bookmarks count only where they are asked for: when they come is the
/// server's business.
async fn follow<K>(seen: &mut Seen, api: &Api<K>, params: &WatchParams, version: &str)
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let stream = match api.watch(params, version).await {
        Ok(stream) => stream,
        Err(error) => return seen.note("watch", refusal(&error)),
    };
    let mut stream = stream.boxed();
    while let Some(event) = stream.next().await {
        match event {
            Ok(WatchEvent::Added(object)) => seen.note("added", object.name_any()),
            Ok(WatchEvent::Modified(object)) => seen.note("modified", object.name_any()),
            Ok(WatchEvent::Deleted(object)) => seen.note("deleted", object.name_any()),
            Ok(WatchEvent::Bookmark(bookmark)) if !bookmark.metadata.annotations.is_empty() => {
                seen.note("bookmark", format!("{:?}", bookmark.metadata.annotations));
            }
            Ok(WatchEvent::Bookmark(_)) => {}
            Ok(WatchEvent::Error(status)) => {
                seen.note(
                    "error",
                    format!("{} {} {}", status.code, status.reason, without_identities(&status.message)),
                );
            }
            Err(error) => seen.note("error", refusal(&error)),
        }
    }
    seen.note("watch", "ended");
}

async fn version_now(maps: &Api<ConfigMap>) -> String {
    maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap()
}

pub(crate) async fn events(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    maps.create(&PostParams::default(), &config_map("before", "1")).await.unwrap();
    let version = version_now(&maps).await;
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let patch = Patch::Merge(json!({"data": {"key": "2"}}));
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    maps.delete("before", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.unwrap();
    follow(seen, &maps, &WatchParams::default().timeout(1), &version).await;
}

pub(crate) async fn selection_changes(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    let version = version_now(&maps).await;
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    for label in [json!("web"), json!("web"), json!("api"), json!("web"), json!(null)] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"app": label}}, "data": {"key": label}}));
        maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    }
    follow(seen, &maps, &WatchParams::default().timeout(1).labels("app=web"), &version).await;
    let pods: Api<Pod> = seen.api();
    running(&pods, "p", "w1", json!({})).await;
    running(&pods, "q", "w2", json!({})).await;
    let failed = Patch::Strategic(json!({"status": {"phase": "Failed"}}));
    pods.patch_status("p", &PatchParams::default(), &failed).await.unwrap();
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    let on_w1 = WatchParams::default().timeout(1).fields("spec.nodeName=w1");
    follow(seen, &pods, &on_w1, &version).await;
}

pub(crate) async fn from_the_beginning(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    // A list waits until the watch cache has seen the creation; a watch from "0" does not.
    version_now(&maps).await;
    follow(seen, &maps, &WatchParams::default().timeout(1).fields("metadata.name=a"), "0").await;
}

pub(crate) async fn initial_events(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let version = version_now(&maps).await;
    let params = WatchParams::default().timeout(1).fields("metadata.name=a").initial_events();
    follow(seen, &maps, &params, &version).await;
}

pub(crate) async fn forgotten_version(server: &impl Server, seen: &mut Seen) {
    // The real server has no cache of these: what etcd has forgotten is forgotten.
    let secrets: Api<Secret> = seen.api();
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        let secret = make(json!({"metadata": {"name": name}}));
        versions.push(secrets.create(&PostParams::default(), &secret).await.unwrap().resource_version().unwrap());
    }
    server.compact(&versions[2]).await;
    follow(seen, &secrets, &WatchParams::default().timeout(1), &versions[0]).await;
}
