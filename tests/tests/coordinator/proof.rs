//! What a machine has to show after its reboot, and what is said of one that does not.

use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{TestSite, Then, reboot};

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_not_cordoned_and_is_not_proved_to_be_back_is_left_to_be_looked_at() {
    let site = TestSite::start().await;
    let ended = site.run_and(reboot(&["w1"]).impolite(), |told| {
        if told.contains("Ready; watching") {
            site.api.kubelet("w1", |kubelet| kubelet.alive = false);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert!(ended.summary.contains("w1 has rebooted, but is not proved to be back: "), "{}", ended.summary);
    assert!(ended.next.iter().any(|line| line == "look at it: usher nodes"), "{ended:#?}");
    assert!(!ended.next.iter().any(|line| line.contains("cordon")), "{ended:#?}");
    assert!(site.cordoned().is_empty());
}

/// A site whose agents manage no unit of the control plane, as where its components are static pods.
async fn without_units() -> TestSite {
    let mut site = TestSite::start().await;
    for component in &mut site.settings.components {
        component.unit = format!("no-{}", component.unit);
    }
    site
}

#[tokio::test(start_paused = true)]
async fn of_a_control_plane_none_of_whose_units_an_agent_manages_its_apiserver_is_the_proof() {
    let site = without_units().await;
    let ended = site.run(reboot(&["cp1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let proved = "cp1: units: its agent manages no unit of the control plane; apiserver ready";
    assert_eq!(ended.only(&["cp1: units: "]), [proved], "{:#?}", ended.told);
    assert!(site.cordoned().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_none_of_whose_units_an_agent_manages_is_not_back_before_its_apiserver_is() {
    let site = without_units().await;
    site.machine("cp1").apiserver_is_never_ready_again();
    let ended = site.run(reboot(&["cp1"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert!(ended.summary.contains("the apiserver on cp1 is not ready"), "{}", ended.summary);
    assert_eq!(site.cordoned(), ["cp1"]);
}
