//! Scenarios 2, 3 and 5: machines are rebooted the polite way, or not at all.

use std::time::Duration;

use usher_testkit::bed::{Bed, Prober};

use crate::{
    observe::{
        boot_id, fewest_available, gather_on_w1, is_cordoned, most_unready, node, node_of, pods, pods_on, transitions,
    },
    run::Run,
    turn::on_the_bed,
};

/// A budget that never allows anything.
const FROZEN: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: frozen, namespace: default }
spec:
  maxUnavailable: 0
  selector: { matchLabels: { app: lonely } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: lonely, namespace: default }
spec:
  selector: { matchLabels: { app: lonely } }
  template:
    metadata: { labels: { app: lonely } }
    spec:
      nodeSelector: { kubernetes.io/hostname: w1 }
      terminationGracePeriodSeconds: 1
      containers: [{ name: main, image: bed.local/busybox:1, imagePullPolicy: Never }]
";

#[test]
fn a_worker_with_20_containers_under_a_budget_is_emptied_first_rebooted_proved_and_uncordoned() {
    on_the_bed(async |bed| {
        gather_on_w1(bed).await?;
        let before = boot_id(bed, "w1").await?;
        let moved = pods(bed).await?;
        assert_eq!(moved.len() * 2, 20, "two containers in each of ten pods");
        let available = fewest_available(bed).await?;

        let run = Run::of(bed, &["reboot", "w1"]).await?;

        run.assert_exit(0);
        let after = boot_id(bed, "w1").await?;
        assert_ne!(before, after);
        let status = bed.usher(&["agent", "status", "w1", "--output", "json"]).await?.success()?.json()?;
        assert_eq!(status["status"]["bootId"], after.as_str());
        let info = node(bed, "w1").await?.status.and_then(|status| status.node_info);
        assert_eq!(info.map(|info| info.boot_id), Some(after));
        assert!(!is_cordoned(bed, "w1").await?);

        let pods = pods(bed).await?;
        assert!(pods.iter().all(|pod| node_of(pod) == Some("w2")), "pods do not come back by themselves");
        assert!(pods.iter().all(|pod| !moved.iter().any(|old| old.metadata.uid == pod.metadata.uid)));
        assert!(available.stop() >= 7, "the budget was held");
        assert_eq!(run.report["pods"]["byNode"]["w2"], pods.len(), "{}", run.output);
        Ok(())
    });
}

#[test]
fn a_control_plane_that_is_no_node_is_rebooted_and_no_request_through_the_balancer_fails() {
    on_the_bed(async |bed| {
        let leaders = [bed.wait_leader("kube-controller-manager").await?, bed.wait_leader("kube-scheduler").await?];
        let follower = ["cp1", "cp2", "cp3"].into_iter().find(|name| !leaders.iter().any(|leader| leader == name));
        reboot_control_plane(bed, follower.unwrap_or("cp1")).await
    });
}

#[test]
fn a_control_plane_that_leads_hands_its_lease_over_before_it_is_rebooted() {
    on_the_bed(async |bed| {
        let leader = bed.wait_leader("kube-controller-manager").await?;
        let moved = transitions(bed, "kube-controller-manager").await?;

        reboot_control_plane(bed, &leader).await?;

        assert_ne!(bed.wait_leader("kube-controller-manager").await?, leader);
        assert_eq!(transitions(bed, "kube-controller-manager").await? - moved, 1);
        Ok(())
    });
}

async fn reboot_control_plane(bed: &Bed, name: &str) -> anyhow::Result<()> {
    let before = boot_id(bed, name).await?;
    let unready = most_unready(bed);
    let prober = Prober::start(bed)?;

    let run = Run::of(bed, &["reboot", name]).await?;

    let probes = prober.stop().await?;
    run.assert_exit(0);
    assert_ne!(before, boot_id(bed, name).await?);
    assert_eq!(unready.stop(), 1, "the other apiservers were ready all the while");
    assert!(probes.failed.is_empty(), "{} of {} reads failed: {:?}", probes.failed.len(), probes.sent, probes.failed);
    Ok(())
}

#[test]
fn a_node_cordoned_by_an_admin_is_refused_and_with_consent_rebooted_and_left_cordoned() {
    on_the_bed(async |bed| {
        bed.kubectl(&["cordon", "w2"]).await?.success()?;
        let before = boot_id(bed, "w2").await?;

        let refused = Run::of(bed, &["reboot", "w2"]).await?;

        refused.assert_exit(3);
        refused.assert_says("cordoned");
        refused.assert_says("--keep-cordoned");
        assert_eq!(before, boot_id(bed, "w2").await?);
        assert!(is_cordoned(bed, "w2").await?);

        let consented = Run::of(bed, &["reboot", "w2", "--keep-cordoned"]).await?;

        consented.assert_exit(0);
        assert_ne!(before, boot_id(bed, "w2").await?);
        assert!(is_cordoned(bed, "w2").await?, "it was not ours to uncordon");
        Ok(())
    });
}

#[test]
fn a_budget_that_never_allows_is_named_before_the_cordon_or_else_the_drain_is_undone_at_the_deadline() {
    on_the_bed(async |bed| {
        gather_on_w1(bed).await?;
        bed.kubectl_with_input(&["apply", "--filename", "-"], FROZEN).await?.success()?;
        bed.kubectl(&["rollout", "status", "deployment/lonely", "--timeout=60s"]).await?.success()?;
        let before = boot_id(bed, "w1").await?;

        let refused = Run::of(bed, &["reboot", "w1"]).await;
        let cordoned = is_cordoned(bed, "w1").await;
        let run = Run::of(bed, &["reboot", "w1", "--drain-timeout", "20s", "--ignore-verdicts"]).await;
        let lonely = pods_on_of(bed, "lonely").await;
        bed.kubectl_with_input(&["delete", "--filename", "-"], FROZEN).await?.success()?;
        let (refused, run) = (refused?, run?);

        refused.assert_exit(3);
        refused.assert_says("frozen");
        assert!(!cordoned?, "a drain that can never end is refused before the cordon");
        run.assert_exit(5);
        run.assert_says("default/frozen");
        let named = run.when("waiting", "frozen")?.duration_since(run.when("stepBegan", "drain")?);
        assert!(named.unsigned_abs() < Duration::from_secs(5), "the budget was named after {named}");
        assert!(run.undid("cordon"), "{}", run.output);
        assert!(!is_cordoned(bed, "w1").await?);
        assert_eq!(before, boot_id(bed, "w1").await?, "not rebooted");
        assert_eq!(lonely?, 1, "what the budget protects still runs");
        Ok(())
    });
}

async fn pods_on_of(bed: &Bed, app: &str) -> anyhow::Result<usize> {
    let words = ["get", "pods", "--selector", &format!("app={app}"), "--output", "name"];
    let listed = bed.kubectl(&words).await?.success()?.stdout;
    assert!(pods_on(bed, "w2").await? > 0, "the other pods had moved");
    Ok(listed.lines().count())
}
