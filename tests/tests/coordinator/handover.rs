//! Leases whose holders would keep them.

use std::time::Duration;

use jiff::Timestamp;
use tokio::{sync::Notify, time::sleep};
use usher_common::clock;
use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{CONTROLLER_MANAGER_LEADS_ON, KUBE_CONTROLLER_MANAGER, TestSite, Then, reboot, restart};

const COMPONENT: &str = "kube-controller-manager";
/// What a peer waits for before it takes a Lease that was not freed.
const EXPIRY: Duration = Duration::from_secs(15);

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_freed_is_taken_over_before_it_would_have_expired() {
    let site = TestSite::start().await;
    let ended = site.run(restart(&[COMPONENT]).on(&[CONTROLLER_MANAGER_LEADS_ON])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(
        site.journal.only(&[COMPONENT]),
        [
            "cp3: stop kube-controller-manager.service",
            "lease kube-controller-manager freed",
            "cp3: start kube-controller-manager.service",
        ]
    );
    let new = site.leader(COMPONENT);
    assert_ne!(new, CONTROLLER_MANAGER_LEADS_ON);
    let handed = format!("hand over: {COMPONENT} handed to {new} in ");
    assert_eq!(ended.only(&[&handed]).len(), 1, "{:#?}", ended.told);
    assert!(ended.took < EXPIRY, "{:?}", ended.took);
    assert!(site.units_down().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_hand_over_the_lease_is_left_to_expire() {
    let site = TestSite::start().await;
    let ended = site.run(restart(&[COMPONENT]).on(&[CONTROLLER_MANAGER_LEADS_ON]).without_handover()).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(site.journal.only(&[COMPONENT]), ["cp3: restart kube-controller-manager.service"]);
    assert!(!site.leader(COMPONENT).is_empty());
    assert!(ended.took >= EXPIRY, "the process is another one, so the old holder's name is no proof: {:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn a_leader_known_by_the_operators_word_alone_does_not_pass_for_one_that_lives_once_it_was_restarted() {
    let machine = CONTROLLER_MANAGER_LEADS_ON;
    for hands_over in [true, false] {
        let site = TestSite::with_leader_of_unknown_name("old-name").await;
        let change = restart(&[COMPONENT]).on(&[machine]);
        let refused = site.run(change.clone()).await;
        assert_eq!(refused.exit, Exit::Refused, "{refused:#?}");

        let change = change.led_from(COMPONENT, machine);
        let ended = site.run(if hands_over { change } else { change.without_handover() }).await;
        assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
        assert!(hands_over || ended.took >= EXPIRY, "the old holder's name is no proof: {:?}", ended.took);
        assert!(!site.leader(COMPONENT).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn with_nobody_to_hand_over_to_the_leader_is_restarted_as_it_is() {
    let site = TestSite::start().await;
    for other in ["cp1", "cp2"] {
        site.machine(other).systemd.set_unit(KUBE_CONTROLLER_MANAGER, |unit| unit.active_state = "inactive".into());
    }
    let ended = site.run(restart(&[COMPONENT]).on(&[CONTROLLER_MANAGER_LEADS_ON])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(site.journal.only(&[COMPONENT]), ["cp3: restart kube-controller-manager.service"]);
    assert_eq!(site.leader(COMPONENT), CONTROLLER_MANAGER_LEADS_ON, "under a new identity");
}

/// With the unit stopped usher waits for the next leader (60 s) and for what may follow that (120 s).
const STARTED_AGAIN_AFTER: Duration = Duration::from_secs(180);

#[tokio::test(start_paused = true)]
async fn a_unit_that_usher_has_stopped_is_started_again_by_its_agent_if_usher_never_comes_back() {
    for change in [restart(&[COMPONENT]).on(&[CONTROLLER_MANAGER_LEADS_ON]), reboot(&[CONTROLLER_MANAGER_LEADS_ON])] {
        clock::follow_tokio(Timestamp::from_second(1_760_001_000).unwrap());
        let site = TestSite::start().await;
        let systemd = &site.machine(CONTROLLER_MANAGER_LEADS_ON).systemd;
        let is_stopped = || systemd.unit(KUBE_CONTROLLER_MANAGER).active_state == "inactive";
        let stopped = Notify::new();
        let running = site.run_and(change.clone(), |_| {
            if is_stopped() {
                stopped.notify_one();
            }
            Then::GoOn
        });
        // Killed: nothing of it goes on, and nothing is taken back.
        tokio::select! {
            () = stopped.notified() => {}
            ended = running => panic!("{ended:#?}"),
        }
        sleep(STARTED_AGAIN_AFTER - Duration::from_secs(10)).await;
        assert!(is_stopped() && !site.lock_is_free(), "{change:?}");
        sleep(Duration::from_secs(20)).await;
        assert!(site.units_down().is_empty(), "{change:?}");
        let jobs = ["stop", "start"].map(|job| format!("cp3: {job} {KUBE_CONTROLLER_MANAGER}"));
        assert_eq!(site.journal.only(&["cp3: st"]), jobs);
        // The agent's history tells what happened.
        let world = site.world().await;
        let [last] = &world.agents.agent("cp3").unwrap().operations(1).await.unwrap()[..] else { panic!() };
        assert_eq!(last.caller, ["usher-agent"]);
        assert!(last.order.reason.starts_with("operation op1."), "{}", last.order.reason);
        assert!(last.order.reason.ends_with(" stopped it for a while that is over now"), "{}", last.order.reason);
    }
}
