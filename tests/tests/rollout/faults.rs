//! Servers that are away, busy or forgetful, and rights that are missing.

use http::Method;
use usher_coordinator::workloads::rollout::{Ended, Stop};
use usher_testkit::apiserver::{ApiServer, Failure, Fault, fixtures::deployment};

use crate::{ended, restart, seconds, server, settings, settle, why};

/// A Deployment whose new pods take half a minute.
async fn slow() -> ApiServer {
    let api = server();
    api.add(deployment("shop/web").replicas(2));
    settle().await;
    for node in ["w1", "w2"] {
        api.kubelet(node, |kubelet| kubelet.pods_start_in = seconds(30));
    }
    api
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_or_has_forgotten_the_watch_costs_time_and_no_rollout() {
    for what in ["away", "cut", "forgotten"] {
        let api = slow().await;
        let meddle = async {
            tokio::time::sleep(seconds(3)).await;
            match what {
                "away" => api.outage(seconds(60)),
                "cut" => api.cut_watches(),
                _ => {
                    api.compact();
                    api.cut_watches();
                }
            }
        };
        let ((outcome, _), ()) = tokio::join!(restart(&api, settings(), "deployment/web"), meddle);
        assert_eq!(ended(&outcome), [("web", Ended::Complete)], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_patch_whose_answer_was_lost_is_sent_again() {
    let api = slow().await;
    api.inject(Fault::on(Method::PATCH, "/deployments/web").lose_answer());
    let (outcome, _) = restart(&api, settings(), "deployment/web").await;
    // The second patch finds the annotation there: it is ours, and not somebody else's of the same second.
    assert_eq!(ended(&outcome), [("web", Ended::Complete)], "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_patch_is_told_and_no_more_begin() {
    let api = slow().await;
    api.add(deployment("shop/zoo"));
    settle().await;
    let words = "deployments.apps \"web\" is forbidden: User \"ann\" cannot patch resource \"deployments\"";
    api.inject(Fault::on(Method::PATCH, "/deployments/web").fail(Failure::new(403, "Forbidden", words)).always());
    let settings = usher_coordinator::workloads::rollout::Settings { concurrency: 1, ..settings() };
    let (outcome, _) = restart(&api, settings, "deployment").await;
    assert_eq!(ended(&outcome), [("web", Ended::Failed), ("zoo", Ended::NotBegun)]);
    assert!(why(&outcome, "web").ends_with(words), "{outcome:?}");
    assert!(!outcome.entries[0].changed);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_watched_is_not_waited_for() {
    let api = slow().await;
    let forbidden = Failure::new(403, "Forbidden", "deployments.apps is forbidden: User \"ann\" cannot watch");
    let changes = crate::restarts(&api, "deployment/web").await;
    api.inject(Fault::on(Method::GET, "/namespaces/shop/deployments").fail(forbidden).always());
    let (outcome, _) = crate::carry_out(&api, settings(), changes).await;
    assert_eq!(ended(&outcome), [("web", Ended::UnderWay)]);
    assert_eq!(outcome.stop, Some(Stop::Failures));
    assert!(why(&outcome, "web").contains("cannot be watched"), "{outcome:?}");
}
