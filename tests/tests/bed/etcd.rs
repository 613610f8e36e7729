//! etcd with three members that every apiserver knows, so that no apiserver tells of the member beside it.

use usher_testkit::bed::{Bed, CONTROL_PLANES};

use crate::{
    observe::{boot_id, invocation},
    run::Run,
    turn::on_the_bed,
};

const UNIT: &str = "etcd.service";

/// The machines whose turn began, in order.
fn begun(run: &Run) -> Vec<&str> {
    let began = run.events.iter().filter(|event| event["event"] == "turnBegan");
    began.filter_map(|event| event["machine"].as_str()).collect()
}

/// Fails unless usher has handed the leadership over once at most, and to a machine whose turn had ended before.
fn assert_handed_over_once(run: &Run, order: &[&str]) {
    let handed = |event: &&serde_json::Value| event["event"] == "fact" && event.to_string().contains("etcd handed to ");
    let facts: Vec<_> = run.events.iter().filter(handed).filter_map(|event| event["what"].as_str()).collect();
    assert!(facts.len() <= 1, "{facts:?} in {}", run.output);
    for fact in facts {
        let to = order.iter().position(|machine| fact.contains(&format!("etcd handed to {machine} ")));
        assert!(to.is_some_and(|to| to + 1 < order.len()), "{fact}: {order:?}");
    }
}

#[test]
fn a_dead_member_on_another_machine_refuses_a_reboot_although_every_readyz_is_green() {
    on_the_bed(async |bed| {
        let before = boot_id(bed, "cp1").await?;
        bed.exec("cp3", &["systemctl", "stop", UNIT]).await?.success()?;
        for machine in CONTROL_PLANES {
            bed.api_ready(machine).await?;
        }

        let run = Run::of(bed, &["reboot", "cp1"]).await?;

        run.assert_exit(3);
        run.assert_says("etcd cannot spare its member on cp1 now");
        run.assert_says("the member on cp3 does not answer");
        run.assert_says("--override-blocker etcd-quorum");
        assert_eq!(before, boot_id(bed, "cp1").await?);
        let shown = bed.usher(&["leaders"]).await?.success()?;
        assert!(shown.says("the member on cp3 does not answer"), "{shown}");
        Ok(())
    });
}

#[test]
fn members_are_restarted_the_leader_last_and_usher_moves_the_leadership_once_at_most() {
    on_the_bed(async |bed| {
        let leader = bed.wait_etcd_leader().await?;
        let before = invocations(bed).await?;
        let term = bed.etcd_term().await?;

        let run = Run::of(bed, &["restart", "etcd"]).await?;

        run.assert_exit(0);
        let order = begun(&run);
        assert_eq!(order.len(), 3, "{}", run.output);
        assert_eq!(order[2], leader, "{}", run.output);
        assert_handed_over_once(&run, &order);
        assert_ne!(bed.wait_etcd_leader().await?, leader);
        assert_eq!(bed.etcd_term().await? - term, 1, "one election, and that one asked for");
        let after = invocations(bed).await?;
        assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
        bed.wait_etcd().await
    });
}

#[test]
fn a_roll_of_reboots_over_all_three_members_hands_the_leadership_to_one_that_is_done() {
    on_the_bed(async |bed| {
        let leader = bed.wait_etcd_leader().await?;

        let run = Run::of(bed, &["reboot", "cp1", "cp2", "cp3"]).await?;

        run.assert_exit(0);
        let order = begun(&run);
        assert_eq!(order.len(), 3, "{}", run.output);
        assert_ne!(order[0], leader, "a member that is done must be there to take over: {}", run.output);
        assert_handed_over_once(&run, &order);
        bed.wait_etcd().await
    });
}

async fn invocations(bed: &Bed) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for machine in CONTROL_PLANES {
        found.push(invocation(bed, machine.name, UNIT).await?);
    }
    Ok(found)
}
