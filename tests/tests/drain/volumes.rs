//! Volumes of pods that have gone.

use http::Method;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::VolumeAttachment,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{Confirm, DrainError, DrainOptions, DrainPolicy, Drainer, Verdict};
use usher_testkit::apiserver::{
    ApiServer, Fault,
    fixtures::{budget, node, pod},
};

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

/// The volume behind a claim in `web`, which only nodes of these zones can use, if any are named.
async fn bind(api: &ApiServer, volume: &str, claim: &str, zones: &[&str]) {
    let term = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": zones}]});
    let affinity = (!zones.is_empty()).then(|| json!({"required": {"nodeSelectorTerms": [term]}}));
    let bound = serde_json::from_value(json!({
        "metadata": {"name": volume},
        "spec": {"claimRef": {"namespace": "web", "name": claim}, "nodeAffinity": affinity},
    }));
    Api::<PersistentVolume>::all(api.client()).create(&PostParams::default(), &bound.unwrap()).await.unwrap();
    let claim = serde_json::from_value(json!({"metadata": {"name": claim}, "spec": {"volumeName": volume}}));
    let claims = Api::<PersistentVolumeClaim>::namespaced(api.client(), "web");
    claims.create(&PostParams::default(), &claim.unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_when_the_volumes_of_its_pods_are_detached() {
    let api = cluster();
    api.add(owned("web/a").with_claim("data"));
    bind(&api, "pv-1", "data", &[]).await;
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
    bind(&api, "pv-1", "data", &[]).await;
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

/// The claim of an ephemeral volume is deleted with its pod.
#[tokio::test(start_paused = true)]
async fn a_volume_is_awaited_although_its_claim_went_with_the_pod() {
    let api = cluster();
    api.add(owned("web/a").with_claim("data").stops_after(seconds(5)));
    bind(&api, "pv-1", "data", &[]).await;
    attach(&api, "csi-1", "w1", "pv-1").await;
    let options = waiting();
    let (drained, ()) = tokio::join!(drain_with(&api, &options), async {
        sleep(seconds(4)).await;
        api.remove::<PersistentVolumeClaim>("web/data");
    });
    assert_eq!(left(&drained.0.unwrap_err()), ["volume pv-1 is still attached"]);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_no_pod_accounts_for_is_told_before_and_never_awaited() {
    let api = cluster();
    api.add(owned("web/a").with_claim("data"));
    bind(&api, "pv-1", "data", &[]).await;
    attach(&api, "csi-1", "w1", "pv-1").await;
    attach(&api, "csi-old", "w1", "pv-old").await;
    attach(&api, "csi-other", "w2", "pv-other").await;
    sleep(MINUTE).await;
    let drainer = Drainer::new(api.client());
    let options = waiting();
    let previews = drainer.previews(&["w1".to_owned()], &options, Confirm::Nothing).await.unwrap();
    let unused: Vec<_> = previews[0].unused_volumes.iter().map(|it| it.volume.as_str()).collect();
    assert_eq!(unused, ["pv-old"]);
    let lines = previews[0].lines();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.starts_with("Warning: volume pv-old has been attached to w1 by csi for "), "{line}");
    assert!(line.ends_with("kubectl describe volumeattachment csi-old"), "{line}");
    let (drained, ()) = tokio::join!(drain_with(&api, &options), async {
        sleep(seconds(20)).await;
        attachments(&api).delete("csi-1", &DeleteParams::default()).await.unwrap();
    });
    let took = drained.0.unwrap().took;
    assert!(took >= seconds(20) && took < seconds(22), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_a_pod_that_stays_uses_as_well_is_not_awaited() {
    let api = cluster();
    api.add(owned("web/a").with_claim("data")).add(pod("web/kept").on("w1").labelled("keep", "yes").with_claim("data"));
    bind(&api, "pv-1", "data", &[]).await;
    attach(&api, "csi-1", "w1", "pv-1").await;
    let mut options = waiting();
    options.policy.skip = vec!["keep=yes".parse().unwrap()];
    drain_with(&api, &options).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_may_not_get_volumes_goes_by_the_claims_and_who_may_see_neither_does_not_wait() {
    for (forbidden, waits, words) in [
        (&["persistentvolumes/"][..], true, "volumes whose claims went with their pods were not awaited"),
        (
            &["persistentvolumes/", "persistentvolumeclaims/"],
            false,
            "whether volumes are still attached could not be seen",
        ),
    ] {
        let api = cluster();
        api.add(owned("web/a").with_claim("data"));
        bind(&api, "pv-1", "data", &[]).await;
        attach(&api, "csi-1", "w1", "pv-1").await;
        attach(&api, "csi-old", "w1", "pv-old").await;
        for part in forbidden {
            api.inject(Fault::on(Method::GET, part).status(403).always());
        }
        let options = waiting();
        let (drained, ()) = tokio::join!(drain_with(&api, &options), async {
            sleep(seconds(20)).await;
            attachments(&api).delete("csi-1", &DeleteParams::default()).await.unwrap();
        });
        let drained = drained.0.unwrap();
        assert_eq!(drained.took >= seconds(20), waits, "{forbidden:?}: {:?}", drained.took);
        assert!(drained.warnings.iter().any(|warning| warning.starts_with(words)), "{:?}", drained.warnings);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_waits_for_volumes_stops_when_it_is_told_to() {
    let api = cluster();
    api.add(owned("web/a").with_claim("data"));
    bind(&api, "pv-1", "data", &[]).await;
    attach(&api, "csi-1", "w1", "pv-1").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let drainer = Drainer::new(api.client()).with_stop(stopped);
    let (options, begun) = (waiting(), Instant::now());
    let drain = async { drainer.drain("w1", &options, &mut |_| {}).await };
    let (ended, ()) = tokio::join!(drain, async {
        sleep(seconds(20)).await;
        stop.send_replace(true);
    });
    assert!(matches!(ended, Err(DrainError::Stopped { .. })), "{ended:?}");
    assert!(begun.elapsed() < seconds(25), "{:?}", begun.elapsed());
}

/// Two pods under a budget that can be without one, with volumes that only w1's zone can use.
async fn tied_to_w1() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1").labelled("zone", "a")).add(node("w2").labelled("zone", "b"));
    for name in ["db-0", "db-1"] {
        api.add(pod(&format!("web/{name}")).on("w1").owned_by_stateful_set("db").with_claim(name));
        bind(&api, &format!("pv-{name}"), name, &["a"]).await;
    }
    api.add(budget("web/db").max_unavailable(1));
    sleep(seconds(3)).await;
    api
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_waits_for_a_pod_whose_volume_is_on_the_node_is_never_before_the_cordon() {
    let api = tied_to_w1().await;
    let error = Drainer::new(api.client()).check("w1", &waiting()).await.unwrap_err();
    let DrainError::Never { pods, .. } = &error else { panic!("{error:?}") };
    let [second] = &pods[..] else { panic!("{pods:?}") };
    let Verdict::Never { because, .. } = &second.verdict else { panic!() };
    assert_eq!(
        (second.pod.name.as_str(), because.as_str()),
        ("db-1", "budget web/db waits for a successor, and its volume is on w1")
    );
    // One more node of the zone, and the successors have a place.
    api.add(node("w3").labelled("zone", "a"));
    Drainer::new(api.client()).check("w1", &waiting()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_may_not_list_volumes_gets_verdicts_without_them() {
    let api = tied_to_w1().await;
    api.inject(Fault::on(Method::GET, "persistentvolumes").status(403).always());
    Drainer::new(api.client()).check("w1", &waiting()).await.unwrap();
}
