//! Create, replace, delete: versions, identities, preconditions, dry runs.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

use super::{
    Server,
    seen::{Seen, field, make},
};

pub(crate) fn config_map(name: &str, value: &str) -> ConfigMap {
    make(json!({"metadata": {"name": name}, "data": {"key": value}}))
}

pub(crate) async fn creation(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    let post = PostParams::default();
    let created = seen.call("create", maps.create(&post, &config_map("a", "1")).await).unwrap();
    seen.note("has a uid", created.uid().is_some_and(|uid| uid.len() == 36));
    seen.note("has a version", created.resource_version().is_some_and(|it| it.parse::<u64>().is_ok()));
    seen.note("has a creation time", created.creation_timestamp().is_some());
    seen.note("namespace", created.namespace().unwrap_or_default());
    seen.call("create again", maps.create(&post, &config_map("a", "2")).await);
    seen.call("get", maps.get("a").await);
    seen.call("get another", maps.get("b").await);
    let generated: ConfigMap = make(json!({"metadata": {"generateName": "made-"}}));
    let generated = seen.call("create with a generated name", maps.create(&post, &generated).await).unwrap();
    seen.note("generated name", generated.name_any().len());
    let budgets: Api<PodDisruptionBudget> = seen.api();
    let budget: PodDisruptionBudget = make(json!({
        "metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {}}, "status": {"disruptionsAllowed": 5,
            "currentHealthy": 5, "desiredHealthy": 1, "expectedPods": 5},
    }));
    let budget = seen.call("create a budget with a status", budgets.create(&post, &budget).await).unwrap();
    seen.note("its generation", field(&budget, "/metadata/generation"));
    seen.note("its status does not count", field(&budget, "/status/disruptionsAllowed"));
}

pub(crate) async fn refusals_of_a_creation(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    let post = PostParams::default();
    let nowhere: Api<ConfigMap> = Api::namespaced(seen.client.clone(), "no-such-namespace");
    seen.call("in a namespace that is not there", nowhere.create(&post, &config_map("a", "1")).await);
    let elsewhere: ConfigMap = make(json!({"metadata": {"name": "a", "namespace": "default"}}));
    seen.call("with another namespace", maps.create(&post, &elsewhere).await);
    let versioned: ConfigMap = make(json!({"metadata": {"name": "a", "resourceVersion": "1"}}));
    seen.call("with a version", maps.create(&post, &versioned).await);
    let nameless: ConfigMap = make(json!({"metadata": {}}));
    seen.note("without a name", maps.create(&post, &nameless).await.is_err());
}

pub(crate) async fn replacement(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    let post = PostParams::default();
    let first = maps.create(&post, &config_map("a", "1")).await.unwrap();
    let mut second = first.clone();
    second.data = config_map("a", "2").data;
    let second = seen.call("replace with its version", maps.replace("a", &post, &second).await).unwrap();
    seen.note("new version", first.resource_version() != second.resource_version());
    let same = seen.call("replace with the same", maps.replace("a", &post, &second).await).unwrap();
    seen.note("new version for the same", same.resource_version() != second.resource_version());
    seen.call("replace with an old version", maps.replace("a", &post, &first).await);
    seen.call("replace without a version", maps.replace("a", &post, &config_map("a", "3")).await);
    let mut stranger = config_map("a", "4");
    stranger.metadata.uid = Some("11111111-2222-4333-8444-555555555555".to_owned());
    seen.call("replace with another uid", maps.replace("a", &post, &stranger).await);
    seen.call("replace under another name", maps.replace("b", &post, &second).await);
    seen.call("replace what is not there", maps.replace("c", &post, &config_map("c", "1")).await);
    let budgets: Api<PodDisruptionBudget> = seen.api();
    let budget: PodDisruptionBudget = make(json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1}}));
    let stored = budgets.create(&post, &budget).await.unwrap();
    seen.note("budget without a version", budgets.replace("b", &post, &budget).await.is_err());
    let mut changed = stored.clone();
    changed.spec = make(json!({"minAvailable": 2}));
    let changed = seen.call("budget with its version", budgets.replace("b", &post, &changed).await).unwrap();
    seen.note("its generation", field(&changed, "/metadata/generation"));
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let labelled = budgets.patch("b", &PatchParams::default(), &label).await.unwrap();
    seen.note("its generation after a label", field(&labelled, "/metadata/generation"));
}

pub(crate) async fn status_apart(_: &impl Server, seen: &mut Seen) {
    let budgets: Api<PodDisruptionBudget> = seen.api();
    let budget: PodDisruptionBudget = make(json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1}}));
    budgets.create(&PostParams::default(), &budget).await.unwrap();
    let both = Patch::Merge(json!({
        "spec": {"minAvailable": 3},
        "status": {"disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3},
    }));
    let here = budgets.patch("b", &PatchParams::default(), &both).await;
    let here = seen.call("patch both", here).unwrap();
    seen.note("spec", field(&here, "/spec/minAvailable"));
    seen.note("status", field(&here, "/status/disruptionsAllowed"));
    let both = Patch::Merge(json!({"spec": {"minAvailable": 4}, "status": {"disruptionsAllowed": 2}}));
    let there = budgets.patch_status("b", &PatchParams::default(), &both).await;
    let there = seen.call("patch both in the status", there).unwrap();
    seen.note("spec", field(&there, "/spec/minAvailable"));
    seen.note("status", field(&there, "/status/disruptionsAllowed"));
    seen.note("generation", field(&there, "/metadata/generation"));
    let mut whole = there.clone();
    whole.status.as_mut().unwrap().disruptions_allowed = 7;
    whole.spec = None;
    let whole = seen.call("replace the status", budgets.replace_status("b", &PostParams::default(), &whole).await);
    let whole = whole.unwrap();
    seen.note("spec", field(&whole, "/spec/minAvailable"));
    seen.note("status", field(&whole, "/status/disruptionsAllowed"));
    seen.call("replace an old status", budgets.replace_status("b", &PostParams::default(), &there).await);
}

pub(crate) async fn dry_run(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    seen.call("create", maps.create(&dry, &config_map("a", "1")).await);
    seen.call("get", maps.get("a").await);
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    seen.call("create again", maps.create(&dry, &config_map("a", "1")).await);
    let patch = Patch::Merge(json!({"data": {"key": "2"}}));
    let dry_patch = PatchParams { dry_run: true, ..PatchParams::default() };
    let patched = seen.call("patch", maps.patch("a", &dry_patch, &patch).await).unwrap();
    seen.note("in the answer", field(&patched, "/data/key"));
    let mut other = maps.get("a").await.unwrap();
    seen.note("stored", field(&other, "/data/key"));
    other.data = config_map("a", "3").data;
    seen.call("replace", maps.replace("a", &dry, &other).await);
    let dry_delete = DeleteParams { dry_run: true, ..DeleteParams::default() };
    seen.call("delete", maps.delete("a", &dry_delete).await);
    seen.note("still", field(&maps.get("a").await.unwrap(), "/data/key"));
}

pub(crate) async fn template_patches(_: &impl Server, seen: &mut Seen) {
    let deployments: Api<Deployment> = seen.api();
    let template = json!({
        "metadata": {"labels": {"app": "web"}, "annotations": {"a": "1"}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
    });
    let deployment: Deployment = make(json!({
        "metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }));
    let first = deployments.create(&PostParams::default(), &deployment).await.unwrap();
    let annotations = "/spec/template/metadata/annotations";
    let restart = |at: &str| {
        Patch::Strategic(
            json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": at}}}}}),
        )
    };
    let (plain, dry) = (PatchParams::default(), PatchParams { dry_run: true, ..PatchParams::default() });
    let restarted = seen.call("restart", deployments.patch("web", &plain, &restart("1")).await).unwrap();
    seen.note("its generation", field(&restarted, "/metadata/generation"));
    seen.note("its annotations", field(&restarted, annotations));
    let same = seen.call("the same again", deployments.patch("web", &plain, &restart("1")).await).unwrap();
    seen.note("its generation", field(&same, "/metadata/generation"));
    let tried = seen.call("a try", deployments.patch("web", &dry, &restart("2")).await).unwrap();
    seen.note("its generation", field(&tried, "/metadata/generation"));
    seen.note("stored", field(&deployments.get("web").await.unwrap(), "/metadata/generation"));
    let whole = |version: Option<String>| {
        let mut template = template.clone();
        template["$patch"] = "replace".into();
        Patch::Strategic(json!({"metadata": {"resourceVersion": version}, "spec": {"template": template}}))
    };
    seen.call(
        "a whole template over an old version",
        deployments.patch("web", &plain, &whole(first.resource_version())).await,
    );
    let back = deployments.patch("web", &plain, &whole(same.resource_version())).await;
    let back = seen.call("over the present one", back).unwrap();
    seen.note("its generation", field(&back, "/metadata/generation"));
    seen.note("its annotations", field(&back, annotations));
}

pub(crate) async fn deletion(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    let stored = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let only = |uid: Option<String>, resource_version: Option<String>| DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version }),
        ..DeleteParams::default()
    };
    let stranger = Some("11111111-2222-4333-8444-555555555555".to_owned());
    seen.call("another uid", maps.delete("a", &only(stranger, None)).await);
    seen.call("another version", maps.delete("a", &only(None, Some("1".to_owned()))).await);
    let gone = seen.call("its own", maps.delete("a", &only(stored.uid(), stored.resource_version())).await).unwrap();
    seen.note("answer is a Status", gone.is_right());
    seen.call("again", maps.delete("a", &DeleteParams::default()).await);
    let nodes: Api<Node> = Api::all(seen.client.clone());
    let node: Node = make(json!({"metadata": {"name": "deletion"}}));
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let gone = seen.call("a node", nodes.delete("deletion", &DeleteParams::default()).await).unwrap();
    seen.note("answer is a Status", gone.is_right());
    let pods: Api<Pod> = seen.api();
    pods.create(&PostParams::default(), &super::pods::plain("p")).await.unwrap();
    let gone = seen.call("a pod that is nowhere", pods.delete("p", &DeleteParams::default()).await).unwrap();
    seen.note("answer is a Status", gone.is_right());
    seen.call("get the pod", pods.get("p").await);
}

pub(crate) async fn finalizers(_: &impl Server, seen: &mut Seen) {
    let maps: Api<ConfigMap> = seen.api();
    let mut kept = config_map("a", "1");
    kept.metadata.finalizers = Some(vec!["example.com/keep".to_owned()]);
    maps.create(&PostParams::default(), &kept).await.unwrap();
    let answer = seen.call("delete", maps.delete("a", &DeleteParams::default()).await).unwrap();
    seen.note("answer is a Status", answer.is_right());
    let going = maps.get("a").await.unwrap();
    seen.note("on its way", going.metadata.deletion_timestamp.is_some());
    seen.note("grace", field(&going, "/metadata/deletionGracePeriodSeconds"));
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    seen.call("take the finalizer away", maps.patch("a", &PatchParams::default(), &patch).await);
    seen.call("get", maps.get("a").await);
}

pub(crate) async fn terminating_namespace(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    super::pods::running(&pods, "p", "w1", json!({"app": "web"})).await;
    let namespaces: Api<Namespace> = Api::all(seen.client.clone());
    seen.call("delete the namespace", namespaces.delete(&seen.namespace, &DeleteParams::default()).await);
    let going = namespaces.get(&seen.namespace).await.unwrap();
    seen.note("phase", field(&going, "/status/phase"));
    let maps: Api<ConfigMap> = seen.api();
    seen.call("create in it", maps.create(&PostParams::default(), &config_map("a", "1")).await);
    let evicted = super::evictions::evict(&pods, "p", json!({}), false).await;
    seen.call("evict in it", evicted);
    let deployments: Api<Deployment> = seen.api();
    seen.call("get in it", deployments.get("none").await);
}
