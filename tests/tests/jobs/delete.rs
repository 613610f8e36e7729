//! `usher job delete`.

use http::Method;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use tokio::time::Instant;
use usher_coordinator::{
    interrupt::Interrupt,
    problem::{Kind, Problem},
    workloads::replace::{LookupError, Options, Progress, Trouble, removal, try_out},
};
use usher_testkit::apiserver::{
    ApiServer, Fault,
    fixtures::{cron_job, job},
};

use super::cluster::{api, cluster, names, options, run, run_with, seconds, settle};

async fn plan(api: &ApiServer, names: &[&str]) -> usher_coordinator::workloads::replace::JobPlan {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    removal(&cluster(api), "shop", &names).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_job_is_gone_when_its_pods_are() {
    let api = api();
    api.add(job("shop/report").pods(2).pods_stop_after(seconds(20)));
    settle().await;
    let plan = plan(&api, &["report"]).await;
    let planned = &plan.replacements[0].jobs[0];
    assert_eq!((planned.pods.len(), planned.active), (2, 2));
    let begun = Instant::now();
    let run = run(&api, &plan).await;
    let took = begun.elapsed();
    assert!(took >= seconds(20) && took < seconds(23), "{took:?}");
    assert_eq!(names(&run.ended.deleted), ["shop/report"]);
    assert!(run.ended.trouble.is_none() && run.ended.going.is_empty());
    assert!(api.list::<Job>().is_empty() && api.list::<Pod>().is_empty());
    assert!(run.told.iter().any(|told| matches!(told, Progress::Waiting { pods, .. } if pods.len() == 2)));
}

/// What the page of every operator says not to do.
#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_alone_comes_back_from_its_job() {
    let api = api();
    api.add(job("shop/report"));
    settle().await;
    let before = api.list::<Pod>().remove(0);
    let pods: Api<Pod> = Api::namespaced(api.client(), "shop");
    pods.delete(&before.metadata.name.clone().unwrap(), &DeleteParams::default()).await.unwrap();
    settle().await;
    let after = api.list::<Pod>();
    assert!(after.len() == 1 && after[0].metadata.uid != before.metadata.uid);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_deleted_without_a_word_about_its_pods_leaves_them_running() {
    let api = api();
    api.add(job("shop/report"));
    settle().await;
    let jobs: Api<Job> = Api::namespaced(api.client(), "shop");
    jobs.delete("report", &DeleteParams::default()).await.unwrap();
    settle().await;
    assert_eq!((api.list::<Job>().len(), api.list::<Pod>().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_later_job_of_the_same_name_is_not_touched() {
    let api = api();
    api.add(job("shop/report"));
    settle().await;
    let plan = plan(&api, &["report"]).await;
    let jobs: Api<Job> = Api::namespaced(api.client(), "shop");
    jobs.delete("report", &DeleteParams::foreground()).await.unwrap();
    settle().await;
    let another: Job = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "report"}, "spec": {"template": {"spec": {"containers": []}}},
    }))
    .unwrap();
    jobs.create(&PostParams::default(), &another).await.unwrap();
    let run = run(&api, &plan).await;
    assert!(matches!(&run.told[..], [Progress::GoneBefore { .. }]), "{:?}", run.told);
    assert!(run.ended.trouble.is_none());
    assert!(api.get::<Job>("shop/report").unwrap().metadata.deletion_timestamp.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_end_is_named_at_the_deadline() {
    let api = api();
    api.add(job("shop/report").pods_never_stop()).add(job("shop/other"));
    settle().await;
    let plan = plan(&api, &["report", "other"]).await;
    let run =
        run_with(&api, &plan, &Options { timeout: Some(seconds(60)), ..options() }, &Interrupt::by_hand().1).await;
    match run.ended.trouble {
        Some(Trouble::TimedOut { job, after, pods }) => {
            assert_eq!((job.to_string().as_str(), after, pods.len()), ("shop/report", seconds(60), 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        (names(&run.ended.going), names(&run.ended.left)),
        (vec!["shop/report".into()], vec!["shop/other".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_who_does_not_want_to() {
    let api = api();
    api.add(job("shop/report").pods_never_stop());
    settle().await;
    let plan = plan(&api, &["report"]).await;
    let begun = Instant::now();
    let run = run_with(&api, &plan, &Options { wait: false, ..options() }, &Interrupt::by_hand().1).await;
    assert!(begun.elapsed() < seconds(1));
    assert_eq!(names(&run.ended.going), ["shop/report"]);
    assert!(api.get::<Job>("shop/report").unwrap().metadata.deletion_timestamp.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_the_wait_and_nothing_more_is_touched() {
    let api = api();
    api.add(job("shop/a").pods_stop_after(seconds(25))).add(job("shop/b"));
    settle().await;
    let plan = plan(&api, &["a", "b"]).await;
    let (signals, interrupt) = Interrupt::by_hand();
    let wanted = options();
    let (run, ()) = tokio::join!(run_with(&api, &plan, &wanted, &interrupt), async {
        tokio::time::sleep(seconds(5)).await;
        signals.send_replace(1);
    });
    assert!(matches!(run.ended.trouble, Some(Trouble::Interrupted)));
    assert_eq!((names(&run.ended.going), names(&run.ended.left)), (vec!["shop/a".into()], vec!["shop/b".into()]));
    assert!(api.get::<Job>("shop/b").unwrap().metadata.deletion_timestamp.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_plan_says_what_the_cron_job_does_next() {
    let api = api();
    api.add(cron_job("shop/report").concurrency("Forbid").time_zone("UTC").scheduled_ago(seconds(2 * 3600)));
    api.add(job("shop/report-1").of("report"));
    settle().await;
    let plan = plan(&api, &["report-1"]).await;
    let facts = plan.replacements[0].cron_job.clone().unwrap();
    assert_eq!((facts.name.as_str(), facts.concurrency_policy.as_str()), ("report", "Forbid"));
    assert!(facts.catches_up && facts.next_run.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_met_with_the_one_that_was_meant() {
    let api = api();
    api.add(job("shop/report-29412345"));
    let names = ["reprot-29412345".to_owned()];
    let error = removal(&cluster(&api), "shop", &names).await.unwrap_err();
    assert!(matches!(&error, LookupError::Missing { nearest: Some(name), .. } if name == "report-29412345"));
    let problem = Problem::from(error);
    assert_eq!(problem.kind, Kind::Refused);
    assert_eq!(
        problem.to_text(),
        "refused: there is no job reprot-29412345 in the namespace shop\n  did you mean report-29412345?\n  \
         see them: usher jobs list -n shop\nnothing was changed (exit 3)"
    );
    assert!(api.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_said_before_anything_is_changed() {
    let api = api();
    api.add(job("shop/report"));
    settle().await;
    let plan = plan(&api, &["report"]).await;
    api.inject(Fault::on(Method::DELETE, "/jobs/report").status(403).always());
    let refusal = try_out(&cluster(&api), &plan, None).await.unwrap_err();
    assert_eq!((refusal.job.to_string().as_str(), refusal.error.is_forbidden()), ("shop/report", true));
    let run = run(&api, &plan).await;
    assert!(matches!(&run.ended.trouble, Some(Trouble::Failed(error)) if error.is_forbidden()));
    assert!(!run.ended.did_anything());
    assert_eq!(names(&run.ended.left), ["shop/report"]);
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_restarts_meanwhile_is_no_failure() {
    let api = api();
    api.add(job("shop/report").pods_stop_after(seconds(25)));
    settle().await;
    let plan = plan(&api, &["report"]).await;
    api.inject(Fault::on(Method::DELETE, "/jobs/report").lose_answer());
    let (run, ()) = tokio::join!(run(&api, &plan), async {
        tokio::time::sleep(seconds(5)).await;
        api.outage(seconds(10));
        tokio::time::sleep(seconds(3)).await;
        api.compact();
    });
    assert!(run.ended.trouble.is_none(), "{:?}", run.ended.trouble);
    assert_eq!(names(&run.ended.deleted), ["shop/report"]);
}
