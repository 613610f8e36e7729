//! `usher restart --wanted`: what was asked for on the machines, and nothing else.

use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{
    KUBE_APISERVER, KUBE_SCHEDULER, SCHEDULER_LEADS_ON, TestSite, Then, restart, restart_wanted,
};

#[tokio::test(start_paused = true)]
async fn exactly_what_is_wanted_is_restarted_component_by_component_and_the_leader_last() {
    let site = TestSite::start().await;
    site.machine(SCHEDULER_LEADS_ON).wants_restart(KUBE_SCHEDULER, "certificate renewed").await;
    site.machine("cp3").wants_restart(KUBE_SCHEDULER, "certificate renewed").await;
    site.machine("cp3").wants_restart(KUBE_APISERVER, "audit policy").await;
    let ended = site.run(restart_wanted()).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(
        site.journal.only(&["restart"]),
        [
            "cp3: restart kube-apiserver.service",
            "cp3: restart kube-scheduler.service",
            &format!("{SCHEDULER_LEADS_ON}: restart kube-scheduler.service"),
        ]
    );
    assert!(site.lock_is_free());
    let again = site.run(restart_wanted()).await;
    assert!(again.done.is_empty(), "nothing is wanted any more: {again:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_restarts_meanwhile_is_left_out() {
    let site = TestSite::start().await;
    for machine in ["cp1", "cp3"] {
        site.machine(machine).wants_restart(KUBE_APISERVER, "certificate renewed").await;
    }
    let mut meddled = false;
    let ended = site.run_and(restart_wanted(), |told| {
        if !meddled && told.starts_with("cp1: begins") {
            meddled = true;
            site.machine("cp3").systemd.restart_behind(KUBE_APISERVER);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!((ended.exit, ended.done), (Exit::Done, vec!["cp1".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_plain_restart_settles_what_was_wanted() {
    let site = TestSite::start().await;
    site.machine("cp1").wants_restart(KUBE_SCHEDULER, "certificate renewed").await;
    let ended = site.run(restart(&["kube-scheduler"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let ended = site.run(restart_wanted()).await;
    assert!(ended.done.is_empty(), "{ended:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_somebody_holds_through_its_agent_is_named_with_the_command_that_ends_it() {
    let site = TestSite::start().await;
    site.machine("cp3").is_held_by("alice", "disk is being copied").await;
    let ended = site.run(restart(&["kube-scheduler"])).await;
    assert_eq!(ended.exit, Exit::Refused);
    assert!(ended.summary.contains("cp3 is held by alice until it is released"), "{ended:#?}");
    assert_eq!(ended.next, ["when the reason is gone: ssh cp3 usher-agent hold release --owner \"alice\""]);
    assert!(site.journal.lines().is_empty());
}
