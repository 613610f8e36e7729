//! Restarts and reboots that went past the agent.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::sleep;
use usher_agent::disk::MemoryDisk;
use usher_common::clock;
use usher_proto::v1::UnannouncedStart;
use usher_testkit::{
    rig::agent::{Caller, Rig, UNIT, order, succeeded},
    systemd::{JobOutcome, Reboot},
};

use super::streams::start_in_memory;

/// Longer than between two looks at the units of which systemd tells nothing.
const A_LOOK: Duration = Duration::from_secs(15 * 60 + 10);

async fn rig() -> (Rig, Caller, MemoryDisk) {
    clock::follow_tokio(Timestamp::from_second(1_760_001_000).unwrap());
    let mut rig = Rig::without_agent("");
    let disk = MemoryDisk::default();
    disk.write(&rig.path().join("boot_id"), "boot-1").unwrap();
    let alice = start_in_memory(&mut rig, &disk).await;
    sleep(A_LOOK).await;
    (rig, alice, disk)
}

/// Another agent on the same disk, in this boot.
async fn again(rig: &mut Rig, disk: &MemoryDisk, boot: &str) -> (Caller, MemoryDisk) {
    disk.detach();
    rig.kill();
    let disk = disk.attach();
    disk.write(&rig.path().join("boot_id"), boot).unwrap();
    (start_in_memory(rig, &disk).await, disk)
}

async fn told(alice: &mut Caller) -> Vec<UnannouncedStart> {
    sleep(A_LOOK).await;
    alice.node().await.unannounced
}

#[tokio::test(start_paused = true)]
async fn a_restart_by_other_hands_is_remembered_and_the_agents_own_are_not() {
    let (mut rig, mut alice, disk) = rig().await;
    for (id, outcome) in [("a", JobOutcome::Done), ("b", JobOutcome::Failed)] {
        rig.systemd.set_unit(UNIT, |unit| unit.outcome = outcome.clone());
        let now = rig.systemd.unit(UNIT).invocation_id;
        alice.restart(order(id), UNIT, &now).await.unwrap();
        alice.end_of(id).await;
        assert_eq!(told(&mut alice).await, [], "{id}");
    }
    let before = rig.systemd.unit(UNIT).invocation_id;
    let after = rig.systemd.restart_behind(UNIT);
    for _ in 0..2 {
        let starts = told(&mut alice).await;
        let [start] = &starts[..] else { panic!("{starts:?}") };
        assert_eq!((start.unit.as_str(), start.automatic), (UNIT, true));
        assert_eq!((&start.before, &start.after), (&before, &after));
        assert!(start.at.is_some());
    }
    // By hand: systemd counts no restart of its own.
    rig.systemd.restart_behind(UNIT);
    rig.systemd.set_unit(UNIT, |unit| unit.restarts = 0);
    let starts = told(&mut alice).await;
    assert_eq!(starts.iter().map(|start| start.automatic).collect::<Vec<_>>(), [true, false]);

    // One while no agent ran, and what was known outlives the agent.
    rig.systemd.restart_behind(UNIT);
    let (mut alice, _disk) = again(&mut rig, &disk, "boot-1").await;
    assert_eq!(told(&mut alice).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_by_other_hands_is_remembered_and_the_agents_own_is_not() {
    for asked in [true, false] {
        let (mut rig, mut alice, disk) = rig().await;
        if asked {
            rig.systemd.on_reboot(Reboot::Calls(Arc::new(|| {})));
            alice.reboot(order("a"), "boot-1", &[]).await.unwrap();
            alice.until_step("a", "reboot").await;
            sleep(Duration::from_secs(5)).await;
        }
        rig.systemd.boot();
        rig.systemd.restart_behind(UNIT);
        let (mut alice, _disk) = again(&mut rig, &disk, "boot-2").await;
        let starts = told(&mut alice).await;
        if asked {
            assert!(succeeded(&alice.end_of("a").await));
            assert_eq!(starts, []);
            continue;
        }
        let [start] = &starts[..] else { panic!("{starts:?}") };
        assert_eq!((start.unit.as_str(), start.before.as_str(), start.after.as_str()), ("", "boot-1", "boot-2"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_which_systemd_tells_is_seen_at_once() {
    let (rig, mut alice, _disk) = rig().await;
    rig.systemd.restart_by_hand(UNIT);
    sleep(Duration::from_secs(1)).await;
    let starts = alice.node().await.unannounced;
    let told: Vec<_> = starts.iter().map(|start| (start.unit.as_str(), start.automatic)).collect();
    assert_eq!(told, [(UNIT, false)]);
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_finds_at_its_first_start_is_nobodys_doing() {
    let (_rig, mut alice, _disk) = rig().await;
    assert_eq!(told(&mut alice).await, []);
}
