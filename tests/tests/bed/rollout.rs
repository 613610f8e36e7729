//! Restarts of real workloads by real controllers and kubelets.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::{
    drain::tenant::{OBEYS, Tenant},
    run::Run,
    turn::on_the_bed,
};

/// As w1 and w2 both run a pod of it, the tenant is not on w1 alone.
fn daemon_set(tenant: &Tenant<'_>, app: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": app},
        "spec": {"selector": {"matchLabels": {"app": app}}, "template": tenant.template(app, OBEYS, 10)},
    })
}

/// `usher rollout` in the tenant's namespace.
async fn usher(tenant: &Tenant<'_>, words: &[&str]) -> anyhow::Result<Run> {
    let place = ["--namespace", &tenant.name, "--output", "json", "--progress", "json"];
    Ok(Run::read(tenant.bed.usher(&[&["rollout"][..], words, &place].concat()).await?))
}

fn uids(pods: &[Pod]) -> Vec<String> {
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).filter_map(|pod| pod.uid()).collect()
}

#[test]
fn a_restart_is_complete_when_every_pod_is_another_one() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            tenant.run(&[tenant.obedient("web", 2), tenant.obedient("api", 1)], 3).await?;
            let set = json!({"apiVersion": "v1", "kind": "List", "items": [daemon_set(tenant, "agent")]}).to_string();
            let words = ["apply", "--namespace", &tenant.name, "--filename", "-"];
            bed.kubectl_with_input(&words, &set).await?.success()?;
            usher(tenant, &["status", "--wait", "--timeout", "2m"]).await?.assert_exit(0);
            let before = uids(&tenant.pods().await?);

            let run = usher(tenant, &["restart", "deployment,daemonset", "--yes", "--timeout", "5m"]).await?;
            run.assert_exit(0);
            let ended: Vec<_> =
                run.report["workloads"].as_array().into_iter().flatten().map(|it| &it["ended"]).collect();
            assert_eq!(ended, ["complete"; 3], "{}", run.output);
            let after = uids(&tenant.pods().await?);
            assert!(after.iter().all(|uid| !before.contains(uid)), "{before:?} {after:?} {}", run.output);
            assert_eq!(after.len(), before.len());

            // And back: the template is that of before, so the pods are others again.
            let at = run.report["restartedAt"].as_str().unwrap_or_default().to_owned();
            let names =
                ["undo", "deployment/web", "daemonset/agent", "--restarted-at", &at, "--yes", "--timeout", "5m"];
            usher(tenant, &names).await?.assert_exit(0);
            Ok(())
        })
        .await
    });
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_as_the_reason() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let mut web = tenant.obedient("web", 1);
            web["spec"]["progressDeadlineSeconds"] = 15.into();
            tenant.run(&[web], 1).await?;
            let before = uids(&tenant.pods().await?);
            tenant.kubectl(&["rollout", "pause", "deployment/web"]).await?;
            tenant.kubectl(&["set", "image", "deployment/web", "main=bed.local/no-such-image:1"]).await?;
            let paused = usher(tenant, &["restart", "deployment/web", "--yes"]).await?;
            paused.assert_exit(3);
            tenant.kubectl(&["rollout", "resume", "deployment/web"]).await?;

            let run = usher(tenant, &["restart", "deployment/web", "--yes"]).await?;
            run.assert_exit(1);
            run.assert_says("main: ErrImageNeverPull: ");
            run.assert_says("bed.local/no-such-image:1");

            let still: Vec<_> = uids(&tenant.pods().await?).into_iter().filter(|uid| before.contains(uid)).collect();
            assert_eq!(still, before, "the old pod serves on");
            Ok(())
        })
        .await
    });
}
