//! What usher does when the last word is missing: a state that nobody knows, a cordon that cannot be taken back.

use http::Method;
use usher_coordinator::exit::Exit;
use usher_testkit::{
    apiserver::{Failure, Fault},
    rig::site::{TestSite, Then, reboot, restart},
    systemd::Service,
};

/// While systemd executes itself anew it answers nobody, and its agent knows nothing of the unit. To take that for "does not run" would
/// start what runs already, and call it restarted.
#[tokio::test(start_paused = true)]
async fn a_unit_whose_state_its_agent_does_not_know_is_neither_restarted_nor_started() {
    let site = TestSite::start().await;
    let ended = site.run_and(restart(&["kube-scheduler"]).on(&["cp1"]), |told| {
        if told == "cp1: restart" {
            site.machine("cp1").systemd.hang(Service::Systemd);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert!(matches!(ended.exit, Exit::Failed | Exit::TimedOut), "{ended:#?}");
    assert!(ended.summary.contains("cp1"), "{}", ended.summary);
    assert_eq!(site.journal.only(&["cp1: "]), [""; 0], "{ended:#?}");
    assert!(site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_back_and_cannot_be_uncordoned_is_told_with_the_command_that_does() {
    let site = TestSite::start().await;
    let mut forbidden = false;
    let ended = site.run_and(reboot(&["w1"]), |told| {
        if told == "w1: uncordon" && !forbidden {
            forbidden = true;
            let no = Failure::new(403, "Forbidden", "nodes \"w1\" is forbidden");
            site.api.inject(Fault::on(Method::PATCH, "nodes/w1").fail(no).always());
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert!(forbidden, "{:#?}", ended.told);
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    let hint = "w1 is well and may still be cordoned: usher uncordon w1 -r REASON";
    assert!(ended.next.iter().any(|line| line == hint), "{ended:#?}");
    assert_eq!(site.cordoned(), ["w1"]);
}
