//! Every refusal of the contract, and that nothing was touched by it.

use std::{fs, future::Future, time::Duration};

use tonic::{Code, Status};
use usher_agent::machine::bus::Address;
use usher_proto::{
    reason,
    v1::{Operation, Order},
};

use usher_testkit::rig::agent::{MISSING, OTHER, Rig, UNIT, order, refused, succeeded};

const WRONG: &str = "00000000000000000000000000000bad";

async fn refusal(call: impl Future<Output = Result<Operation, Status>>, key: &str) -> (Code, String, String) {
    refused(&call.await.expect_err("a refusal"), key)
}

fn is(told: &(Code, String, String), code: Code, reason: &str) {
    assert_eq!((told.0, told.1.as_str()), (code, reason));
}

#[tokio::test]
async fn malformed_requests_are_refused_with_the_field_named() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let id = &rig.invocation;
    let without_reason = Order { reason: " ".to_owned(), ..order("a") };
    for (call, field) in [
        (alice.restart(order(""), UNIT, id).await, "order.operation_id"),
        (alice.restart(order("../../etc"), UNIT, id).await, "order.operation_id"),
        (alice.restart(order(&"x".repeat(65)), UNIT, id).await, "order.operation_id"),
        (alice.restart(without_reason, UNIT, id).await, "order.reason"),
        (alice.restart(order("a"), "", id).await, "unit"),
        (alice.restart(order("a"), UNIT, "").await, "expected_invocation_id"),
        (alice.stop(order("a"), UNIT, "123").await, "expected_invocation_id"),
        (alice.reboot(order("a"), "", &[]).await, "expected_boot_id"),
    ] {
        let told = refused(&call.unwrap_err(), "field");
        assert_eq!(told, (Code::InvalidArgument, reason::BAD_REQUEST.to_owned(), field.to_owned()));
    }
    assert!(rig.systemd.jobs().is_empty());
}

#[tokio::test]
async fn a_unit_outside_the_list_is_refused_and_the_list_is_told() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let status = alice.restart(order("a"), OTHER, &rig.invocation).await.unwrap_err();
    is(&refused(&status, ""), Code::PermissionDenied, reason::UNIT_NOT_ALLOWED);
    assert!(status.message().contains(UNIT), "{}", status.message());
    let told = refusal(alice.start(order("a"), "ssh.service"), "").await;
    is(&told, Code::PermissionDenied, reason::UNIT_NOT_ALLOWED);
    assert!(rig.systemd.jobs().is_empty());
}

#[tokio::test]
async fn a_unit_that_systemd_does_not_know_is_refused() {
    let rig = Rig::new().await;
    let told = refusal(rig.operator().await.start(order("a"), MISSING), "").await;
    is(&told, Code::NotFound, reason::NO_SUCH_UNIT);
}

#[tokio::test]
async fn another_invocation_than_the_expected_is_refused_and_told() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let told = refusal(alice.restart(order("a"), UNIT, WRONG), "invocation_id").await;
    let expected = (Code::FailedPrecondition, reason::INVOCATION_MISMATCH.to_owned(), rig.invocation.clone());
    assert_eq!(told, expected);
    assert_eq!(refusal(alice.stop(order("a"), UNIT, WRONG), "invocation_id").await, expected);
    assert!(rig.systemd.jobs().is_empty());
}

#[tokio::test]
async fn a_lower_epoch_is_refused_also_by_the_next_agent() {
    let mut rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let higher = Order { epoch: 7, ..order("a") };
    alice.restart(higher, UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    rig.kill();
    rig.start().await;
    let mut alice = rig.operator().await;
    let told = refusal(alice.restart(Order { epoch: 6, ..order("b") }, UNIT, WRONG), "epoch").await;
    assert_eq!(told, (Code::Aborted, reason::STALE_EPOCH.to_owned(), "7".to_owned()));
    assert_eq!(alice.node().await.highest_epoch, 7);
}

#[tokio::test]
async fn a_higher_epoch_fences_even_if_its_call_is_refused() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    refusal(alice.restart(Order { epoch: 9, ..order("a") }, UNIT, WRONG), "").await;
    let told = refusal(alice.restart(Order { epoch: 8, ..order("b") }, UNIT, &rig.invocation), "").await;
    is(&told, Code::Aborted, reason::STALE_EPOCH);
}

#[tokio::test]
async fn a_second_operation_waits_for_the_first() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(60));
    let mut alice = rig.operator().await;
    alice.restart(order("first"), UNIT, &rig.invocation).await.unwrap();
    let told = refusal(alice.reboot(order("second"), "boot-1", &[]), "operation_id").await;
    assert_eq!(told, (Code::FailedPrecondition, reason::BUSY.to_owned(), "first".to_owned()));
    assert_eq!(rig.systemd.reboots(), 0);
}

#[tokio::test]
async fn the_same_id_is_answered_again_and_another_request_under_it_is_refused() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    let again = alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert_eq!(again, end);
    let told = refusal(alice.stop(order("a"), UNIT, &end.evidence.unwrap().invocation_id_after), "").await;
    is(&told, Code::AlreadyExists, reason::OPERATION_ID_REUSED);
    assert_eq!(rig.systemd.jobs(), [format!("restart {UNIT}")]);
}

#[tokio::test]
async fn a_held_node_is_left_alone_but_what_was_stopped_can_be_started() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.stop(order("stop"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("stop").await));
    fs::write(rig.path().join("hold"), "disk is being swapped (bob)\nsince Monday\n").unwrap();

    let expected = (Code::FailedPrecondition, reason::HELD.to_owned(), "disk is being swapped (bob)".to_owned());
    assert_eq!(refusal(alice.restart(order("a"), UNIT, &rig.invocation), "hold").await, expected);
    assert_eq!(refusal(alice.stop(order("a"), UNIT, &rig.invocation), "hold").await, expected);
    assert_eq!(refusal(alice.reboot(order("a"), "boot-1", &[]), "hold").await, expected);
    assert_eq!(rig.systemd.reboots(), 0);

    alice.start(order("start"), UNIT).await.unwrap();
    assert!(succeeded(&alice.end_of("start").await));
    let hold = alice.node().await.hold.unwrap();
    assert!(hold.text.ends_with("since Monday") && hold.since.is_some() && hold.path.ends_with("/hold"));
}

#[tokio::test]
async fn another_boot_than_the_expected_is_refused_and_told() {
    let rig = Rig::new().await;
    let told = refusal(rig.operator().await.reboot(order("a"), "boot-0", &[]), "boot_id").await;
    assert_eq!(told, (Code::FailedPrecondition, reason::BOOT_MISMATCH.to_owned(), "boot-1".to_owned()));
    assert_eq!(rig.systemd.reboots(), 0);
}

#[tokio::test]
async fn inhibitors_and_users_forbid_a_reboot_until_each_is_overridden_by_name() {
    let rig = Rig::new().await;
    rig.systemd.inhibit("shutdown:sleep", "apt", "an upgrade runs", "block");
    rig.systemd.inhibit("shutdown", "kubelet", "graceful", "delay");
    rig.systemd.inhibit("sleep", "player", "music", "block");
    rig.systemd.log_in("bob", "user", "active");
    rig.systemd.log_in("carol", "user", "closing");
    rig.systemd.log_in("gdm", "greeter", "active");
    let mut alice = rig.operator().await;
    let dry = |id: &str| Order { dry_run: true, ..order(id) };
    for (overrides, blockers) in
        [(vec![], "apt\nuser:bob"), (vec!["apt"], "user:bob"), (vec!["user:bob", "bob"], "apt")]
    {
        let told = refusal(alice.reboot(order("a"), "boot-1", &overrides), "blockers").await;
        assert_eq!(told, (Code::FailedPrecondition, reason::INHIBITED.to_owned(), blockers.to_owned()));
        let told = refusal(alice.reboot(dry("a"), "boot-1", &overrides), "blockers").await;
        assert_eq!(told.2, blockers);
    }
    assert!(alice.reboot(dry("a"), "boot-1", &["apt", "user:bob"]).await.is_ok());
    assert_eq!(rig.systemd.reboots(), 0);
}

#[tokio::test]
async fn a_reboot_that_polkit_would_not_allow_is_refused_beforehand() {
    let rig = Rig::new().await;
    rig.systemd.set_can_reboot("challenge");
    let status = rig.operator().await.reboot(order("a"), "boot-1", &[]).await.unwrap_err();
    is(&refused(&status, ""), Code::Unavailable, reason::SYSTEMD_UNAVAILABLE);
    assert!(status.message().contains("polkit"));
}

#[tokio::test]
async fn without_systemd_changes_are_refused_and_reads_say_so() {
    let mut rig = Rig::without_agent("");
    let nowhere = format!("unix:path={}", rig.path().join("nothing").display());
    rig.start_on(Address::Peer(nowhere)).await;
    let mut alice = rig.operator().await;
    let told = refusal(alice.restart(order("a"), UNIT, &rig.invocation), "").await;
    is(&told, Code::Unavailable, reason::SYSTEMD_UNAVAILABLE);
    let told = refusal(alice.reboot(order("a"), "boot-1", &[]), "").await;
    is(&told, Code::Unavailable, reason::SYSTEMD_UNAVAILABLE);
    let warnings = alice.node().await.warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with("systemd does not answer")), "{warnings:?}");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_begun() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    fs::rename(rig.path().join("state"), rig.path().join("gone")).unwrap();
    let told = refusal(alice.restart(order("a"), UNIT, &rig.invocation), "").await;
    is(&told, Code::Unavailable, reason::STATE_UNAVAILABLE);
    assert!(rig.systemd.jobs().is_empty());
    assert!(alice.node().await.current_operation.is_none());
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_leaves_nothing() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let dry = |id: &str| Order { dry_run: true, epoch: 5, ..order(id) };
    let operation = alice.restart(dry("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(operation.order.unwrap().dry_run);
    assert_eq!(operation.evidence.unwrap().invocation_id_before, rig.invocation);
    alice.reboot(dry("b"), "boot-1", &[]).await.unwrap();
    alice.stop(dry("c"), UNIT, &rig.invocation).await.unwrap();
    is(&refusal(alice.restart(dry("a"), UNIT, WRONG), "").await, Code::FailedPrecondition, reason::INVOCATION_MISMATCH);

    assert!(rig.systemd.jobs().is_empty());
    assert_eq!(rig.systemd.reboots(), 0);
    assert_eq!(alice.operation("a").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(alice.node().await.highest_epoch, 0);
}
