//! Jobs on units: how they end, and the proof.

use std::time::Duration;

use tokio::time::timeout;
use usher_agent::machine::bus::Address;
use usher_proto::v1::{FailureKind, Operation, OperationKind};
use usher_testkit::{
    rig::agent::{Rig, UNIT, order, steps, succeeded},
    systemd::JobOutcome,
};

fn failed(operation: &Operation) -> (FailureKind, &str) {
    let failure = operation.failure.as_ref().expect("a failure");
    (failure.kind(), failure.message.as_str())
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_for_the_job_and_proves_the_new_invocation() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(80));
    let mut alice = rig.operator().await;
    let accepted = alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert_eq!((accepted.kind(), accepted.unit.as_str()), (OperationKind::RestartUnit, UNIT));
    assert_eq!(steps(&accepted), ["accepted"]);

    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(steps(&end), ["accepted", "job", "active"]);
    let evidence = end.evidence.unwrap();
    assert_eq!(evidence.invocation_id_before, rig.invocation);
    assert_eq!(evidence.invocation_id_after, rig.systemd.unit(UNIT).invocation_id);
    assert_ne!(evidence.invocation_id_after, evidence.invocation_id_before);
    assert_eq!(evidence.unit_took.unwrap().seconds, 80);
    assert_eq!(end.caller, ["CN=alice"]);
    assert_eq!((end.order.unwrap().reason.as_str(), end.ended_at.is_some()), ("new CA", true));
}

#[tokio::test]
async fn a_failed_job_brings_the_journal() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.outcome = JobOutcome::Failed);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    let (kind, message) = failed(&end);
    assert_eq!(kind, FailureKind::Job);
    assert_eq!(message, "systemd's job ended with \"failed\"; kube-scheduler.service is failed (failed, exit-code)");
    let journal = end.failure.unwrap().journal;
    assert_eq!(journal, [format!("12:00:01 first line of {UNIT}"), "12:00:02 it hurts".to_owned()]);
}

#[tokio::test]
async fn done_is_no_proof() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.outcome = JobOutcome::Nothing);
    let mut alice = rig.operator().await;
    alice.restart(order("same"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("same").await;
    let (kind, message) = failed(&end);
    assert_eq!(kind, FailureKind::Job);
    assert!(message.contains("still runs under InvocationID"), "{message}");

    alice.stop(order("up"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("up").await;
    assert!(failed(&end).1.contains("is active"), "{end:?}");
}

#[tokio::test]
async fn a_job_that_polkit_forbids_fails_with_its_words() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.outcome = JobOutcome::AccessDenied);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    let (kind, message) = failed(&end);
    assert_eq!(kind, FailureKind::Systemd);
    assert!(message.contains("Access denied"), "{message}");
}

#[tokio::test]
async fn a_job_beyond_its_limit_fails_and_goes_on() {
    let rig = Rig::with("job_timeout = '300ms'").await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(3600));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    let (kind, message) = failed(&end);
    assert_eq!(kind, FailureKind::Job);
    assert!(message.contains("has not ended within 300ms") && message.contains("deactivating"), "{message}");
}

#[tokio::test]
async fn a_stop_and_a_start_are_proved_too() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.stop(order("stop"), UNIT, &rig.invocation).await.unwrap();
    let stopped = alice.end_of("stop").await;
    assert!(succeeded(&stopped), "{stopped:?}");
    assert_eq!(rig.systemd.unit(UNIT).active_state, "inactive");

    alice.start(order("start"), UNIT).await.unwrap();
    let started = alice.end_of("start").await;
    assert!(succeeded(&started), "{started:?}");
    let evidence = started.evidence.unwrap();
    assert_eq!(evidence.invocation_id_after, rig.systemd.unit(UNIT).invocation_id);
    assert_ne!(evidence.invocation_id_after, rig.invocation);
}

#[tokio::test]
async fn an_active_unit_is_not_started_again() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.start(order("a"), UNIT).await.unwrap();
    let end = alice.end_of("a").await;
    assert!(succeeded(&end));
    assert!(rig.systemd.jobs().is_empty());
    assert_eq!(end.evidence.unwrap().invocation_id_after, rig.invocation);
}

#[tokio::test]
async fn a_restart_of_the_bus_loses_neither_the_job_nor_the_agent() {
    let mut rig = Rig::without_agent("");
    let listener = rig.systemd.listen(&rig.path().join("bus")).unwrap();
    rig.start_on(Address::Peer(listener.address())).await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_millis(700));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    rig.systemd.drop_connections();
    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(rig.systemd.jobs().len(), 1);
    assert_eq!(alice.node().await.units.len(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_changes_nothing() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_millis(200));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    drop(alice);
    assert!(succeeded(&rig.viewer().await.end_of("a").await));
}

#[tokio::test]
async fn a_crowd_of_other_jobs_holds_nothing_up() {
    let rig = Rig::new().await;
    // Many more than zbus keeps for a listener before it stops reading, answers included.
    rig.systemd.set_other_jobs(300);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = timeout(Duration::from_secs(10), alice.end_of("a")).await.expect("systemd answered long ago");
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(steps(&end), ["accepted", "job", "active"]);
}
