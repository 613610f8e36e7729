//! Scenario 1: the control plane is restarted leader-last, and nobody notices.

use usher_testkit::bed::{CONTROL_PLANES, Prober};

use crate::{
    observe::{invocations, most_unready, transitions},
    run::Run,
    turn::on_the_bed,
};

const ELECTED: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

#[test]
fn all_three_components_are_restarted_leader_last_and_no_request_through_the_balancer_fails() {
    on_the_bed(async |bed| {
        let mut leaders = Vec::new();
        for component in ELECTED {
            leaders.push((component, bed.wait_leader(component).await?, transitions(bed, component).await?));
        }
        let before = invocations(bed).await?;
        let unready = most_unready(bed);
        let prober = Prober::start(bed)?;

        let run = Run::of(bed, &["restart", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]).await?;

        let probes = prober.stop().await?;
        run.assert_exit(0);
        assert_eq!(unready.stop(), 1, "one apiserver was away at a time, and that was seen");
        assert!(
            probes.failed.is_empty(),
            "{} of {} reads failed: {:?}",
            probes.failed.len(),
            probes.sent,
            probes.failed
        );
        assert!(probes.sent > 100, "only {} reads", probes.sent);

        for (place, invocation) in invocations(bed).await? {
            assert_ne!(before[&place], invocation, "{place:?} was not restarted");
        }
        for (component, leader, moved) in &leaders {
            let order = run.order(component);
            assert_eq!(order.len(), CONTROL_PLANES.len(), "{component}: {order:?}");
            assert_eq!(order.last(), Some(leader), "{component}: the leader goes last");
            let moved = transitions(bed, component).await? - moved;
            assert!(moved <= 1, "the leadership of {component} moved {moved} times");
        }
        let order = run.order("kube-apiserver");
        let holds_a_lease = |machine: &String| leaders.iter().any(|(_, leader, _)| leader == machine);
        assert!(order.is_sorted_by_key(holds_a_lease), "the machines of the leaders go last: {order:?}, {leaders:?}");
        Ok(())
    });
}

#[test]
fn without_the_depool_commands_a_gap_alone_loses_requests_and_the_plan_warns() {
    on_the_bed(async |bed| {
        let words =
            ["restart", "kube-apiserver", "--reason", "bed test", "--yes", "--output", "json", "--progress", "json"];
        let prober = Prober::start(bed)?;
        let run = Run::read(bed.usher_with(&bed.folder().cluster_file_without_pool(), &words).await?);
        let probes = prober.stop().await?;

        run.assert_exit(0);
        run.assert_says("depool");
        assert!(!probes.failed.is_empty(), "all of {} reads succeeded: this bed would prove nothing", probes.sent);
        Ok(())
    });
}
