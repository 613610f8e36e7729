//! The agent goes and comes back in the middle of an operation.

use std::{fs, time::Duration};

use usher_proto::v1::{FailureKind, OperationState, WatchOperationRequest};
use usher_testkit::{
    rig::{
        agent::{OTHER, Rig, UNIT, order, steps, succeeded},
        until::until,
    },
    systemd::JobOutcome,
};

/// Long enough for the agent to be killed and started again within a job.
const SLOW: Duration = Duration::from_millis(800);

#[tokio::test]
async fn a_job_under_way_is_followed_by_the_next_agent() {
    let mut rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = SLOW);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    rig.kill();
    rig.start().await;
    let end = rig.operator().await.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(steps(&end), ["accepted", "job", "resumed", "active"]);
    assert_eq!(end.evidence.unwrap().invocation_id_after, rig.systemd.unit(UNIT).invocation_id);
    assert_eq!(rig.systemd.jobs().len(), 1, "nothing is done twice");
}

#[tokio::test]
async fn a_job_that_ended_while_nobody_looked_is_settled_by_the_evidence() {
    for (outcome, good) in [(JobOutcome::Done, true), (JobOutcome::Failed, false)] {
        let mut rig = Rig::new().await;
        rig.systemd.set_unit(UNIT, |unit| (unit.takes, unit.outcome) = (Duration::from_millis(50), outcome));
        let mut alice = rig.operator().await;
        alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
        alice.until_step("a", "job").await;
        rig.kill();
        until("the job ends", async || rig.systemd.unit(UNIT).invocation_id != rig.invocation).await;
        rig.start().await;
        let end = rig.operator().await.end_of("a").await;
        assert_eq!(succeeded(&end), good, "{end:?}");
        assert_eq!(rig.systemd.jobs().len(), 1);
    }
}

#[tokio::test]
async fn a_step_of_the_clock_does_not_make_a_job_late() {
    let mut rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = SLOW);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    rig.kill();
    usher_common::clock::follow_tokio(usher_common::clock::now() + jiff::SignedDuration::from_hours(1));
    rig.start().await;
    let end = rig.operator().await.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert!(end.evidence.unwrap().unit_took.unwrap().seconds < 60);
}

/// Puts the only operation back on disk as it lay there before systemd was asked, when the unit ran as `before`.
fn unask(rig: &Rig, before: &str) {
    let state = rig.path().join("state");
    let file = fs::read_dir(state.join("operations")).unwrap().next().unwrap().unwrap().path();
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    record["state"] = serde_json::json!({ "state": "running" });
    record["progress"] = serde_json::json!({ "phase": "accepted" });
    record["ended_at"] = serde_json::Value::Null;
    record["evidence"]["invocation_id_before"] = before.into();
    fs::write(state.join("running.json"), record.to_string()).unwrap();
    fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_start_that_failed_while_nobody_looked_is_no_start_that_never_was() {
    let mut rig = Rig::new().await;
    let mut alice = rig.operator().await;
    rig.systemd.set_unit(UNIT, |unit| {
        unit.active_state = "inactive".to_owned();
        unit.outcome = JobOutcome::Failed;
    });
    alice.start(order("a"), UNIT).await.unwrap();
    alice.end_of("a").await;
    rig.kill();
    unask(&rig, &rig.invocation);
    rig.start().await;
    let failure = rig.operator().await.end_of("a").await.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::Job, "{failure:?}");
    assert!(!failure.journal.is_empty());
}

#[tokio::test]
async fn an_operation_that_systemd_never_heard_of_is_interrupted() {
    let mut rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    rig.kill();
    // The unit as it was then.
    unask(&rig, &end.evidence.unwrap().invocation_id_after);

    rig.start().await;
    let end = rig.operator().await.end_of("a").await;
    assert_eq!(end.failure.as_ref().unwrap().kind(), FailureKind::Interrupted, "{end:?}");
    assert_eq!(rig.systemd.jobs().len(), 1);
    assert!(rig.operator().await.node().await.current_operation.is_none());
}

#[tokio::test]
async fn a_restart_that_a_reboot_overtook_is_settled_by_the_new_boot() {
    let mut rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(3600));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    rig.kill();
    rig.boot("boot-2");
    rig.start().await;
    let end = rig.operator().await.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert!(end.steps.iter().any(|step| step.name == "resumed" && step.message.contains("rebooted")));
}

/// Starts an operation and kills the agent under it. Then the userspace begins anew under the same kernel, as in a soft reboot: every
/// unit runs under a new InvocationID.
async fn soft_rebooted() -> Rig {
    let mut rig = Rig::new().await;
    for unit in [UNIT, OTHER] {
        rig.systemd.set_unit(unit, |unit| unit.takes = SLOW);
    }
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    rig.kill();
    rig.systemd.boot();
    rig
}

#[tokio::test]
async fn another_units_job_that_a_soft_reboot_gave_the_same_number_is_not_followed() {
    let mut rig = soft_rebooted().await;
    rig.systemd.set_unit(OTHER, |unit| (unit.takes, unit.outcome) = (Duration::from_secs(3600), JobOutcome::Failed));
    rig.systemd.restart_by_hand(OTHER);
    // Numbers begin anew: the operation's job had that of the other unit's.
    let running = rig.path().join("state/running.json");
    let text = fs::read_to_string(&running).unwrap();
    assert!(text.contains("/job/1\""), "{text}");
    fs::write(&running, text.replace("/job/1\"", "/job/2\"")).unwrap();
    rig.start().await;
    let end = rig.operator().await.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(end.evidence.unwrap().invocation_id_after, rig.systemd.unit(UNIT).invocation_id);
    assert_eq!(rig.systemd.unit(OTHER).active_state, "deactivating", "the other unit's job goes on");
}

#[tokio::test]
async fn a_unit_that_a_soft_reboot_is_still_starting_is_awaited() {
    let mut rig = soft_rebooted().await;
    rig.systemd.restart_by_hand(UNIT);
    rig.start().await;
    let end = rig.operator().await.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(steps(&end), ["accepted", "job", "resumed", "job", "active"]);
    assert_eq!(end.evidence.unwrap().invocation_id_after, rig.systemd.unit(UNIT).invocation_id);
}

#[tokio::test]
async fn a_stop_that_a_reboot_undid_does_not_say_that_nothing_happened() {
    let mut rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(3600));
    let mut alice = rig.operator().await;
    alice.stop(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    rig.kill();
    rig.boot("boot-2");
    rig.start().await;
    let failure = rig.operator().await.end_of("a").await.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::Interrupted);
    assert!(failure.message.starts_with("interrupted by a reboot of the node"), "{}", failure.message);
}

#[tokio::test]
async fn sigterm_ends_watches_and_leaves_the_operation_to_the_next_agent() {
    let mut rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = SLOW);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let request = WatchOperationRequest { operation_id: "a".to_owned() };
    let mut watch = alice.info.watch_operation(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().operation.unwrap().state(), OperationState::Running);
    alice.until_step("a", "job").await;

    let begin = tokio::time::Instant::now();
    rig.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(2));
    let end = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert_eq!(end.unwrap_err().code(), tonic::Code::Unavailable);
    assert!(fs::read_to_string(rig.path().join("state/running.json")).unwrap().contains("\"running\""));

    rig.start().await;
    let end = rig.operator().await.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
}
