//! Jobs on units: how they end, and the proof.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::Code;
use usher_agent::machine::bus::Address;
use usher_proto::{
    reason,
    v1::{FailureKind, Operation, OperationKind, OperationState, Order},
};
use usher_testkit::{
    rig::agent::{Rig, UNIT, order, refused, steps, succeeded},
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
async fn a_job_that_polkit_forbids_is_refused_in_its_words() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.outcome = JobOutcome::AccessDenied);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    let (kind, message) = failed(&end);
    assert_eq!(kind, FailureKind::Refused);
    assert!(message.contains("nothing happened") && message.contains("Access denied"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_job_is_seen_though_its_signal_was_lost() {
    for (takes, at_most) in [(2, 6), (17, 21), (118, 121)] {
        let rig = Rig::new().await;
        rig.systemd
            .set_unit(UNIT, |unit| (unit.takes, unit.outcome) = (Duration::from_secs(takes), JobOutcome::Untold));
        let mut alice = rig.operator().await;
        let begun = Instant::now();
        alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
        let end = alice.end_of("a").await;
        assert!(succeeded(&end), "{end:?}");
        assert_eq!(end.evidence.unwrap().invocation_id_after, rig.systemd.unit(UNIT).invocation_id);
        assert!((takes..=at_most).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_restart_starts_nothing_that_somebody_has_stopped() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.active_state = "inactive".to_owned());
    let mut alice = rig.operator().await;
    for dry_run in [true, false] {
        let asked = alice.restart(Order { dry_run, ..order("a") }, UNIT, &rig.invocation).await;
        let told = refused(&asked.unwrap_err(), "active_state");
        assert_eq!(told, (Code::FailedPrecondition, reason::UNIT_NOT_RUNNING.to_owned(), "inactive".to_owned()));
    }
    assert!(rig.systemd.jobs().is_empty());
    for state in ["failed", "activating", "reloading"] {
        rig.systemd.set_unit(UNIT, |unit| unit.active_state = state.to_owned());
        let now = rig.systemd.unit(UNIT).invocation_id;
        alice.restart(order(state), UNIT, &now).await.unwrap();
        assert!(succeeded(&alice.end_of(state).await), "{state}");
    }
}

#[tokio::test]
async fn a_job_of_somebody_else_is_not_replaced() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(3600));
    rig.systemd.stop_behind(UNIT);
    let mut alice = rig.operator().await;
    for asked in [
        alice.restart(order("a"), UNIT, &rig.invocation).await,
        alice.stop(order("a"), UNIT, &rig.invocation).await,
        alice.start(order("a"), UNIT).await,
    ] {
        let (code, reason, job) = refused(&asked.unwrap_err(), "job");
        assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, reason::UNIT_BUSY));
        assert!(job.starts_with("/org/freedesktop/systemd1/job/"), "{job}");
    }
    assert_eq!(rig.systemd.jobs(), [format!("stop {UNIT}")]);
}

#[tokio::test(start_paused = true)]
async fn what_changed_since_the_call_was_accepted_is_seen_right_before_systemd_is_asked() {
    let rig = Rig::new().await;
    rig.systemd.answers_after(Duration::from_secs(2));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    rig.systemd.stop_behind(UNIT);
    let end = alice.end_of("a").await;
    let (kind, message) = failed(&end);
    assert_eq!(kind, FailureKind::Refused);
    assert!(message.starts_with("nothing was done") && message.contains("was stopped"), "{message}");
    assert_eq!(rig.systemd.jobs(), [format!("stop {UNIT}")]);
}

#[tokio::test]
async fn a_unit_that_systemd_cannot_load_is_refused_beforehand() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    for load_state in ["masked", "bad-setting", "error"] {
        rig.systemd.set_unit(UNIT, |unit| unit.load_state = load_state);
        for asked in [
            alice.restart(Order { dry_run: true, ..order("a") }, UNIT, &rig.invocation).await,
            alice.start(order("a"), UNIT).await,
        ] {
            let told = refused(&asked.unwrap_err(), "load_state");
            assert_eq!(told, (Code::FailedPrecondition, reason::UNIT_NOT_LOADABLE.to_owned(), load_state.to_owned()));
        }
    }
    assert!(rig.systemd.jobs().is_empty());
    rig.systemd.set_unit(UNIT, |unit| unit.load_state = "masked");
    alice.stop(order("stop"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("stop").await), "what is masked may still be stopped");
}

#[tokio::test]
async fn a_restart_by_an_old_unit_file_says_so() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.needs_daemon_reload = true);
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    assert!(end.steps.iter().any(|step| step.name == "job" && step.message.contains("daemon-reload")), "{end:?}");
}

#[tokio::test]
async fn an_operation_that_only_waits_can_be_cancelled_and_no_other() {
    let rig = Rig::with(&format!("[units.'{UNIT}'.probe]\nurl = 'https://127.0.0.1:1/x'\nverify = false\n")).await;
    let mut alice = rig.operator().await;
    let unknown = alice.cancel(order("c"), "a").await.unwrap_err();
    assert_eq!(refused(&unknown, "").1, reason::NO_SUCH_OPERATION);

    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_millis(500));
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    let working = refused(&alice.cancel(order("c"), "a").await.unwrap_err(), "step");
    assert_eq!(working, (Code::FailedPrecondition, reason::NOT_WAITING.to_owned(), "job".to_owned()));

    alice.until_step("a", "probe").await;
    let stale = Order { epoch: 0, ..order("c") };
    assert_eq!(refused(&alice.cancel(stale, "a").await.unwrap_err(), "").1, reason::STALE_EPOCH);
    let asked = alice.cancel(Order { dry_run: true, ..order("c") }, "a").await.unwrap();
    assert_eq!(asked.state(), OperationState::Running);
    let end = alice.cancel(order("c"), "a").await.unwrap();
    let (kind, message) = failed(&end);
    assert_eq!(kind, FailureKind::Cancelled);
    assert!(message.contains("alice@cumin1001") && message.contains("new CA"), "{message}");
    assert_eq!(rig.systemd.unit(UNIT).active_state, "active");
    assert_eq!(alice.cancel(order("c"), "a").await.unwrap(), end, "asked again, it is told as it ended");
    assert!(alice.node().await.current_operation.is_none());
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

#[tokio::test(start_paused = true)]
async fn a_systemd_that_executes_itself_anew_in_the_middle_of_a_restart_is_waited_for() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(12));
    // Not there when the restart is to begin, and again when the agent looks whether the job is still there.
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    rig.systemd.leave_bus(5);
    tokio::time::sleep(Duration::from_secs(6)).await;
    rig.systemd.leave_bus(5);
    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(rig.systemd.jobs(), [format!("restart {UNIT}")]);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_has_no_room_right_when_systemd_is_asked_is_asked_again_for_half_a_minute() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    // The agent's own look at its start.
    tokio::time::sleep(Duration::from_secs(1)).await;
    // systemd answers about the unit after a second, and only then does the agent ask for the job.
    rig.systemd.answers_after(Duration::from_secs(1));
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    // A call is made again every 100 ms for ten seconds, and then has failed. These are more than two of them.
    rig.systemd.fill_bus(250);
    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert!(begun.elapsed() > Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(rig.systemd.jobs(), [format!("restart {UNIT}")]);
}
