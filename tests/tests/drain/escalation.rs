//! What is done about pods that do not go in time, if the operator asks for it.

use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{DrainError, DrainOptions, Escalation};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, node, replica_set},
};

use crate::cluster::{MINUTE, cluster, drain_with, owned, refused, seconds};

fn escalating(escalation: Escalation) -> DrainOptions {
    DrainOptions { escalation, timeout: 10 * MINUTE, ..DrainOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ignores_its_end_is_killed_early_and_that_is_said() {
    let api = cluster();
    api.add(owned("web/slow").grace(30 * MINUTE).ignores_sigterm());
    let begun = Instant::now();
    let kill_after = Some(2 * MINUTE);
    let drained = drain_with(&api, &escalating(Escalation { kill_after, ..Escalation::default() })).await.0.unwrap();
    let took = begun.elapsed();
    assert!(took >= 2 * MINUTE && took < 2 * MINUTE + seconds(5), "{took:?}");
    let [escalated] = &drained.escalated[..] else { panic!("{drained:?}") };
    assert_eq!(escalated.pod.to_string(), "web/slow");
    assert!(escalated.what.starts_with("killed 2m0s after it was told to go"), "{}", escalated.what);
}

async fn under_a_strict_budget() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1").cordoned()).add(node("w2"));
    api.add(replica_set("web/web").replicas(0)).add(budget("web/web").min_available(1));
    api.add(owned("web/a").labelled("app", "web"));
    sleep(seconds(5)).await;
    api
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_a_budget_keeps_is_deleted_after_the_time_that_was_asked_for() {
    let api = under_a_strict_budget().await;
    let begun = Instant::now();
    let delete_after = Some(MINUTE);
    let drained = drain_with(&api, &escalating(Escalation { delete_after, ..Escalation::default() })).await.0.unwrap();
    let took = begun.elapsed();
    assert!(took >= MINUTE && took < MINUTE + seconds(5), "{took:?}");
    let what = &drained.escalated[0].what;
    assert!(what.starts_with("deleted after 1m0s: The disruption budget web needs 1 healthy pods"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_killed_or_deleted_that_nobody_asked_for() {
    let api = under_a_strict_budget().await;
    api.add(owned("web/slow").grace(30 * MINUTE).ignores_sigterm());
    api.forget_requests();
    let error = refused(&api, &escalating(Escalation::default())).await;
    assert!(matches!(error, DrainError::TimedOut { .. }));
    assert!(api.writes().iter().all(|write| write.ends_with("/eviction")), "{:?}", api.writes());
}
