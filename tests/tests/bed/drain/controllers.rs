//! Pods that a controller brings back, or that must finish, or that a budget keeps.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};
use usher_testkit::bed::until;

use super::tenant::{Tenant, needs, stateful_set};
use crate::{observe::node_of, turn::on_the_bed};

/// kubectl asks again this long after a budget has refused.
const KUBECTLS_PAUSE: Duration = Duration::from_secs(5);
/// Far longer than a Job's pod needs to start.
const JOB_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_successor_of_the_same_name_is_another_pod_wherever_it_is() {
    on_the_bed(async |bed| {
        for elsewhere in [Some("w2"), None] {
            Tenant::with(bed, async |tenant| {
                // The first is back long before the second has ended.
                let script = "trap 'case $(hostname) in *-1) sleep 6;; esac; exit 0' TERM; while true; do sleep 3600 & wait; done";
                let lives = tenant.run(&[stateful_set("pg", 2, &tenant.template("pg", script, 20))], 2).await?;
                if elsewhere.is_none() {
                    bed.kubectl(&["cordon", "w2"]).await?.success()?;
                }
                let before = tenant.pod("pg-0").await?.metadata.uid;

                let run = tenant.drain(&[]).await?;
                run.assert_exit(0);
                let successor = tenant.pod("pg-0").await?;
                assert_ne!(successor.metadata.uid, before);
                assert_eq!(node_of(&successor), elsewhere);
                assert_eq!(successor.metadata.deletion_timestamp, None);
                assert_eq!((lives.gone(2).await?.len(), lives.hit_elsewhere()), (2, 0));
                run.assert_says("2 pods gone");
                Ok(())
            })
            .await?;
            bed.kubectl(&["uncordon", "w1"]).await?.success()?;
        }
        Ok(())
    });
}

/// A Job whose work takes long enough that a drain meets it, and fails if it is told to go before.
fn job(tenant: &Tenant<'_>) -> Value {
    let mut template = tenant.template("report", "trap 'exit 1' TERM; sleep 15 & wait $! && exit 0", 10);
    template["spec"]["restartPolicy"] = "Never".into();
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "report"},
        "spec": {"backoffLimit": 0, "template": template},
    })
}

#[test]
fn a_job_that_is_waited_for_succeeds_and_one_that_is_not_is_evicted() {
    on_the_bed(async |bed| {
        for (flags, phase, succeeded) in [(&["--wait-for-jobs"][..], "Succeeded", 1), (&[], "Failed", 0)] {
            Tenant::with(bed, async |tenant| {
                let lives = tenant.run(&[job(tenant)], 1).await?;
                let run = tenant.drain(flags).await?;
                run.assert_exit(0);
                assert_eq!(run.output.says("1 to end by themselves"), succeeded == 1, "{}", run.output);
                let [life] = &lives.gone(1).await?[..] else { anyhow::bail!("not one pod: {lives:#?}") };
                assert_eq!(life.phase(), phase, "{flags:?}: {life:#?}");
                let status = until("the end of the Job", JOB_LIMIT, async || {
                    let status = tenant.api::<Job>().get("report").await?.status.unwrap_or_default();
                    Ok(status.conditions.is_some().then_some(status))
                })
                .await?;
                assert_eq!(status.succeeded.unwrap_or_default(), succeeded, "{flags:?}");
                assert_eq!(status.failed.unwrap_or_default(), 1 - succeeded, "{flags:?}");
                run.assert_says("1 pod gone");
                Ok(())
            })
            .await?;
            bed.kubectl(&["uncordon", "w1"]).await?.success()?;
        }
        Ok(())
    });
}

#[test]
fn under_a_budget_of_one_pods_go_one_by_one_as_fast_as_their_successors_come() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let budget = json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
            });
            let lives = tenant.run(&[tenant.obedient("web", 6), budget], 6).await?;
            let run = tenant.drain(&[]).await?;
            run.assert_exit(0);
            run.assert_says("The disruption budget web needs 5 healthy pods and has 5 currently");
            assert_eq!((lives.gone(6).await?.len(), lives.hit_elsewhere()), (6, 0));
            assert_eq!(lives.fewest_available(), 5);
            let took = run.output.took;
            assert!(took < KUBECTLS_PAUSE * 6, "{took:?} for six pods");
            Ok(())
        })
        .await
    });
}

#[test]
fn a_budget_that_is_edited_lets_its_pods_go_at_once() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let objects = [tenant.obedient("free", 1), tenant.obedient("kept", 2), needs("kept", 2)];
            let lives = tenant.run(&objects, 3).await?;
            let (run, edited) = tokio::join!(tenant.drain(&["--ignore-verdicts"]), async {
                // All are asked about in the same moment.
                lives.await_told(1).await?;
                let free = ["patch", "pdb", "kept", "--type=merge", "--patch", r#"{"spec": {"minAvailable": 0}}"#];
                tenant.kubectl(&free).await?;
                anyhow::Ok(tokio::time::Instant::now())
            });
            let (run, edited) = (run?, edited?);
            run.assert_exit(0);
            run.assert_says("The disruption budget kept needs 2 healthy pods and has 2 currently");
            let gone = lives.gone(3).await?;
            for kept in &gone[1..] {
                let pause = kept.told.context("never told to go")?.saturating_duration_since(edited);
                assert!(pause < KUBECTLS_PAUSE / 2, "asked again {pause:?} after the edit");
            }
            Ok(())
        })
        .await
    });
}
