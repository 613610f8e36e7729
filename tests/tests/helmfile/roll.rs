//! Rolls that run to their end, well or not.

use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use usher_coordinator::{exit::Exit, helmfile::State, interrupt::Interrupt};
use usher_testkit::apiserver::{
    Fault,
    fixtures::{deployment, helm_revision},
};

use super::services::{Services, listed};

#[tokio::test]
async fn a_plan_says_which_releases_are_rolled_from_which_revision_and_by_which_command() {
    let services = Services::create();
    let mut db = listed("db");
    db["namespace"] = "".into();
    services.add("web", &[listed("web"), db], "");
    services.api.add(helm_revision("shop/web", 11).status("superseded")).add(helm_revision("shop/web", 12));
    services.api.add(helm_revision("default/db", 3).status("failed"));
    let plan = services.plan("web").await.unwrap().plan;
    let releases: Vec<_> = plan.releases.iter().map(|it| format!("{} {} {}", it.id, it.revision, it.status)).collect();
    assert_eq!(releases, ["shop/web 12 deployed", "default/db 3 failed"]);
    assert_eq!(plan.folder, services.folder("web").canonicalize().unwrap());
    let command = "KUBECONFIG=/etc/kubernetes/test.config HELM_KUBECONTEXT=admin@test PROGRAM -e test --state-values-set \
                   'roll_restart=1' sync";
    assert_eq!(plan.command, command.replace("PROGRAM", &services.program().display().to_string()));
    assert!(!services.was_synced());
}

#[tokio::test]
async fn services_are_rolled_in_their_order_and_the_report_has_helms_revisions() {
    let services = Services::create();
    services.add_plain("web");
    services.add("db", &[listed("db"), listed("cache")], "echo 'upgraded shop/cache 8'; echo 'upgraded shop/db 4' >&2");
    services.api.add(helm_revision("shop/db", 3)).add(helm_revision("shop/cache", 7));
    let report = services.roll_all(&["web", "db"]).await;
    assert_eq!(report.exit, Exit::Done, "{report:#?}");
    assert!(report.summary.starts_with("web and db rolled in "), "{}", report.summary);
    assert_eq!(report.details, ["web: shop/web 12 → 13", "db: shop/db 3 → 4", "db: shop/cache 7 → 8"]);
    assert_eq!(report.next, ["see the pods come: usher rollout status -n shop --wait"]);

    let syncs: Vec<_> = services.calls().into_iter().filter(|call| call.contains(" sync ")).collect();
    // What would lead helmfile elsewhere is taken from it, what leads it to the site's cluster is given.
    let call = |service: &str| {
        format!("{service}: -e test --state-values-set roll_restart=1 sync [test.config admin@test unset]")
    };
    assert_eq!(syncs, [call("web"), call("db")]);
    let told = services.told.borrow();
    let db = told.iter().position(|line| line == "db began").unwrap();
    assert_eq!(told[..db], ["web began", "web: upgraded shop/web 13", "web ended: Rolled"]);
    assert_eq!(told.last().map(String::as_str), Some("db ended: Rolled"));
}

#[tokio::test]
async fn the_first_failure_ends_the_roll_and_the_others_are_not_begun() {
    let services = Services::create();
    services.add_plain("web");
    services.add(
        "db",
        &[listed("db")],
        "echo 'Error: UPGRADE FAILED: timed out' >&2; echo 'upgraded shop/db 4'; exit 1",
    );
    services.api.add(helm_revision("shop/db", 3));
    services.add_plain("last");
    let report = services.roll_all(&["web", "db", "last"]).await;
    assert_eq!(report.exit, Exit::Partly, "{report:#?}");
    assert_eq!(report.summary, "stopped: helmfile failed for db: exit code 1; rolled: web; not begun: last");
    assert_eq!(report.details, ["web: shop/web 12 → 13", "db: shop/db 3 → 4"]);
    assert!(report.next[0].starts_with("see how the release is: helm status db -n shop --kubeconfig"), "{report:#?}");
    assert!(report.next[1].starts_with("see its pods: usher rollout status -n shop"), "{report:#?}");
    assert_eq!(report.not_begun().collect::<Vec<_>>(), ["last"]);
    assert!(report.services[1].output.contains(&"Error: UPGRADE FAILED: timed out".to_owned()), "{report:#?}");
    let alone = services.roll_all(&["db"]).await;
    assert_eq!((alone.exit, alone.services[0].exit_code), (Exit::Failed, Some(1)));
}

#[tokio::test]
async fn a_service_whose_revisions_did_not_move_was_not_rolled_whatever_helmfile_says() {
    let services = Services::create();
    services.add("web", &[listed("web")], "echo 'Affected releases: none'");
    services.api.add(helm_revision("shop/web", 12));
    services.add_plain("last");
    let report = services.roll_all(&["web", "last"]).await;
    assert_eq!((report.exit, report.services[0].state), (Exit::Failed, State::Unmoved), "{report:#?}");
    assert!(report.summary.contains("nothing of web was rolled") && report.summary.ends_with("not begun: last"));
    assert_eq!(report.details, ["web: shop/web not rolled: still 12"]);
}

#[tokio::test]
async fn a_release_that_alone_did_not_move_is_named() {
    let services = Services::create();
    services.add("web", &[listed("web"), listed("canary")], "echo 'upgraded shop/web 13'");
    services.api.add(helm_revision("shop/web", 12)).add(helm_revision("shop/canary", 5));
    let report = services.roll_all(&["web"]).await;
    assert_eq!(report.exit, Exit::Done);
    assert_eq!(report.details, ["web: shop/web 12 → 13", "web: shop/canary not rolled: still 5"]);
}

#[tokio::test]
async fn what_was_true_at_the_plan_is_asked_again_before_each_service() {
    let services = Services::create();
    services.add_plain("web");
    services.add_plain("db");
    let planned = [services.plan("web").await.unwrap(), services.plan("db").await.unwrap()];
    let (_signals, interrupt) = Interrupt::by_hand();
    // While the first is rolled, somebody begins to deploy the second.
    let deploy = |service: &str, _: &str| {
        if service == "web" {
            services.api.add(helm_revision("shop/db", 13).status("pending-upgrade"));
        }
    };
    let report = services.roll(&planned, &interrupt, deploy).await;
    assert_eq!(report.exit, Exit::Partly, "{report:#?}");
    assert!(report.summary.contains("the release shop/db has been pending-upgrade"), "{}", report.summary);
    assert!(report.summary.ends_with("; rolled: web; not begun: db"), "{}", report.summary);
}

#[tokio::test]
async fn a_roll_whose_outcome_cannot_be_read_is_not_called_done() {
    let services = Services::create();
    services.add_plain("web");
    let planned = [services.plan("web").await.unwrap()];
    let (_signals, interrupt) = Interrupt::by_hand();
    let report = services
        .roll(&planned, &interrupt, |_, _| {
            services.api.inject(Fault::on(Method::GET, "/secrets").status(403).always());
        })
        .await;
    assert_eq!((report.exit, report.services[0].state), (Exit::TimedOut, State::Unknown), "{report:#?}");
    assert!(report.summary.contains("whether it was rolled is not known"), "{}", report.summary);
    assert_eq!(report.details[0], "web: shop/web 12 → ?");
}

/// A Deployment that Helm has made of a release of its name.
fn made_by_helm(services: &Services, name: &str) {
    services.api.add(deployment(&format!("shop/{name}")));
    let annotations = json!({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "shop"});
    let metadata = json!({"generation": 1, "annotations": annotations});
    services.api.edit::<Deployment>(&format!("shop/{name}"), json!({"metadata": metadata}));
}

#[tokio::test]
async fn a_chart_that_does_not_heed_the_roll_gets_a_new_revision_and_replaces_no_pod() {
    let services = Services::create();
    services.add_plain("web");
    made_by_helm(&services, "web");
    let report = services.roll_all(&["web"]).await;
    assert_eq!((report.exit, report.services[0].state), (Exit::Failed, State::Unheeded), "{report:#?}");
    assert!(report.summary.starts_with("stopped: no pod of web is replaced"), "{}", report.summary);
    assert_eq!(report.details, ["web: shop/web 12 → 13, but no workload has changed"]);
}

#[tokio::test]
async fn a_chart_that_heeds_the_roll_is_told_by_the_workloads_that_changed() {
    let services = Services::create();
    services.add_plain("web");
    made_by_helm(&services, "web");
    made_by_helm(&services, "other");
    let planned = [services.plan("web").await.unwrap()];
    let (_signals, interrupt) = Interrupt::by_hand();
    let report = services
        .roll(&planned, &interrupt, |_, _| {
            services.api.edit::<Deployment>("shop/web", json!({"metadata": {"generation": 2}}));
        })
        .await;
    assert_eq!(report.exit, Exit::Done, "{report:#?}");
    assert_eq!(report.services[0].releases[0].changed, Some(vec!["deployment/web".to_owned()]));
}
