//! Which workloads a command line means, and what the plan says of them.

use k8s_openapi::api::core::v1::Namespace;
use serde_json::json;
use usher_coordinator::workloads::{
    Namespaces,
    rollout::{Action, FindError, Places, find, plan},
};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, daemon_set, deployment, stateful_set},
};

use crate::{cluster, server, settle, shop, wanted};

/// Three namespaces, two of which Helm manages.
async fn site() -> ApiServer {
    let api = server();
    api.add(deployment("shop/web").replicas(2).labelled("tier", "front")).add(deployment("shop/api"));
    api.add(stateful_set("shop/db")).add(daemon_set("kube-system/cni")).add(deployment("kube-system/dns"));
    api.add(deployment("blog/web"));
    for namespace in ["shop", "blog"] {
        api.edit::<Namespace>(namespace, json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}));
    }
    settle().await;
    api
}

async fn found(api: &ApiServer, places: &Places, line: &str, selector: Option<&str>) -> Vec<String> {
    let workloads = find(&cluster(api), places, &wanted(line), selector).await.unwrap();
    workloads.iter().map(|workload| workload.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_kind_means_all_of_it_in_the_scope_and_names_keep_their_order() {
    let api = site().await;
    let helm = Places::matching(&cluster(&api), "app.kubernetes.io/managed-by=Helm").await.unwrap();
    let everywhere = Places::from(Namespaces::All);
    for (places, line, selector, expected) in [
        (&shop(), "deploy", None, vec!["shop deployment/api", "shop deployment/web"]),
        (&shop(), "deploy", Some("tier=front"), vec!["shop deployment/web"]),
        (
            &shop(),
            "deploy/web sts/db deploy/api deploy/web",
            None,
            vec!["shop deployment/web", "shop statefulset/db", "shop deployment/api"],
        ),
        (&helm, "ds,deploy", None, vec!["blog deployment/web", "shop deployment/api", "shop deployment/web"]),
        (&everywhere, "ds", None, vec!["kube-system daemonset/cni"]),
    ] {
        assert_eq!(found(&api, places, line, selector).await, expected, "{line}");
    }
    let nowhere = Places::matching(&cluster(&api), "no=where").await.unwrap();
    assert!(nowhere.is_nowhere());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_has_is_an_error_with_the_one_that_was_meant() {
    let api = site().await;
    let error = find(&cluster(&api), &shop(), &wanted("deploy/api deploy/wbe"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no deployment wbe in namespace shop");
    assert!(matches!(error, FindError::Unknown { meant: Some(meant), .. } if meant == "web"));
}

#[tokio::test(start_paused = true)]
async fn protected_namespaces_are_left_alone_unless_they_are_named() {
    let api = site().await;
    let protected = ["blog".to_owned()];
    for (places, line, expected) in [
        (
            Places::from(Namespaces::All),
            "deploy",
            [
                ("blog", Action::Skip),
                ("kube-system", Action::Skip),
                ("shop", Action::Restart),
                ("shop", Action::Restart),
            ]
            .to_vec(),
        ),
        (Namespaces::One("kube-system".to_owned()).into(), "deploy", vec![("kube-system", Action::Restart)]),
        (Namespaces::One("blog".to_owned()).into(), "deploy/web", vec![("blog", Action::Restart)]),
    ] {
        let workloads = find(&cluster(&api), &places, &wanted(line), None).await.unwrap();
        let rows = plan(&cluster(&api), &places, &workloads, &protected).await.unwrap();
        let actions: Vec<_> = rows.iter().map(|row| (row.namespace.as_str(), row.action)).collect();
        assert_eq!(actions, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_names_the_budget_that_has_no_room() {
    let api = site().await;
    api.add(budget("shop/web").min_available(2));
    settle().await;
    let workloads = find(&cluster(&api), &shop(), &wanted("deploy"), None).await.unwrap();
    let rows = plan(&cluster(&api), &shop(), &workloads, &[]).await.unwrap();
    let remarks: Vec<_> = rows.iter().map(|row| row.remarks.join("; ")).collect();
    assert_eq!(remarks, ["", "its budget web allows no disruption, and a rollout does not ask it"]);
}
