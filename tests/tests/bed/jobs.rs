//! Jobs with real controllers, garbage collector and kubelets: what is stale, and what goes with a job.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use usher_testkit::bed::{is_ready, until};

use crate::{
    drain::tenant::{OBEYS, Tenant},
    run::Run,
    turn::on_the_bed,
};

/// From nothing to a running container.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Due once a year: what runs is what the test starts.
fn cron_job(tenant: &Tenant<'_>) -> Value {
    let mut template = tenant.template("report", OBEYS, 10);
    template["spec"]["restartPolicy"] = "Never".into();
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "report"},
        "spec": {
            "schedule": "0 0 1 1 *", "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"template": template}},
        },
    })
}

impl Tenant<'_> {
    /// Makes the CronJob, and a job of it whose pod runs.
    async fn report(&self) -> anyhow::Result<()> {
        let words = ["apply", "--namespace", &self.name, "--filename", "-"];
        self.bed.kubectl_with_input(&words, &cron_job(self).to_string()).await?.success()?;
        self.kubectl(&["create", "job", "report-1", "--from=cronjob/report"]).await?;
        self.one_ready_pod().await.map(drop)
    }

    async fn one_ready_pod(&self) -> anyhow::Result<Pod> {
        until("the job's pod", START_LIMIT, async || {
            let mut pods = self.pods().await?;
            Ok((pods.len() == 1 && is_ready(&pods[0])).then(|| pods.remove(0)))
        })
        .await
    }

    async fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        Ok(self.api::<Job>().list(&ListParams::default()).await?.items)
    }

    /// `usher`, in its namespace, for programs.
    async fn usher(&self, words: &[&str]) -> anyhow::Result<Run> {
        let all = [words, &["--namespace", &self.name, "--output", "json"]].concat();
        Ok(Run::read(self.bed.usher(&all).await?))
    }
}

#[test]
fn a_job_with_a_template_of_before_is_replaced_with_its_pods() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            tenant.report().await?;
            let old = tenant.one_ready_pod().await?;
            // Whatever the server, its defaults and its admission have made of both templates: nothing has changed.
            let unchanged = tenant.usher(&["cronjob", "refresh", "report", "--dry-run"]).await?;
            unchanged.assert_exit(0);
            assert_eq!(unchanged.report["replacements"], json!([]), "{}", unchanged.output);

            tenant.kubectl(&["set", "env", "cronjob/report", "LEVEL=debug"]).await?;
            let listed = tenant.usher(&["cronjobs", "list"]).await?;
            let field = &listed.report["items"][0]["running"][0]["differences"][0]["field"];
            assert_eq!(*field, "spec.containers[main].env", "{}", listed.output);
            tenant.usher(&["cronjob", "refresh", "report", "--run", "--dry-run=server"]).await?.assert_exit(0);
            let run = tenant.usher(&["cronjob", "refresh", "report", "--run", "--yes"]).await?;
            run.assert_exit(0);
            let started = run.report["started"][0]["name"].as_str().context("a job that was started")?.to_owned();
            assert!(started.starts_with("report-manual-"), "{started}");

            let new = tenant.one_ready_pod().await?;
            assert_ne!(new.uid(), old.uid());
            let env = new.spec.and_then(|spec| spec.containers.into_iter().next()?.env).unwrap_or_default();
            assert!(env.iter().any(|it| it.name == "LEVEL" && it.value.as_deref() == Some("debug")), "{env:?}");
            let names: Vec<_> = tenant.jobs().await?.iter().map(ResourceExt::name_any).collect();
            assert_eq!(names, [started]);
            Ok(())
        })
        .await
    });
}

#[test]
fn a_job_that_is_deleted_takes_its_pods_with_it() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            tenant.report().await?;
            let run = tenant.usher(&["job", "delete", "report-1", "--yes"]).await?;
            run.assert_exit(0);
            assert_eq!(run.report["deleted"][0]["name"], "report-1", "{}", run.output);
            assert!(tenant.pods().await?.is_empty() && tenant.jobs().await?.is_empty());
            let again = tenant.usher(&["job", "delete", "report-1", "--yes"]).await?;
            again.assert_exit(3);
            Ok(())
        })
        .await
    });
}
