//! `usher cronjob refresh --run`: what is deleted, what is started, and when it stops.

use http::Method;
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::Pod,
};
use kube::ResourceExt as _;
use serde_json::json;
use usher_coordinator::{
    interrupt::Interrupt,
    workloads::replace::{Options, Progress, Trouble, try_out},
};
use usher_testkit::apiserver::{
    ApiServer, Fault,
    fixtures::{cron_job, job},
};

use super::{
    cluster::{api, cluster, names, options, run, run_with, seconds, settle},
    refresh::named,
};

/// A CronJob with a new image, and a job that still runs the old one.
fn stale(policy: &str) -> ApiServer {
    let api = api();
    api.add(cron_job("shop/report").image("x:2").concurrency(policy));
    api.add(job("shop/report-1").of("report").image("x:1").pods_stop_after(seconds(10)));
    api
}

#[tokio::test(start_paused = true)]
async fn a_new_job_is_started_when_the_old_one_has_gone() {
    let api = stale("Forbid");
    settle().await;
    let plan = named(&api, "report", true).await;
    api.forget_requests();
    let options = Options { reason: Some("T400123".to_owned()), ..options() };
    let run = run_with(&api, &plan, &options, &Interrupt::by_hand().1).await;
    assert!(run.ended.trouble.is_none(), "{:?}", run.ended.trouble);
    let place = "/apis/batch/v1/namespaces/shop/jobs";
    assert_eq!(api.writes(), [format!("DELETE {place}/report-1"), format!("POST {place}")]);
    assert!(matches!(
        &run.told[..],
        [Progress::Deleting { .. }, .., Progress::Deleted { .. }, Progress::Started { .. }]
    ));
    settle().await;
    let jobs = api.list::<Job>();
    let [started] = &jobs[..] else { panic!("{jobs:?}") };
    assert!(started.name_any().starts_with("report-manual-"));
    assert_eq!(started.annotations()["cronjob.kubernetes.io/instantiate"], "manual");
    assert_eq!(started.annotations()["usher.dev/reason"], "T400123");
    let owner = &started.owner_references()[0];
    assert_eq!((owner.name.as_str(), owner.controller, owner.block_owner_deletion), ("report", Some(true), None));
    let pods = api.list::<Pod>();
    assert_eq!((pods.len(), pods[0].spec.as_ref().unwrap().containers[0].image.as_deref()), (1, Some("x:2")));
}

#[tokio::test(start_paused = true)]
async fn none_is_started_beside_another_one_unless_the_cron_job_allows_it() {
    for (policy, starts) in [("Forbid", false), ("Replace", false), ("Allow", true)] {
        let api = stale(policy);
        api.add(job("shop/report-2").of("report").image("x:2"));
        settle().await;
        let run = run(&api, &named(&api, "report", true).await).await;
        assert_eq!(!run.ended.started.is_empty(), starts, "{policy}: {:?}", run.told);
        if let [not_started] = &run.ended.not_started[..] {
            assert_eq!(not_started.why, format!("report-2 runs, and its concurrency policy is {policy}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn none_is_started_where_the_controller_makes_up_for_a_run() {
    let api = stale("Forbid");
    settle().await;
    let plan = named(&api, "report", true).await;
    api.edit::<CronJob>("shop/report", json!({"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}));
    let run = run(&api, &plan).await;
    assert!(run.ended.started.is_empty() && run.ended.trouble.is_none());
    assert_eq!(run.ended.not_started[0].why, "its controller now starts the run that the job had held up");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_waits_for_the_new_job_and_touches_no_further_cron_job() {
    let api = stale("Allow");
    api.add(cron_job("shop/second").image("x:2")).add(job("shop/second-1").of("second").image("x:1"));
    settle().await;
    let mut plan = named(&api, "report", true).await;
    plan.replacements.extend(named(&api, "second", true).await.replacements);
    let (signals, interrupt) = Interrupt::by_hand();
    let wanted = options();
    let (run, ()) = tokio::join!(run_with(&api, &plan, &wanted, &interrupt), async {
        tokio::time::sleep(seconds(4)).await;
        signals.send_replace(1);
    });
    assert!(matches!(run.ended.trouble, Some(Trouble::Interrupted)));
    assert_eq!((run.ended.started.len(), names(&run.ended.left)), (1, vec!["shop/second-1".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_go_has_no_successor_and_that_is_told() {
    let api = api();
    api.add(cron_job("shop/report").image("x:2")).add(job("shop/report-1").of("report").image("x:1").pods_never_stop());
    settle().await;
    let plan = named(&api, "report", true).await;
    let run = run(&api, &plan).await;
    assert!(matches!(&run.ended.trouble, Some(Trouble::TimedOut { pods, .. }) if pods.len() == 1));
    assert!(run.ended.started.is_empty());
    assert_eq!(run.ended.not_started[0].why, "the old job has not gone yet");
}

#[tokio::test(start_paused = true)]
async fn what_is_done_before_an_error_is_told() {
    let api = stale("Allow");
    api.add(cron_job("shop/second").image("x:2")).add(job("shop/second-1").of("second").image("x:1"));
    settle().await;
    let mut plan = named(&api, "report", false).await;
    plan.replacements.extend(named(&api, "second", false).await.replacements);
    api.inject(Fault::on(Method::DELETE, "/jobs/second-1").status(403).always());
    let run = run(&api, &plan).await;
    assert!(matches!(run.ended.trouble, Some(Trouble::Failed(_))));
    assert_eq!(
        (names(&run.ended.deleted), names(&run.ended.left)),
        (vec!["shop/report-1".to_owned()], vec!["shop/second-1".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_is_lost_makes_one_job() {
    let api = stale("Allow");
    settle().await;
    let plan = named(&api, "report", true).await;
    api.inject(Fault::on(Method::POST, "/jobs").lose_answer());
    let run = run(&api, &plan).await;
    assert!(run.ended.trouble.is_none(), "{:?}", run.ended.trouble);
    assert_eq!(names(&run.ended.started), [format!("shop/{}", api.list::<Job>()[0].name_any())]);
    assert_eq!(api.list::<Job>().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_on_the_server_changes_nothing() {
    let api = stale("Allow");
    settle().await;
    let plan = named(&api, "report", true).await;
    let before = api.list::<Job>();
    try_out(&cluster(&api), &plan, None).await.unwrap();
    assert_eq!(api.list::<Job>(), before);
    assert!(api.writes().iter().all(|write| write.ends_with("?dryRun=All")), "{:?}", api.writes());
}
