//! What stands against a roll. Nothing of this runs a sync.

use std::{process::Stdio, time::Duration};

use http::Method;
use serde_json::json;
use tokio::process::Command;
use usher_testkit::apiserver::{Fault, fixtures::helm_revision};

use super::services::{Services, listed};

const HOURS: Duration = Duration::from_secs(3 * 3600);

#[tokio::test]
async fn a_site_that_does_not_say_where_its_services_are_is_told_which_key_does() {
    let mut services = Services::create();
    services.site.helmfile.folder = None;
    let refusal = services.refusal("web").await;
    assert!(refusal.starts_with("error: the cluster file does not say where"), "{refusal}");
    assert!(refusal.contains("[helmfile] folder") && refusal.ends_with("(exit 2)"), "{refusal}");
}

#[tokio::test]
async fn a_service_without_a_folder_or_a_helmfile_is_refused_with_what_was_meant() {
    let services = Services::create();
    services.add_plain("mathoid");
    let refusal = services.refusal("mathiod").await;
    assert!(refusal.starts_with("refused: there is no folder of the service \"mathiod\": "), "{refusal}");
    assert!(refusal.contains("did you mean mathoid?"), "{refusal}");

    services.write("empty", "values.yaml", "");
    let refusal = services.refusal("empty").await;
    assert!(
        refusal.starts_with("refused: /srv/services/empty has no helmfile\n  looked for helmfile.yaml, "),
        "{refusal}"
    );
    assert!(!services.was_synced());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused() {
    let mut services = Services::create();
    services.add_plain("web");
    services.site.helmfile.program = "/nonexistent/helmfile".to_owned();
    assert!(services.refusal("web").await.starts_with("refused: /nonexistent/helmfile is no program"));
    services.site.helmfile.program = "helmfile-that-nobody-has".to_owned();
    let refusal = services.refusal("web").await;
    assert!(refusal.starts_with("refused: there is no helmfile-that-nobody-has on this host"), "{refusal}");
}

#[tokio::test]
async fn an_environment_that_the_helmfile_does_not_know_is_refused_and_all_names_of_the_site_are_tried() {
    let mut services = Services::create();
    services.add_plain("web");
    assert_eq!(services.plan("web").await.unwrap().plan.environment, "test", "the alias");
    let refused = services.plan_in("web", Some("codwf")).await.unwrap_err();
    assert_eq!(refused.message, "the helmfile of web knows no environment \"codwf\", or has no release in it");
    services.site.aliases = vec!["spare".to_owned()];
    let refusal = services.refusal("web").await;
    assert!(refusal.contains("knows no environment \"wikikube-test\" or \"spare\""), "{refusal}");
    assert!(refusal.contains("name it: -e ENVIRONMENT, or [helmfile] environment"), "{refusal}");
    services.site.helmfile.environment = Some("test".to_owned());
    assert!(services.plan("web").await.is_ok());
    assert!(!services.was_synced());
}

#[tokio::test]
async fn a_helmfile_that_cannot_list_its_releases_is_refused_with_its_own_words() {
    let services = Services::create();
    services.add_plain("web");
    services.write("web", "broken", "");
    let refusal = services.refusal("web").await;
    assert!(refusal.starts_with("refused: helmfile does not say which releases web has: exit code 1"), "{refusal}");
    assert!(refusal.contains("  in ./helmfile.yaml: error during helmfile.yaml parsing"), "{refusal}");
    assert!(refusal.contains("see: cd /srv/services/web && KUBECONFIG=/etc/kubernetes/test.config "), "{refusal}");
}

#[tokio::test]
async fn a_release_that_helm_has_not_finished_is_refused_with_its_age_and_the_way_back() {
    let services = Services::create();
    services.add_plain("web");
    let pending = helm_revision("shop/web", 13).status("pending-upgrade").begun_ago(HOURS);
    services.api.add(pending);
    let refusal = services.refusal("web").await;
    let expected = "refused: web: the release shop/web has been pending-upgrade for 3h (revision 13)\n  \
        if somebody deploys it now, wait; see: helm history web -n shop --kubeconfig /etc/kubernetes/test.config \
        --kube-context admin@test\n  \
        if that helm is dead, go back to the last good revision: helm rollback web 12 -n shop --kubeconfig \
        /etc/kubernetes/test.config --kube-context admin@test\nnothing was changed (exit 3)";
    assert_eq!(refusal, expected);
    // A later revision means that it was mended.
    services.api.add(helm_revision("shop/web", 14));
    assert!(services.plan("web").await.is_ok());
}

#[tokio::test]
async fn a_roll_that_would_install_or_remove_a_release_is_refused() {
    let services = Services::create();
    services.add("new", &[listed("new")], "");
    let refusal = services.refusal("new").await;
    assert!(
        refusal.starts_with("refused: new: the release shop/new is not there, so a roll would install it"),
        "{refusal}"
    );
    assert!(refusal.contains("HELM_KUBECONTEXT=admin@test") && refusal.contains("helmfile -e test diff"), "{refusal}");

    let mut gone = listed("old");
    gone["installed"] = false.into();
    services.add("old", &[listed("kept"), gone], "");
    services.api.add(helm_revision("shop/old", 3)).add(helm_revision("shop/kept", 3));
    let refusal = services.refusal("old").await;
    assert!(refusal.contains("has shop/old as not installed, but it is there, so a roll would remove it"), "{refusal}");
    assert!(!services.was_synced());
}

#[tokio::test]
async fn a_service_with_nothing_to_roll_is_refused() {
    let services = Services::create();
    services.add("web", &[json!({"name": "web", "namespace": "shop", "enabled": false, "installed": true})], "");
    assert!(services.refusal("web").await.starts_with("refused: web has no release that is enabled and installed"));
}

#[tokio::test]
async fn somebody_elses_helmfile_in_the_same_folder_and_environment_is_waited_for_by_the_operator() {
    let services = Services::create();
    services.add("web", &[listed("web")], "while :; do sleep 0.1; done");
    services.api.add(helm_revision("shop/web", 12));
    let run = |environment: &str| {
        let mut other = Command::new(services.program());
        other.args(["-e", environment, "sync"]).current_dir(services.folder("web"));
        other.stdout(Stdio::null()).process_group(0).kill_on_drop(true).spawn().unwrap()
    };
    let _elsewhere = run("other");
    assert!(services.plan("web").await.is_ok());
    let here = run("test");
    let refusal = services.refusal("web").await;
    assert!(refusal.starts_with("refused: somebody else's helmfile is at work on web\n"), "{refusal}");
    assert!(refusal.contains(&format!("'s process {}: ", here.id().unwrap())), "{refusal}");
}

#[tokio::test]
async fn a_service_that_is_rolled_already_is_refused_until_that_roll_has_ended() {
    let services = Services::create();
    services.add_plain("web");
    let first = services.plan("web").await.unwrap();
    let refusal = services.refusal("web").await;
    assert!(refusal.starts_with("refused: web is rolled already: its folder /srv/services/web is locked"), "{refusal}");
    drop(first);
    assert!(services.plan("web").await.is_ok());
}

#[tokio::test]
async fn a_missing_right_to_helms_records_is_a_refusal() {
    let services = Services::create();
    services.add_plain("web");
    services.api.inject(Fault::on(Method::GET, "/secrets").status(403).always());
    let refusal = services.refusal("web").await;
    assert!(refusal.starts_with("refused: cannot read Helm's records in the namespace shop: "), "{refusal}");
    assert!(refusal.contains("list on secrets") && refusal.ends_with("nothing was changed (exit 3)"), "{refusal}");
}
