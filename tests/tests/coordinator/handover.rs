//! Leases whose holders would keep them.

use std::time::Duration;

use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{CONTROLLER_MANAGER_LEADS_ON, KUBE_CONTROLLER_MANAGER, TestSite, restart};

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
