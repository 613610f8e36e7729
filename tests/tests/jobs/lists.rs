//! `usher pods list`, `usher jobs list`, `usher cronjobs list`.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use usher_coordinator::workloads::{JobState, Namespaces, PodFilter, cron_jobs, jobs, pods};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{cron_job, job, node, pod},
};

use super::cluster::{api, cluster, seconds, settle};

fn shop() -> Namespaces {
    Namespaces::One("shop".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_pod_shows_its_state_its_place_and_what_is_wrong() {
    let api = ApiServer::bare();
    api.add(pod("shop/web").on("w1")).add(pod("shop/lost")).add(pod("bank/safe").on("w1"));
    api.edit::<Pod>(
        "shop/web",
        json!({"status": {"podIP": "10.0.0.7", "containerStatuses": [{
            "name": "main", "ready": false, "restartCount": 4, "image": "", "imageID": "",
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-02T12:00:00Z"}},
        }]}}),
    );
    let unscheduled =
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}]);
    api.edit::<Pod>("shop/lost", json!({"status": {"conditions": unscheduled}}));
    let rows = pods(&cluster(&api), &shop(), &PodFilter { images: true, ..PodFilter::default() }).await.unwrap();
    let [lost, web] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((lost.status.as_str(), lost.node.as_deref()), ("Pending", None));
    assert_eq!(lost.reason.as_deref(), Some("Unschedulable: no room"));
    assert_eq!((web.status.as_str(), web.restarts, web.ready, web.containers), ("CrashLoopBackOff", 4, 0, 1));
    assert_eq!(web.last_restart, "2026-11-02T12:00:00Z".parse().ok());
    assert_eq!((web.node.as_deref(), web.ip.as_deref()), (Some("w1"), Some("10.0.0.7")));
    assert_eq!(web.images, ["registry.example/main:1"]);
    assert_eq!(web.reason.as_deref(), Some("main: CrashLoopBackOff: back-off 40s; it ended: Error, exit code 1"));
}

#[tokio::test(start_paused = true)]
async fn pods_are_chosen_by_label_and_by_node() {
    let api = ApiServer::bare();
    api.add(pod("shop/a").on("w1")).add(pod("shop/b").on("w2")).add(pod("bank/c").on("w1"));
    let found = async |namespaces: &Namespaces, filter: PodFilter| {
        let rows = pods(&cluster(&api), namespaces, &filter).await.unwrap();
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    let on = |node: &str| PodFilter { node: Some(node.to_owned()), ..PodFilter::default() };
    assert_eq!(found(&Namespaces::All, on("w1")).await, ["c", "a"]);
    assert_eq!(found(&shop(), on("w2")).await, ["b"]);
    let labelled = PodFilter { selector: Some("app in (b,c)".to_owned()), ..PodFilter::default() };
    assert_eq!(found(&Namespaces::All, labelled).await, ["c", "b"]);
    let wrong = PodFilter { selector: Some("app in (".to_owned()), ..PodFilter::default() };
    let error = pods(&cluster(&api), &shop(), &wrong).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot list the pods: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_many_pods_is_read_page_by_page_and_starts_over_when_its_token_expires() {
    let api = ApiServer::bare();
    for number in 0..501 {
        api.add(pod(&format!("shop/p{number}")));
    }
    api.forget_requests();
    let rows = pods(&cluster(&api), &shop(), &PodFilter::default()).await.unwrap();
    assert_eq!((rows.len(), api.requests().len()), (501, 2));
    // What is kept of a pod does not depend on its size.
    let kept = |row: &usher_coordinator::workloads::PodRow| {
        size_of_val(row) + row.namespace.capacity() + row.name.capacity() + row.status.capacity()
    };
    assert!(rows.iter().all(|row| kept(row) < 400), "{} bytes", kept(&rows[0]));

    api.inject(usher_testkit::apiserver::Fault::on(http::Method::GET, "continue=").status(410));
    assert_eq!(pods(&cluster(&api), &shop(), &PodFilter::default()).await.unwrap().len(), 501);
}

#[tokio::test(start_paused = true)]
async fn a_job_shows_how_far_it_is_and_what_keeps_it() {
    let api = api();
    api.add(cron_job("shop/report"));
    api.add(job("shop/report-1").of("report")).add(job("shop/old").ended("Complete", ""));
    api.add(job("shop/bad").ended("Failed", "Job has reached the specified backoff limit"));
    settle().await;
    let rows = jobs(&cluster(&api), &shop(), None, None).await.unwrap();
    let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!((of("old").status, of("old").reason.as_deref()), (JobState::Complete, None));
    assert_eq!(of("bad").status, JobState::Failed);
    assert_eq!(of("bad").reason.as_deref(), Some("BackoffLimitExceeded: Job has reached the specified backoff limit"));
    let running = of("report-1");
    assert_eq!((running.status, running.active, running.cron_job.as_deref()), (JobState::Running, 1, Some("report")));
    assert_eq!((running.completions, running.succeeded, running.reason.as_deref()), (Some(1), 0, None));
}

#[tokio::test(start_paused = true)]
async fn jobs_are_chosen_by_the_node_that_their_pods_are_on() {
    let api = api();
    api.add(node("w2").cordoned()).add(job("shop/here"));
    settle().await;
    api.add(pod("shop/there-x").on("w2").owned_by_job("there").labelled("batch.kubernetes.io/job-name", "there"));
    api.add(pod("shop/bare").on("w2"));
    let on = async |node| jobs(&cluster(&api), &shop(), None, Some(node)).await.unwrap().len();
    assert_eq!((on("w1").await, on("w2").await), (1, 0), "the job of the pod on w2 does not exist");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_pod_is_not_well_says_what_the_pod_has() {
    let api = ApiServer::bare();
    api.add(job("shop/report"));
    api.edit::<k8s_openapi::api::batch::v1::Job>("shop/report", json!({"status": {"active": 1, "ready": 0}}));
    api.add(pod("shop/report-x").on("w1").owned_by_job("report").labelled("batch.kubernetes.io/job-name", "report"));
    api.edit::<Pod>(
        "shop/report-x",
        json!({"status": {"phase": "Pending", "containerStatuses": [{
            "name": "main", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
        }]}}),
    );
    let rows = jobs(&cluster(&api), &shop(), None, None).await.unwrap();
    assert_eq!(rows[0].reason.as_deref(), Some("report-x: main: ImagePullBackOff: not found"));
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_shows_what_runs_with_an_image_of_before() {
    let api = api();
    api.add(cron_job("shop/report").image("x:2").time_zone("Europe/Berlin").scheduled_ago(seconds(60)));
    api.add(cron_job("shop/quiet").suspended());
    api.add(job("shop/report-1").of("report").image("x:1")).add(job("shop/report-2").of("report").image("x:2"));
    api.add(job("shop/report-0").of("report").image("x:0").ended("Complete", ""));
    settle().await;
    let rows = cron_jobs(&cluster(&api), &shop(), None).await.unwrap();
    let [quiet, report] = &rows[..] else { panic!("{rows:?}") };
    assert!(quiet.facts.suspended && quiet.facts.next_run.is_none() && quiet.running.is_empty());
    assert_eq!(
        (report.facts.time_zone.as_deref(), report.images.as_slice()),
        (Some("Europe/Berlin"), &["x:2".to_owned()][..])
    );
    let running: Vec<_> = report.running.iter().map(|job| (job.name.as_str(), job.differences.is_empty())).collect();
    assert_eq!(running, [("report-1", false), ("report-2", true)]);
}
