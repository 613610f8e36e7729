//! Jobs and CronJobs: what a deletion leaves behind, and what the server adds to a template.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::{Value, json};

use super::{
    Server,
    seen::{Seen, field, make},
};

fn spec() -> Value {
    json!({
        "template": {
            "metadata": {"labels": {"app": "report"}},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "registry.example/main:1", "env": [{"name": "A", "value": "b"}]}],
            },
        },
    })
}

fn job(name: &str) -> Job {
    make(json!({"metadata": {"name": name}, "spec": spec()}))
}

/// No garbage collector runs: what it is asked to do is seen by its finalizers.
pub(crate) async fn propagation(_: &impl Server, seen: &mut Seen) {
    let jobs: Api<Job> = seen.api();
    for (name, policy) in [
        ("unsaid", None),
        ("orphan", Some(PropagationPolicy::Orphan)),
        ("background", Some(PropagationPolicy::Background)),
        ("foreground", Some(PropagationPolicy::Foreground)),
    ] {
        jobs.create(&PostParams::default(), &job(name)).await.unwrap();
        let params = DeleteParams { propagation_policy: policy, ..DeleteParams::default() };
        let answer = seen.call(name, jobs.delete(name, &params).await).unwrap();
        seen.note("answer is a Status", answer.is_right());
        if let Some(left) = seen.call("get", jobs.get(name).await) {
            seen.note("going", left.metadata.deletion_timestamp.is_some());
            seen.note("finalizers", field(&left, "/metadata/finalizers"));
        }
    }
    seen.call("foreground again", jobs.delete("foreground", &DeleteParams::foreground()).await);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some("11111111-2222-4333-8444-555555555555".to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::foreground()
    };
    seen.call("another uid", jobs.delete("foreground", &params).await);
    let dry = DeleteParams { dry_run: true, ..DeleteParams::foreground() };
    jobs.create(&PostParams::default(), &job("dry")).await.unwrap();
    seen.call("as a dry run", jobs.delete("dry", &dry).await);
    seen.note("still", field(&jobs.get("dry").await.unwrap(), "/metadata/deletionTimestamp").is_null());
}

/// Where the template of a job differs from that of the CronJob that it was made of.
pub(crate) async fn templates(_: &impl Server, seen: &mut Seen) {
    let cron_jobs: Api<CronJob> = seen.api();
    let cron_job: CronJob = make(json!({
        "metadata": {"name": "report"}, "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": spec()}},
    }));
    let cron_job = seen.call("create a cron job", cron_jobs.create(&PostParams::default(), &cron_job).await).unwrap();
    let jobs: Api<Job> = seen.api();
    let made: Job = make(json!({
        "metadata": {"name": "report-1", "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "report", "uid": cron_job.uid(), "controller": true,
        }]},
        "spec": field(&cron_job, "/spec/jobTemplate/spec"),
    }));
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let tried = seen.call("try a job of it", jobs.create(&dry, &made).await).unwrap();
    let made = seen.call("create a job of it", jobs.create(&PostParams::default(), &made).await).unwrap();
    for (what, job) in [("tried", &tried), ("created", &made)] {
        let mut template = field(job, "/spec/template");
        let labels = template["metadata"]["labels"].as_object_mut().unwrap();
        let names: Vec<_> = labels.keys().cloned().collect();
        seen.note(&format!("labels of the {what}"), names.join(" "));
        labels.retain(|label, _| label == "app");
        template["metadata"]
            .as_object_mut()
            .unwrap()
            .retain(|name, value| name != "creationTimestamp" || !value.is_null());
        let mut own = field(&cron_job, "/spec/jobTemplate/spec/template");
        own["metadata"].as_object_mut().unwrap().retain(|name, value| name != "creationTimestamp" || !value.is_null());
        seen.note("else the same", template == own);
    }
    let selector = field(&made, "/spec/selector/matchLabels");
    seen.note("selects by", selector.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" "));
    let of_uid = selector["batch.kubernetes.io/controller-uid"] == made.uid().unwrap_or_default();
    seen.note("which is its uid", of_uid);
}
