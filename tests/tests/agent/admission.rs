//! From a call to the beginning of its operation: in time or never, once, and known meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::{Code, Request};
use usher_agent::disk::MemoryDisk;
use usher_proto::{
    reason,
    v1::{Order, RestartUnitRequest},
};
use usher_testkit::rig::agent::{Caller, OTHER, Rig, UNIT, order, refused, succeeded};

use super::streams::start_in_memory;

async fn rig() -> (Rig, Caller, MemoryDisk) {
    let mut rig = Rig::without_agent("");
    let disk = MemoryDisk::default();
    disk.write(&rig.path().join("boot_id"), "boot-1").unwrap();
    let alice = start_in_memory(&mut rig, &disk).await;
    (rig, alice, disk)
}

#[tokio::test(start_paused = true)]
async fn what_systemd_keeps_waiting_for_longer_than_callers_wait_is_never_begun() {
    let (rig, mut alice, _disk) = rig().await;
    rig.systemd.answers_after(Duration::from_secs(30));
    let begun = Instant::now();
    let status = alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 8);
    let told = refused(&status, "");
    assert_eq!((told.0, told.1.as_str()), (Code::Unavailable, reason::SYSTEMD_UNAVAILABLE));
    let unknown = alice.operation("a").await.unwrap_err();
    assert_eq!(refused(&unknown, "").1, reason::NO_SUCH_OPERATION);

    sleep(Duration::from_secs(120)).await;
    assert!(rig.systemd.jobs().is_empty(), "nobody waits for it any more");
    rig.systemd.answers_after(Duration::ZERO);
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_says_how_long_it_waits_is_taken_at_its_word() {
    let (rig, mut alice, _disk) = rig().await;
    rig.systemd.answers_after(Duration::from_secs(3));
    let (unit, expected_invocation_id) = (UNIT.to_owned(), rig.invocation.clone());
    let mut request = Request::new(RestartUnitRequest { order: Some(order("a")), unit, expected_invocation_id });
    request.set_timeout(Duration::from_secs(2));
    alice.control.restart_unit(request).await.unwrap_err();
    assert_eq!(refused(&alice.operation("a").await.unwrap_err(), "").1, reason::NO_SUCH_OPERATION);
    sleep(Duration::from_secs(60)).await;
    assert!(rig.systemd.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_being_checked_is_known_and_a_question_for_it_waits_for_the_verdict() {
    let (rig, alice, _disk) = rig().await;
    rig.systemd.answers_after(Duration::from_secs(3));
    let (mut calling, mut asking, mut watching) = (alice.clone(), alice.clone(), alice.clone());
    let (call, question, watch) = tokio::join!(
        calling.restart(order("a"), UNIT, &rig.invocation),
        async {
            sleep(Duration::from_secs(1)).await;
            asking.operation("a").await
        },
        async {
            sleep(Duration::from_secs(1)).await;
            watching.end_of("a").await
        }
    );
    assert_eq!(call.unwrap().id, "a");
    assert_eq!(question.unwrap().id, "a");
    assert!(succeeded(&watch));
    assert_eq!(rig.systemd.jobs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_for_an_id_that_is_checked_for_long_is_told_to_ask_again_and_not_that_there_is_none() {
    let (rig, alice, _disk) = rig().await;
    rig.systemd.answers_after(Duration::from_secs(60));
    let (mut calling, mut asking) = (alice.clone(), alice.clone());
    let (call, question) = tokio::join!(calling.restart(order("a"), UNIT, &rig.invocation), async {
        sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        (asking.operation("a").await, begun.elapsed().as_secs())
    });
    assert_eq!(refused(&call.unwrap_err(), "").1, reason::SYSTEMD_UNAVAILABLE);
    let (question, took) = question;
    let told = refused(&question.unwrap_err(), "");
    assert_eq!((told.0, told.1.as_str(), took), (Code::Unavailable, reason::ADMITTING, 5));
}

#[tokio::test(start_paused = true)]
async fn the_same_call_twice_at_once_is_one_operation_and_another_change_under_its_id_is_refused() {
    let (rig, alice, _disk) = rig().await;
    rig.systemd.answers_after(Duration::from_secs(3));
    let (mut first, mut second, mut other) = (alice.clone(), alice.clone(), alice.clone());
    let (first, second, other) = tokio::join!(
        first.restart(order("a"), UNIT, &rig.invocation),
        async {
            sleep(Duration::from_secs(1)).await;
            second.restart(Order { reason: "asked again".to_owned(), ..order("a") }, UNIT, &rig.invocation).await
        },
        async {
            sleep(Duration::from_secs(1)).await;
            other.start(order("a"), UNIT).await
        }
    );
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(refused(&other.unwrap_err(), "").1, reason::OPERATION_ID_REUSED);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.systemd.jobs(), [format!("restart {UNIT}")]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_under_a_used_id_is_still_one() {
    let (rig, mut alice, _disk) = rig().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.end_of("a").await;
    let dry = Order { dry_run: true, ..order("a") };
    let told = alice.restart(dry, UNIT, &rig.invocation).await.unwrap();
    assert!(told.order.unwrap().dry_run);
}

#[tokio::test(start_paused = true)]
async fn a_call_for_another_node_is_refused_before_anything_else() {
    let (rig, mut alice, _disk) = rig().await;
    let meant = |node: &str| Order { node: node.to_owned(), ..order("a") };
    let status = alice.restart(meant("node-2"), UNIT, &rig.invocation).await.unwrap_err();
    let told = refused(&status, "node");
    assert_eq!(told, (Code::FailedPrecondition, reason::WRONG_NODE.to_owned(), "node-1".to_owned()));
    assert_eq!(refused(&alice.cancel(meant("node-2"), "a").await.unwrap_err(), "node").2, "node-1");
    assert!(rig.systemd.jobs().is_empty());
    // Also by its host name, and without any.
    for node in [alice.node().await.hostname.as_str(), ""] {
        alice.restart(Order { dry_run: true, ..meant(node) }, UNIT, &rig.invocation).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_writes_into_the_history_is_bounded_and_printable() {
    let (rig, mut alice, _disk) = rig().await;
    let long = |length| "x".repeat(length);
    for (order, field) in [
        (Order { reason: long(1025), ..order("a") }, "order.reason"),
        (Order { reason: "two\nlines".to_owned(), ..order("a") }, "order.reason"),
        (Order { reason: "\u{1b}[31mred".to_owned(), ..order("a") }, "order.reason"),
        (Order { task_id: long(129), ..order("a") }, "order.task_id"),
        (Order { requester: long(257), ..order("a") }, "order.requester"),
    ] {
        let status = alice.restart(order, UNIT, &rig.invocation).await.unwrap_err();
        assert_eq!(refused(&status, "field"), (Code::InvalidArgument, reason::BAD_REQUEST.into(), field.into()));
    }
    let many: Vec<_> = (0..65).map(|number| format!("user:{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for overrides in [&many[..], &[&long(257)[..]], &["a\0b"]] {
        let status = alice.reboot(order("a"), "boot-1", overrides).await.unwrap_err();
        assert_eq!(refused(&status, "field").2, "override_blockers");
    }
    for seconds in [0, -1, 24 * 60 * 60 + 1, i64::MAX] {
        let status = alice.stop_for(seconds, order("a"), UNIT, &rig.invocation).await.unwrap_err();
        assert_eq!(refused(&status, "field").2, "start_again_after");
    }
    let longest = Order { reason: long(1024), task_id: long(128), requester: long(256), ..order("a") };
    alice.restart(longest, UNIT, &rig.invocation).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_no_lock_can_have_is_refused_and_not_believed() {
    let (rig, mut alice, _disk) = rig().await;
    let under = |epoch| Order { epoch, ..order("a") };
    for epoch in [u64::MAX, 1 << 31] {
        let status = alice.restart(under(epoch), UNIT, "00000000000000000000000000000bad").await.unwrap_err();
        assert_eq!(refused(&status, "field"), (Code::InvalidArgument, reason::BAD_REQUEST.into(), "epoch".into()));
        assert_eq!(refused(&alice.fence(epoch).await.unwrap_err(), "field").2, "epoch");
    }
    assert_eq!(alice.node().await.highest_epoch, 0);
    // One that has seen none has nothing to compare it with.
    assert_eq!(alice.fence(50_000).await.unwrap(), 50_000);
    let status = alice.restart(under(51_001), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(refused(&status, "epoch"), (Code::FailedPrecondition, reason::EPOCH_JUMP.into(), "50000".into()));
    assert_eq!(refused(&alice.fence(51_001).await.unwrap_err(), "").1, reason::EPOCH_JUMP);
    assert_eq!(alice.fence(51_000).await.unwrap(), 51_000);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_is_recorded_only_with_a_call_that_passed_the_checks_before_the_units() {
    let (rig, mut alice, disk) = rig().await;
    let under = |id: &str, epoch| Order { epoch, ..order(id) };
    assert!(alice.restart(under("a", 9), OTHER, &rig.invocation).await.is_err(), "no unit of the list");
    disk.write(&rig.path().join("hold"), "held").unwrap();
    assert!(alice.restart(under("a", 9), UNIT, &rig.invocation).await.is_err(), "held");
    assert_eq!(alice.node().await.highest_epoch, 0);
}

#[tokio::test(start_paused = true)]
async fn a_fence_is_on_disk_when_it_is_answered() {
    let (mut rig, mut alice, disk) = rig().await;
    assert_eq!(alice.fence(7).await.unwrap(), 7);
    disk.detach();
    rig.kill();
    let mut alice = start_in_memory(&mut rig, &disk.attach()).await;
    let status = alice.restart(Order { epoch: 6, ..order("a") }, UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(refused(&status, "epoch"), (Code::Aborted, reason::STALE_EPOCH.into(), "7".into()));
    assert_eq!(refused(&alice.fence(6).await.unwrap_err(), "epoch").2, "7");
}
