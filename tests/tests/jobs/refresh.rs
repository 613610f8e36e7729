//! `usher cronjob refresh`: which jobs are stale.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{Api, api::PostParams};
use serde_json::json;
use usher_coordinator::workloads::{
    Namespaces,
    replace::{CronJobs, JobPlan, LookupError, Start, refresh},
};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{cron_job, job},
};

use super::cluster::{api, cluster, settle};

pub(crate) async fn named(api: &ApiServer, name: &str, run: bool) -> JobPlan {
    let which = CronJobs::Named { namespace: "shop".to_owned(), name: name.to_owned() };
    refresh(&cluster(api), &which, run).await.unwrap()
}

fn differences(plan: &JobPlan) -> Vec<String> {
    let jobs = plan.replacements.iter().flat_map(|replacement| &replacement.jobs);
    jobs.flat_map(|job| job.differences.iter().map(|it| format!("{}: {it}", job.name))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_with_an_image_of_before_is_stale_and_one_of_now_is_not() {
    let api = api();
    api.add(cron_job("shop/report").image("report:2"));
    api.add(job("shop/report-1").of("report").image("report:1"));
    api.add(job("shop/report-2").of("report").image("report:2"));
    api.add(job("shop/report-0").of("report").image("report:0").ended("Complete", ""));
    api.add(job("shop/other").image("report:1"));
    settle().await;
    let plan = named(&api, "report", true).await;
    assert_eq!(differences(&plan), ["report-1: spec.containers[main].image: report:1 → report:2"]);
    assert_eq!(plan.replacements[0].start, Start::Yes);
    let kept: Vec<_> = plan.kept.iter().map(|job| format!("{}: {}", job.name, job.why)).collect();
    assert_eq!(kept, ["report-2: its template is the cron job's"]);
    assert_eq!(api.writes(), ["POST /apis/batch/v1/namespaces/shop/jobs?dryRun=All"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_of_an_unchanged_cron_job_is_never_stale() {
    let api = api();
    api.add(cron_job("shop/report"));
    // As kubectl and the controller make it: by the template of the CronJob as the API has it.
    let of: CronJob = api.get("shop/report").unwrap();
    let made: Job = serde_json::from_value(json!({
        "metadata": {"name": "report-1", "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "report", "uid": of.metadata.uid, "controller": true,
        }]},
        "spec": of.spec.unwrap().job_template.spec,
    }))
    .unwrap();
    Api::<Job>::namespaced(api.client(), "shop").create(&PostParams::default(), &made).await.unwrap();
    settle().await;
    api.edit::<CronJob>("shop/report", json!({"spec": {"schedule": "5 * * * *", "suspend": true}}));
    api.forget_requests();
    let plan = named(&api, "report", true).await;
    assert!(plan.replacements.is_empty() && plan.kept.len() == 1, "{plan:?}");
    assert!(api.writes().is_empty(), "nothing has to be tried");
}

#[tokio::test(start_paused = true)]
async fn other_fields_of_the_template_count_too() {
    let api = api();
    api.add(cron_job("shop/report")).add(job("shop/report-1").of("report"));
    settle().await;
    let containers =
        json!([{"name": "main", "image": "registry.example/main:1", "env": [{"name": "A", "value": "1"}]}]);
    let spec = json!({"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}});
    api.edit::<CronJob>("shop/report", json!({"spec": spec}));
    assert_eq!(differences(&named(&api, "report", false).await), ["report-1: spec.containers[main].env"]);
}

#[tokio::test(start_paused = true)]
async fn all_of_a_namespace_or_those_with_a_label_are_looked_at() {
    let api = api();
    for place in ["shop/a", "shop/b", "bank/c"] {
        let name = place.split_once('/').unwrap().1;
        api.add(cron_job(place).image("x:2").labelled("name", name))
            .add(job(&format!("{place}-1")).of(name).image("x:1"));
    }
    settle().await;
    let stale = async |namespaces: Namespaces, selector: Option<&str>| {
        let which = CronJobs::All { namespaces, selector: selector.map(str::to_owned) };
        let plan = refresh(&cluster(&api), &which, false).await.unwrap();
        plan.replacements.iter().flat_map(|it| it.jobs.iter().map(|job| job.name.clone())).collect::<Vec<_>>()
    };
    assert_eq!(stale(Namespaces::One("shop".into()), None).await, ["a-1", "b-1"]);
    assert_eq!(stale(Namespaces::All, None).await, ["c-1", "a-1", "b-1"]);
    assert_eq!(stale(Namespaces::All, Some("name in (b,c)")).await, ["c-1", "b-1"]);
}

#[tokio::test(start_paused = true)]
async fn none_is_started_for_a_suspended_cron_job() {
    let api = api();
    api.add(cron_job("shop/report").image("x:2").suspended()).add(job("shop/report-1").of("report").image("x:1"));
    settle().await;
    let plan = named(&api, "report", true).await;
    assert_eq!(plan.replacements[0].start, Start::Suspended);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_cron_job_is_met_with_the_one_that_was_meant() {
    let api = api();
    api.add(cron_job("shop/report"));
    let which = CronJobs::Named { namespace: "shop".to_owned(), name: "repotr".to_owned() };
    let error = refresh(&cluster(&api), &which, false).await.unwrap_err();
    assert!(matches!(error, LookupError::Missing { nearest: Some(name), .. } if name == "report"));
}
