//! What is taken back when a step fails, when the operator interrupts, and what must stay as it is.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use usher_coordinator::exit::Exit;
use usher_testkit::{
    apiserver::{Fault, fixtures::pod},
    rig::site::{CONTROL_PLANE, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, TestSite, Then, drain, reboot, restart},
    systemd::{JobOutcome, Reboot},
};

#[tokio::test(start_paused = true)]
async fn a_unit_that_does_not_come_up_stops_the_roll_with_its_journal() {
    let site = TestSite::start().await;
    site.machine("cp1").systemd.set_unit("kube-scheduler.service", |unit| unit.outcome = JobOutcome::Failed);
    let ended = site.run(restart(&["kube-scheduler"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert_eq!(site.journal.only(&["cp"]), ["cp1: restart kube-scheduler.service"]);
    assert!(ended.summary.contains("(0 of 3 restarted; not touched: cp3, cp2)"), "{}", ended.summary);
    assert_eq!(ended.next.last().unwrap(), "to go on: usher restart kube-scheduler --nodes=cp1,cp3,cp2 -r test");
    assert!(site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_stays_down_stops_the_roll_and_stays_out_of_the_pool() {
    let site = TestSite::with_pool().await;
    site.machine("cp1").systemd.set_unit(KUBE_APISERVER, |unit| unit.outcome = JobOutcome::Failed);
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert_eq!(site.journal.only(&["cp"]), ["cp1: depooled", "cp1: restart kube-apiserver.service"]);
    assert_eq!(site.pool.members(), ["cp2", "cp3"]);
    let stays_out = |line: &&String| line.contains("cp1 stays out of the load balancer's pool");
    assert_eq!(ended.details.iter().filter(stays_out).count(), 1, "{ended:#?}");
    assert!(ended.next.iter().any(|line| line.contains("when its apiserver is ready: sh -c 'touch")), "{ended:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_runs_but_is_never_ready_times_out() {
    let site = TestSite::start().await;
    site.machine("cp1").apiserver_is_never_ready_again();
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert_eq!(site.journal.only(&["cp"]), ["cp1: restart kube-apiserver.service"]);
    assert!(ended.summary.contains("the apiserver on cp1 is not ready"), "{}", ended.summary);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_the_agent_refuses_puts_the_machine_back_into_the_pool() {
    let site = TestSite::with_pool().await;
    let ended = site.run_and(restart(&["kube-apiserver"]), |told| {
        if told == "cp1: depool: depooled" {
            site.machine("cp1").hold("wait");
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Failed, "something was changed, so it is not a mere refusal: {ended:#?}");
    assert_eq!(site.journal.only(&["cp"]), ["cp1: depooled", "cp1: pooled"]);
    assert_eq!(ended.only(&["taken back"]), ["cp1: depool taken back: back in the pool"]);
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_while_a_machine_is_out_of_the_pool_puts_it_back_unrestarted() {
    let site = TestSite::with_pool().await;
    let ended = site.run_until(restart(&["kube-apiserver"]), "cp1: depool").await;
    assert_eq!(ended.exit, Exit::Interrupted, "{ended:#?}");
    assert_eq!(site.journal.only(&["cp"]), ["cp1: depooled", "cp1: pooled"]);
    assert_eq!(site.pool.members(), CONTROL_PLANE);
    assert!(site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_during_a_restart_lets_its_turn_end_and_begins_no_other() {
    let site = TestSite::with_pool().await;
    let ended = site.run_until(restart(&["kube-apiserver"]), "cp1: restart").await;
    assert_eq!(ended.exit, Exit::Interrupted, "{ended:#?}");
    assert_eq!(ended.done, ["cp1"]);
    assert_eq!(site.journal.only(&["cp"]), ["cp1: depooled", "cp1: restart kube-apiserver.service", "cp1: pooled"]);
    assert_eq!(site.pool.members(), CONTROL_PLANE);
    let next = "to go on: usher restart kube-apiserver --nodes=cp2,cp3 -r test";
    assert_eq!(ended.next, [next]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_during_a_hand_over_starts_the_unit_again() {
    let site = TestSite::start().await;
    let ended = site.run_until(restart(&["kube-controller-manager"]).on(&["cp3"]), "cp3: hand over").await;
    assert_eq!(
        site.journal.only(&["cp3"]),
        ["cp3: stop kube-controller-manager.service", "cp3: start kube-controller-manager.service"]
    );
    assert_eq!(ended.done, ["cp3"], "its turn comes to its end: {ended:#?}");
    assert!(site.units_down().is_empty());
    assert!(!site.leader("kube-controller-manager").is_empty());
}

/// The kube-controller-managers beside that of cp3 fail.
fn nobody_stands_by(site: &TestSite) {
    for peer in ["cp1", "cp2"] {
        site.machine(peer).systemd.set_unit(KUBE_CONTROLLER_MANAGER, |unit| unit.active_state = "failed".into());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_nobody_takes_starts_the_unit_again() {
    let site = TestSite::with_pool().await;
    let ended = site.run_and(reboot(&["cp3"]), |told| {
        if told == "cp3: hand over" {
            nobody_stands_by(&site);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert!(ended.summary.contains("nobody took over kube-controller-manager"), "{}", ended.summary);
    let expected = [
        "cp3: hand over taken back: kube-controller-manager.service runs again",
        "cp3: cordon taken back: cp3 is schedulable again",
    ];
    assert_eq!(ended.only(&["taken back"]), expected);
    assert_eq!(site.machine("cp3").systemd.unit(KUBE_CONTROLLER_MANAGER).active_state, "active");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(site.leader("kube-controller-manager"), "cp3");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_started_again_anyway_does_not_wait_for_peers_that_take_nothing_over() {
    let site = TestSite::start().await;
    let ended = site.run_and(restart(&["kube-controller-manager"]).on(&["cp3"]), |told| {
        if told == "cp3: hand over" {
            nobody_stands_by(&site);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let warned = ended.only(&["no other kube-controller-manager has taken over within 15s, so it is started again"]);
    assert_eq!(warned.len(), 1, "{:#?}", ended.told);
    assert_eq!(site.leader("kube-controller-manager"), "cp3");
}

#[tokio::test(start_paused = true)]
async fn a_stop_whose_unit_lives_on_is_no_hand_over() {
    let site = TestSite::start().await;
    site.machine("cp3").systemd.set_unit(KUBE_CONTROLLER_MANAGER, |unit| unit.outcome = JobOutcome::Nothing);
    let ended = site.run(restart(&["kube-controller-manager"]).on(&["cp3"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(!site.journal.lines().contains(&"lease kube-controller-manager freed".to_owned()));
    assert_eq!(site.machine("cp3").systemd.unit(KUBE_CONTROLLER_MANAGER).active_state, "active");
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_times_out_takes_the_cordon_back_and_reboots_nothing() {
    let site = TestSite::start().await;
    site.api.add(pod("shop/stuck").on("w1").owned_by_job("batch").never_stops());
    let ended = site.run(reboot(&["w1", "w2"]).drain_within(Duration::from_secs(60))).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    let lines = site.journal.only(&["cordoned", "reboot", "w2"]);
    assert_eq!(lines, ["w1: cordoned", "w1: uncordoned"]);
    assert!(ended.summary.ends_with("(0 of 2 rebooted; not touched: w2)"), "{}", ended.summary);
    assert!(ended.details.iter().any(|line| line.contains("shop/stuck")), "{ended:#?}");
    assert_eq!(ended.only(&["taken back"]), ["w1: cordon taken back: w1 is schedulable again"]);
    assert!(site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_during_a_drain_takes_the_cordon_back() {
    let site = TestSite::start().await;
    site.api.add(pod("shop/slow").on("w1").owned_by_job("batch").ignores_sigterm());
    let ended = site.run_until(reboot(&["w1"]), "w1: drain").await;
    assert_eq!(ended.exit, Exit::Interrupted, "{ended:#?}");
    assert_eq!(site.journal.only(&["cordoned", "reboot"]), ["w1: cordoned", "w1: uncordoned"]);
    assert_eq!(ended.next, ["to go on: usher reboot w1 -r test"]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_after_the_first_machine_leaves_it_done_and_the_second_untouched() {
    let site = TestSite::start().await;
    let ended = site.run_until(reboot(&["w1", "w2"]), "w1: ready").await;
    assert_eq!((ended.exit, &*ended.done), (Exit::Interrupted, &["w1".to_owned()][..]), "{ended:#?}");
    assert_eq!(site.journal.only(&["cordoned", "reboot"]), ["w1: cordoned", "w1: reboot", "w1: uncordoned"]);
    assert_eq!(ended.next, ["to go on: usher reboot w2 -r test"]);
}

/// What the world sees of a reboot of cp3 that is given up right before it.
const GIVEN_UP: [&str; 6] = [
    "cp3: cordoned",
    "cp3: stop kube-controller-manager.service",
    "cp3: depooled",
    "cp3: pooled",
    "cp3: start kube-controller-manager.service",
    "cp3: uncordoned",
];

#[tokio::test(start_paused = true)]
async fn a_reboot_that_is_forbidden_at_the_last_moment_takes_everything_before_it_back() {
    let site = TestSite::with_pool().await;
    let ended = site.run_and(reboot(&["cp3"]), |told| {
        if told == "cp3: depool: depooled" {
            site.machine("cp3").systemd.inhibit("shutdown", "apt", "an upgrade runs", "block");
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert_eq!(site.journal.only(&["cp3"]), GIVEN_UP);
    assert!(ended.summary.contains("something on cp3 forbids a reboot"), "{}", ended.summary);
    assert!(ended.details.iter().any(|line| line.contains("apt")), "{ended:#?}");
    assert!(site.units_down().is_empty() && site.cordoned().is_empty());
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_is_put_back_and_not_restarted_when_another_goes_down_while_it_is_taken_out() {
    let site = TestSite::with_pool().await;
    let ended = site.run_and(restart(&["kube-apiserver"]).on(&["cp1"]), |told| {
        if told == "cp1: depool" {
            site.machine("cp2").apiserver().unwrap().stop();
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("the apiserver on cp2 is not ready, so cp1 is not touched"), "{}", ended.summary);
    assert_eq!(site.journal.only(&["cp1"]), ["cp1: depooled", "cp1: pooled"]);
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_polkit_forbids_only_since_the_plan_takes_everything_before_it_back() {
    let site = TestSite::with_pool().await;
    let ended = site.run_and(reboot(&["cp3"]), |told| {
        if told == "cp3: reboot" {
            site.machine("cp3").systemd.set_can_reboot("challenge");
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert_eq!(site.journal.only(&["cp3"]), GIVEN_UP);
    assert!(ended.summary.contains("the agent on cp3 may not reboot it"), "{}", ended.summary);
    assert!(ended.details.iter().any(|line| line.contains("polkit")), "{ended:#?}");
    assert!(site.units_down().is_empty() && site.cordoned().is_empty());
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_login1_refuses_is_known_not_to_have_happened() {
    let site = TestSite::start().await;
    site.machine("w1").systemd.on_reboot(Reboot::Refused);
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("w1 was not rebooted"), "{}", ended.summary);
    assert!(site.cordoned().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_come_back_keeps_its_cordon_and_is_not_asked_again() {
    let site = TestSite::start().await;
    site.machine("w1").stays_down();
    let ended = site.run(reboot(&["w1", "w2"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert_eq!(site.journal.only(&["cordoned", "reboot"]), ["w1: cordoned", "w1: reboot"]);
    assert_eq!(site.cordoned(), ["w1"]);
    assert!(ended.summary.contains("w1 was told to reboot"), "{}", ended.summary);
    assert!(ended.next.iter().any(|line| line.contains("usher uncordon w1")), "{:#?}", ended.next);
    assert_eq!(ended.next.last().unwrap(), "to go on: usher reboot w2 -r test");
    assert!(site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn what_a_control_plane_that_does_not_come_back_was_left_with_is_said() {
    let site = TestSite::with_pool().await;
    site.machine("cp3").stays_down();
    let ended = site.run(reboot(&["cp3"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    for left in ["cp3 may be out of the load balancer's pool", "kube-controller-manager.service on cp3 may be stopped"]
    {
        assert!(ended.details.iter().any(|line| line.starts_with(left)), "{left}: {:#?}", ended.details);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_while_a_machine_reboots_sees_it_through() {
    let site = TestSite::start().await;
    let ended = site.run_until(reboot(&["w1"]), "w1: reboot").await;
    assert_eq!(ended.done, ["w1"], "{ended:#?}");
    assert_eq!(site.journal.only(&["cordoned", "reboot"]), ["w1: cordoned", "w1: reboot", "w1: uncordoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_interrupted_makes_its_node_schedulable_again() {
    let site = TestSite::start().await;
    site.api.add(pod("shop/slow").on("w1").owned_by_job("batch").ignores_sigterm());
    let ended = site.run_until(drain(&["w1"]), "w1: drain").await;
    assert_eq!(ended.exit, Exit::Interrupted, "{ended:#?}");
    assert!(site.cordoned().is_empty() && site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn without_the_lock_no_further_step_begins_and_what_was_done_is_taken_back() {
    let site = TestSite::start().await;
    site.api.add(pod("shop/slow").on("w1").owned_by_job("batch").ignores_sigterm());
    let ended = site.run_and(reboot(&["w1"]), |told| {
        if told == "w1: drain" {
            let other = json!({"spec": {"holderIdentity": "bob@host/op2"}});
            site.api.edit::<Lease>("kube-system/usher", other);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("the cluster's lock was lost"), "{}", ended.summary);
    assert_eq!(site.journal.only(&["cordoned", "reboot"]), ["w1: cordoned", "w1: uncordoned"]);
    assert_eq!(site.leader("usher"), "bob@host/op2", "it is left alone");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_at_once_is_told_what_may_be_left_and_how_to_mend_it() {
    let site = TestSite::with_pool().await;
    let ended = site.run_and(restart(&["kube-apiserver"]), |told| match told {
        "cp1: depool: depooled" => Then::Insist,
        _ => Then::GoOn,
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Interrupted, "{ended:#?}");
    let left = "cp1 may be out of the load balancer's pool; when its apiserver is ready: sh -c 'touch";
    assert!(ended.details.iter().any(|line| line.starts_with(left)), "{ended:#?}");
}

/// ^Z and `fg`: nothing of usher runs meanwhile, and its clock goes on.
#[tokio::test(start_paused = true)]
async fn after_a_stop_of_two_minutes_in_which_another_took_the_lock_nothing_more_is_changed() {
    let site = TestSite::with_pool().await;
    let ended = site.run_and(restart(&["kube-apiserver"]), |told| {
        if told == "cp1: depool: depooled" {
            let lease = json!({"spec": {"holderIdentity": "bob@host/other", "renewTime": null}});
            site.api.edit::<Lease>("kube-system/usher", lease);
            tokio::spawn(tokio::time::advance(Duration::from_secs(120)));
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("the cluster's lock was lost"), "{}", ended.summary);
    assert_eq!(site.journal.only(&["cp"]), ["cp1: depooled", "cp1: pooled"]);
    assert_eq!(site.leader("usher"), "bob@host/other", "it is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_soon_after_the_lock_is_lost() {
    let site = TestSite::start().await;
    site.api.add(pod("shop/slow").on("w1").owned_by_replica_set("web").never_stops());
    let begun = tokio::time::Instant::now();
    let ended = site.run_and(drain(&["w1"]), |told| {
        if told == "w1: drain" {
            let lease = json!({"spec": {"holderIdentity": "bob@host/other", "renewTime": null}});
            site.api.edit::<Lease>("kube-system/usher", lease);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("lock was lost"), "{}", ended.summary);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_drain_awaits_the_evictions_that_it_has_sent_and_reports_the_pods_that_moved() {
    let site = TestSite::start().await;
    let sent = site.api.inject(Fault::on(Method::POST, "/eviction").delay(Duration::from_secs(1)).always());
    let ended = site.run_and(reboot(&["w1"]), |told| match told.contains(" of ") && told.contains("1 of") {
        true => Then::Interrupt,
        false => Then::GoOn,
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Interrupted, "{ended:#?}");
    let evicted = site.journal.only(&["pod evicted"]).len();

    assert!(evicted > 0 && sent.hits() >= evicted, "{evicted} of {}", sent.hits());
    assert!(site.cordoned().is_empty());
    assert!(ended.text.contains("Pods of w1: "), "{}", ended.text);
}
