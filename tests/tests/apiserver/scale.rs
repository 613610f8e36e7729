//! A cluster of the size that usher is made for: the double looks at what has changed, and not at all of it again and again.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::ListParams};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, deployment, node},
};

fn node_of(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
}

/// Two hundred nodes and two thousand pods in ten namespaces, each Deployment under a budget.
async fn large() -> ApiServer {
    let api = ApiServer::new();
    api.add_all((0..200).map(|number| node(&format!("n{number:03}"))));
    let name = |number: usize| format!("team-{}/web-{number}", number % 10);
    api.add_all((0..20).map(|number| deployment(&name(number)).replicas(100)));
    api.add_all((0..20).map(|number| budget(&name(number)).max_unavailable(1)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    api
}

#[tokio::test(start_paused = true)]
async fn two_thousand_pods_are_spread_evenly_and_the_pods_of_one_node_are_listed_alone() {
    let api = large().await;
    let mut on: BTreeMap<String, usize> = BTreeMap::new();
    for pod in api.list::<Pod>() {
        *on.entry(node_of(&pod)).or_default() += 1;
    }
    assert_eq!((on.len(), on.values().min(), on.values().max()), (200, Some(&10), Some(&10)));

    let pods: Api<Pod> = Api::all(api.client());
    let there = pods.list(&ListParams::default().fields("spec.nodeName=n050")).await.unwrap();
    assert_eq!(there.items.len(), 10);
    assert!(there.iter().all(|pod| node_of(pod) == "n050"));
    let here = Api::<Pod>::namespaced(api.client(), "team-3");
    let here = here.list(&ListParams::default().fields("spec.nodeName=n050")).await.unwrap();
    let expected: Vec<_> = there.iter().filter(|pod| pod.namespace().as_deref() == Some("team-3")).collect();
    assert_eq!(here.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_list_are_of_one_moment_and_miss_nothing() {
    let api = large().await;
    let pods: Api<Pod> = Api::all(api.client());
    let mut params = ListParams::default().limit(333);
    let mut names = Vec::new();
    loop {
        let page = pods.list(&params).await.unwrap();
        assert!(page.iter().all(|pod| pod.name_any() != "late"));
        names.extend(page.iter().map(|pod| (pod.namespace(), pod.name_any())));
        api.add(usher_testkit::apiserver::fixtures::pod("team-9/late").on("n000"));
        api.remove::<Pod>("team-9/late");
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let (all, distinct) = (names.len(), names.iter().collect::<std::collections::BTreeSet<_>>().len());
    assert_eq!((all, distinct), (2000, 2000));
}
