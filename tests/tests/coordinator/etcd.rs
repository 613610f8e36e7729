//! Rolls over the machines of etcd's members.

use usher_coordinator::{exit::Exit, facts::Scope};
use usher_testkit::{
    etcd::{FakeEtcd, Move},
    rig::site::{ETCD, TestSite, Then, reboot, restart},
};

fn etcd(site: &TestSite) -> &FakeEtcd {
    site.etcd.as_ref().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dead_member_elsewhere_keeps_a_machine_from_being_rebooted_although_every_apiserver_is_ready() {
    let site = TestSite::with_etcd().await;
    site.machine("cp3").systemd.set_unit(ETCD, |unit| unit.active_state = "failed".into());
    etcd(&site).stop("cp3");
    let ended = site.run(reboot(&["cp1"])).await;
    assert_eq!(ended.exit, Exit::Refused, "{ended:#?}");
    assert_eq!(ended.summary, "etcd cannot spare its member on cp1 now");
    assert!(ended.details[0].starts_with("the member on cp3 does not answer: "), "{:?}", ended.details);
    assert!(site.journal.only(&["cp1"]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_members_are_restarted_one_by_one_the_leader_last_and_its_leadership_moves_once() {
    let site = TestSite::with_etcd().await;
    let ended = site.run(restart(&["etcd"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(
        site.journal.only(&[ETCD]),
        ["cp2: restart etcd.service", "cp3: restart etcd.service", "cp1: restart etcd.service"]
    );
    assert_eq!(etcd(&site).moves(), [Move::asked("cp1", "cp2")]);
    let told = ended.only(&["cp1: hand over: etcd handed to cp2", "cp1: etcd: its member of etcd is well"]);
    assert_eq!(told.len(), 2, "{:#?}", ended.told);
}

#[tokio::test(start_paused = true)]
async fn a_roll_of_reboots_moves_the_leadership_of_etcd_once() {
    let site = TestSite::with_etcd().await;
    let ended = site.run(reboot(&["cp1", "cp2", "cp3"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(
        ended.done,
        ["cp2", "cp1", "cp3"],
        "cp3 leads kube-controller-manager, and nobody chooses who follows it"
    );
    assert_eq!(etcd(&site).moves(), [Move::asked("cp1", "cp2")]);
}

#[tokio::test(start_paused = true)]
async fn the_next_member_goes_only_once_the_last_one_has_caught_up() {
    let site = TestSite::with_etcd().await;
    etcd(&site).is_behind_after_each_start(9000);
    let mut waits = Vec::new();
    let ended = site.run_and(restart(&["etcd"]).on(&["cp2", "cp3"]), |told| {
        if told.contains(": etcd waits: ") {
            waits.push(told.to_owned());
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let of = |machine: &str| waits.iter().filter(|told| told.starts_with(machine)).count();
    assert!(of("cp2") > 0 && of("cp3") > 0, "{waits:#?}");
    assert!(waits[0].ends_with("entries of the log behind"), "{waits:#?}");
}

#[tokio::test(start_paused = true)]
async fn leadership_that_has_moved_by_itself_before_the_hand_over_is_as_good() {
    let site = TestSite::with_etcd().await;
    let ended = site.run_and(restart(&["etcd"]), |told| {
        if told == "cp1: begins etcd" {
            etcd(&site).lead("cp3");
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(ended.only(&["cp1: hand over: "]), ["cp1: hand over: the leadership of etcd had moved already"]);
    assert!(etcd(&site).moves().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_word_on_etcd_is_read_with_the_control_plane_and_none_where_somebody_else_runs_it() {
    let mut site = TestSite::with_etcd().await;
    let scope = || Scope { control_plane: true, ..Scope::default() };
    let facts = site.world().await.look(&scope()).await.unwrap();
    assert_eq!(facts.etcd.leader().map(|(machine, member)| (machine, member.version.as_str())), Some(("cp1", "3.7.3")));
    assert_eq!(facts.etcd.members().count(), 3);
    assert!(facts.etcd.objections().is_empty());
    site.settings.components.retain(|component| !component.is_etcd());
    let facts = site.world().await.look(&scope()).await.unwrap();
    assert!(facts.etcd.0.is_empty());
}
