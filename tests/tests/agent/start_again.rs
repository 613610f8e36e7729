//! The dead man's switch of a stop: the agent itself starts the unit if nobody else does.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;
use usher_agent::disk::MemoryDisk;
use usher_common::clock;
use usher_testkit::rig::agent::{Caller, Rig, UNIT, order, succeeded};

use super::streams::start_in_memory;

async fn rig() -> (Rig, Caller, MemoryDisk) {
    clock::follow_tokio(Timestamp::from_second(1_760_001_000).unwrap());
    let mut rig = Rig::without_agent("");
    let disk = MemoryDisk::default();
    disk.write(&rig.path().join("boot_id"), "boot-1").unwrap();
    let alice = start_in_memory(&mut rig, &disk).await;
    (rig, alice, disk)
}

async fn stopped_for(seconds: i64, id: &str, rig: &Rig, alice: &mut Caller) {
    alice.stop_for(seconds, order(id), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of(id).await));
}

fn state(rig: &Rig) -> String {
    rig.systemd.unit(UNIT).active_state
}

async fn after(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_nobody_starts_again_is_started_by_the_agent_and_the_history_says_so() {
    let (rig, mut alice, _disk) = rig().await;
    stopped_for(120, "stop", &rig, &mut alice).await;
    after(115).await;
    assert_eq!(state(&rig), "inactive");
    after(10).await;
    assert_eq!(state(&rig), "active");
    let start = alice.end_of("start-again.1.1").await;
    assert!(succeeded(&start), "{start:?}");
    assert_eq!(start.caller, ["usher-agent"]);
    assert!(start.order.unwrap().reason.contains("operation stop"));
    after(3600).await;
    assert_eq!(rig.systemd.jobs().len(), 2, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn a_start_in_time_disarms_it_and_so_does_a_stop_for_good() {
    for for_good in [false, true] {
        let (rig, mut alice, _disk) = rig().await;
        stopped_for(60, "stop", &rig, &mut alice).await;
        after(30).await;
        if for_good {
            alice.stop(order("for-good"), UNIT, &rig.invocation).await.unwrap();
            assert!(succeeded(&alice.end_of("for-good").await));
        } else {
            alice.start(order("start"), UNIT).await.unwrap();
            assert!(succeeded(&alice.end_of("start").await));
            let now = rig.systemd.unit(UNIT).invocation_id;
            rig.systemd.stop_behind(UNIT);
            assert_ne!(now, rig.invocation);
        }
        after(600).await;
        assert_eq!(state(&rig), "inactive", "for good: {for_good}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewed_stop_gives_it_more_time() {
    let (rig, mut alice, _disk) = rig().await;
    stopped_for(60, "one", &rig, &mut alice).await;
    for id in ["two", "three"] {
        after(50).await;
        stopped_for(60, id, &rig, &mut alice).await;
    }
    after(50).await;
    assert_eq!(state(&rig), "inactive");
    after(20).await;
    assert_eq!(state(&rig), "active");
}

#[tokio::test(start_paused = true)]
async fn it_survives_the_agent_and_the_boot_that_ended_in_between() {
    for boot in ["boot-1", "boot-2"] {
        let (mut rig, mut alice, disk) = rig().await;
        stopped_for(60, "stop", &rig, &mut alice).await;
        disk.detach();
        rig.kill();
        let disk = disk.attach();
        disk.write(&rig.path().join("boot_id"), boot).unwrap();
        after(30).await;
        let _alice = start_in_memory(&mut rig, &disk).await;
        after(20).await;
        assert_eq!(state(&rig), "inactive");
        after(20).await;
        assert_eq!(state(&rig), "active", "{boot}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_was_started_by_other_hands_is_left_alone() {
    let (rig, mut alice, _disk) = rig().await;
    stopped_for(60, "stop", &rig, &mut alice).await;
    let invocation = rig.systemd.restart_behind(UNIT);
    after(600).await;
    assert_eq!(rig.systemd.unit(UNIT).invocation_id, invocation);
    assert_eq!(rig.systemd.jobs(), [format!("stop {UNIT}")]);
}
