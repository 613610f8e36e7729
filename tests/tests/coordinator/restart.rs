//! `usher restart`.

use std::time::Duration;

use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{
    CONTROL_PLANE, CONTROLLER_MANAGER_LEADS_ON, KUBE_APISERVER, SCHEDULER_LEADS_ON, TestSite, Then, restart,
};

const ALL: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

#[tokio::test(start_paused = true)]
async fn a_whole_restart_takes_component_by_component_and_each_leader_last() {
    let site = TestSite::start().await;
    let ended = site.run(restart(&ALL)).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let new = site.leader("kube-controller-manager");
    assert_ne!(new, CONTROLLER_MANAGER_LEADS_ON);
    let follower = CONTROL_PLANE.into_iter().find(|name| ![&*new, SCHEDULER_LEADS_ON].contains(name)).unwrap();
    assert_eq!(
        site.journal.lines(),
        [
            "lease usher taken by usher",
            "cp1: restart kube-apiserver.service",
            "cp2: restart kube-apiserver.service",
            "cp3: restart kube-apiserver.service",
            "cp1: restart kube-controller-manager.service",
            "cp2: restart kube-controller-manager.service",
            "cp3: stop kube-controller-manager.service",
            "lease kube-controller-manager freed",
            "cp3: start kube-controller-manager.service",
            &format!("{follower}: restart kube-scheduler.service"),
            &format!("{new}: restart kube-scheduler.service"),
            &format!("{SCHEDULER_LEADS_ON}: restart kube-scheduler.service"),
            "lease usher freed",
        ]
    );
    assert_eq!(ended.done[..6], ["cp1", "cp2", "cp3", "cp1", "cp2", "cp3"]);
    assert!(ended.summary.starts_with("9 of 9 restarted in "), "{}", ended.summary);
    assert!(ended.next.is_empty());
    assert!(CONTROL_PLANE.contains(&&*site.leader("kube-scheduler")));
    assert!(site.units_down().is_empty());
    assert!(site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn each_apiserver_is_ready_and_the_gap_has_passed_before_the_next_one_goes() {
    let site = TestSite::start().await;
    let gap = Duration::from_secs(25);
    let mut away: Vec<&str> = Vec::new();
    let ended = site.run_and(restart(&["kube-apiserver"]).gap(gap), |told| {
        if told.ends_with(": restart") {
            let others = CONTROL_PLANE.iter().filter(|name| !told.starts_with(**name));
            away.extend(others.filter(|name| !site.machine(name).apiserver().unwrap().is_ready()));
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert!(away.is_empty(), "{away:?} were not ready when another was restarted");
    assert!(ended.took >= gap * 2, "{:?} for two gaps of {gap:?}", ended.took);
    assert_eq!(ended.only(&["restart: ready"]), ["cp1: restart: ready", "cp2: restart: ready", "cp3: restart: ready"]);
}

#[tokio::test(start_paused = true)]
async fn the_evidence_of_a_restart_is_told() {
    let site = TestSite::start().await;
    let before = site.machine("cp1").systemd.unit(KUBE_APISERVER).invocation_id;
    let ended = site.run(restart(&["kube-apiserver"]).on(&["cp1"])).await;
    let after = site.machine("cp1").systemd.unit(KUBE_APISERVER).invocation_id;
    let evidence = format!("{}… → {}…", &before[..4], &after[..4]);
    let restarted = ended.only(&["cp1: restart: restarted"]);
    assert!(restarted.len() == 1 && restarted[0].contains(&evidence), "{evidence} is not in {:#?}", ended.told);
    assert_eq!(site.journal.only(&["restart"]), ["cp1: restart kube-apiserver.service"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_leadership_moves_meanwhile_goes_when_it_no_longer_leads() {
    let site = TestSite::start().await;
    // The leader's process dies while the first machine is being restarted; systemd starts it anew.
    let mut moved = false;
    let ended = site.run_and(restart(&["kube-scheduler"]), |told| {
        if !moved && told.starts_with("cp1: begins") {
            moved = true;
            site.machine(SCHEDULER_LEADS_ON).systemd.restart_behind("kube-scheduler.service");
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let mut machines = ended.done.clone();
    machines.sort();
    assert_eq!(machines, CONTROL_PLANE, "each once");
    let restarts = site.journal.only(&["restart"]);
    assert_eq!(restarts.len(), 3, "{restarts:?}");
    assert!(site.units_down().is_empty() && !site.leader("kube-scheduler").is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_an_apiserver_down_no_other_is_touched() {
    let site = TestSite::start().await;
    site.machine("cp2").apiserver().unwrap().stop();
    let ended = site.run(restart(&["kube-apiserver"]).on(&["cp1", "cp3"])).await;
    assert_eq!(ended.exit, Exit::Refused, "{ended:#?}");
    assert_eq!(ended.summary, "the apiserver on cp2 is not ready, so cp1 is not touched");
    assert!(site.journal.lines().is_empty(), "{:?}", site.journal.lines());
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_is_down_is_restarted_before_the_others() {
    let site = TestSite::start().await;
    site.machine("cp2").apiserver().unwrap().stop();
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!((ended.exit, &*ended.done[0]), (Exit::Done, "cp2"), "{ended:#?}");
    assert!(site.machine("cp2").apiserver().unwrap().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_machine_on_hold_refuses_the_whole_restart_before_anything_is_touched() {
    let site = TestSite::start().await;
    site.machine("cp3").hold("disk is being replaced");
    let ended = site.run(restart(&["kube-scheduler"])).await;
    assert_eq!(ended.exit, Exit::Refused);
    assert!(ended.summary.contains("cp3 is held") && ended.summary.contains("disk is being replaced"), "{ended:#?}");
    assert!(site.journal.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_answers_nobody_anonymous_ends_its_turn_with_the_keys_by_which_the_agent_says_who_asks() {
    let site = TestSite::with_probes().await;
    site.ports.as_ref().unwrap().answer(401);
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    for words in [
        "did not become healthy",
        "answers 401 Unauthorized; it wants to know who asks",
        "set certificate and key, or token_file, of the probe",
    ] {
        assert!(ended.summary.contains(words), "{}", ended.summary);
    }
    assert_eq!(site.journal.only(&["restart"]), ["cp1: restart kube-apiserver.service"]);

    site.ports.as_ref().unwrap().answer(200);
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(ended.only(&["restart: healthy"]).len(), CONTROL_PLANE.len(), "{:#?}", ended.told);
}
