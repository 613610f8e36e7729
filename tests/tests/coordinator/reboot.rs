//! `usher reboot`.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod},
};
use kube::ResourceExt as _;
use usher_coordinator::exit::Exit;
use usher_testkit::{
    apiserver::{Fault, Start, fixtures::pod},
    rig::site::{CONTROL_PLANE, KUBE_SCHEDULER, TestSite, Then, WORKERS, cordon, drain, reboot},
};

#[tokio::test(start_paused = true)]
async fn a_worker_is_cordoned_drained_rebooted_proved_and_uncordoned() {
    let site = TestSite::start().await;
    let pods = site.pods_on("w1");
    assert!(pods > 0);
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let mut expected = vec!["lease usher taken by usher", "w1: cordoned"];
    expected.extend(vec!["w1: pod evicted"; pods]);
    expected.extend(["w1: reboot", "w1: uncordoned", "lease usher freed"]);
    assert_eq!(site.journal.lines(), expected);
    assert_eq!(ended.only(&["w1: reboot: boot 1-bo… → 2-bo… after "]).len(), 1, "{:#?}", ended.told);
    assert_eq!(ended.only(&["w1: ready: "]), ["w1: ready: kubelet reported the new boot, Ready for 15s"]);
    assert!(ended.summary.starts_with("w1 rebooted in "), "{}", ended.summary);
    assert_eq!(site.pods_on("w2"), 4);
    assert!(site.cordoned().is_empty() && site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn workers_are_rebooted_one_after_another() {
    let site = TestSite::start().await;
    let ended = site.run(reboot(&WORKERS)).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let lines = site.journal.only(&["cordoned", "reboot"]);
    let expected = ["w1: cordoned", "w1: reboot", "w1: uncordoned", "w2: cordoned", "w2: reboot", "w2: uncordoned"];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_cordoned_by_somebody_else_is_refused() {
    let site = TestSite::start().await;
    site.api.edit::<k8s_openapi::api::core::v1::Node>("w1", serde_json::json!({"spec": {"unschedulable": true}}));
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Refused);
    assert_eq!(ended.summary, "w1 is already cordoned, and not by usher");
    assert!(site.journal.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_impolite_reboot_neither_cordons_nor_drains() {
    let site = TestSite::start().await;
    let ended = site.run(reboot(&["w1"]).impolite()).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(site.journal.lines(), ["lease usher taken by usher", "w1: reboot", "lease usher freed"]);
}

#[tokio::test(start_paused = true)]
async fn a_control_planes_machine_hands_over_leaves_the_pool_and_comes_back_whole() {
    let site = TestSite::with_pool().await;
    let ended = site.run(reboot(&["cp3"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(
        site.journal.lines(),
        [
            "lease usher taken by usher",
            "cp3: cordoned",
            "cp3: stop kube-controller-manager.service",
            "lease kube-controller-manager freed",
            "cp3: depooled",
            "cp3: reboot",
            "cp3: pooled",
            "cp3: uncordoned",
            "lease usher freed",
        ]
    );
    let units = "kube-apiserver.service, kube-controller-manager.service and kube-scheduler.service active";
    assert_eq!(ended.only(&["units"]), ["cp3: units", &format!("cp3: units: {units}; apiserver ready")]);
    assert_ne!(site.leader("kube-controller-manager"), "cp3");
    assert!(site.units_down().is_empty() && site.cordoned().is_empty());
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn workers_go_first_and_of_the_control_plane_those_that_lead_last() {
    let site = TestSite::with_pool().await;
    let mut most_down = 0;
    let ended = site.run_and(reboot(&["cp3", "cp2", "cp1", "w2"]), |_| {
        let down = CONTROL_PLANE.iter().filter(|name| !site.machine(name).apiserver().unwrap().is_ready()).count();
        most_down = most_down.max(down);
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(ended.done[..2], ["w2", "cp1"], "{:?}", ended.done);
    assert_eq!(most_down, 1, "apiservers down at a time");
    assert!(site.units_down().is_empty() && site.cordoned().is_empty());
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_goes_on_when_the_api_was_away_meanwhile() {
    let site = TestSite::start().await;
    let mut away = false;
    let ended = site.run_and(reboot(&["w1"]), |told| {
        if told == "w1: reboot" && !away {
            away = true;
            site.api.outage(Duration::from_secs(20));
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(site.journal.only(&["cordoned", "reboot"]), ["w1: cordoned", "w1: reboot", "w1: uncordoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_whose_answer_was_lost_is_found_by_its_boot_id() {
    let site = TestSite::start().await;
    site.machine("w1").loses_the_answer_to_its_reboot();
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(site.journal.only(&["cordoned", "reboot"]), ["w1: cordoned", "w1: reboot", "w1: uncordoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_boots_by_itself_during_its_turn_is_not_rebooted_once_more() {
    let site = TestSite::start().await;
    let ended = site.run_and(reboot(&["w1"]), |told| {
        if told == "w1: drain" {
            site.machine("w1").loses_its_power();
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(
        site.journal.only(&["w1: "]).into_iter().filter(|line| !line.contains("pod")).collect::<Vec<_>>(),
        ["w1: cordoned", "w1: lost its power", "w1: uncordoned"]
    );
    let by_itself = "w1: reboot: it has booted by itself during its turn (1-bo… → 2-bo…)";
    assert_eq!(ended.only(&["by itself"]), [by_itself], "{:#?}", ended.told);
    assert_eq!(ended.only(&["w1: ready: "]).len(), 1, "{:#?}", ended.told);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_somebody_else_shuts_down_is_not_uncordoned_before_it_is_back() {
    for comes_back in [true, false] {
        let site = TestSite::start().await;
        let machine = site.machine("w1");
        if !comes_back {
            machine.stays_down();
        }
        let ended = site.run_and(reboot(&["w1"]), |told| {
            if told == "w1: reboot" {
                machine.systemd.set_preparing(true);
                machine.loses_its_power();
            }
            Then::GoOn
        });
        let ended = ended.await;
        let lines = site.journal.only(&["cordoned", "reboot", "power"]);
        if comes_back {
            assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
            assert_eq!(lines, ["w1: cordoned", "w1: lost its power", "w1: uncordoned"]);
        } else {
            assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
            assert_eq!(lines, ["w1: cordoned", "w1: lost its power"]);
            assert!(ended.summary.contains("w1"), "{}", ended.summary);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_goes_down_before_its_hand_over_stays_cordoned() {
    let site = TestSite::with_pool().await;
    let machine = site.machine("cp3");
    let ended = site.run_and(reboot(&["cp3"]), |told| {
        if told == "cp3: drain" {
            machine.systemd.set_preparing(true);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_ne!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(site.journal.only(&["cordoned", "stop", "reboot", "pooled"]), ["cp3: cordoned"], "{ended:#?}");
    assert_eq!(site.cordoned(), ["cp3"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_polkit_does_not_let_its_agent_reboot_is_refused_before_anything_is_touched() {
    let site = TestSite::with_pool().await;
    site.machine("cp3").systemd.set_can_reboot("challenge");
    let ended = site.run(reboot(&["cp3"])).await;
    assert_eq!(ended.exit, Exit::Refused, "{ended:#?}");
    assert_eq!(ended.summary, "the agent on cp3 may not reboot it");
    assert!(site.journal.lines().is_empty());
}

/// The cni pod of a node, as `namespace/name`.
fn cni_on(site: &TestSite, node: &str) -> String {
    let is_it = |pod: &Pod| {
        pod.name_any().starts_with("cni-") && pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node)
    };
    let pod = site.api.list::<Pod>().into_iter().find(is_it).expect("each node has one");
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// A reboot of w1 whose kubelet dies as soon as it has posted Ready; `on` hears all that is told before.
async fn reboot_whose_kubelet_dies(site: &TestSite, mut on: impl FnMut(&str)) {
    let ended = site.run_and(reboot(&["w1"]), |told| {
        on(told);
        if told.contains("Ready; watching") {
            site.api.kubelet("w1", |kubelet| kubelet.alive = false);
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert_eq!(site.cordoned(), ["w1"]);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_dies_after_it_has_posted_ready_is_not_taken_to_be_back() {
    reboot_whose_kubelet_dies(&TestSite::start().await, |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_whose_lease_nobody_may_read_does_not_hang_the_proof_which_says_so() {
    let site = TestSite::start().await;
    site.api.inject(Fault::on(Method::GET, "kube-node-lease/leases/w1").status(403).always());
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let said = ended.only(&["may not be read"]);
    assert_eq!(said.len(), 1, "{:#?}", ended.told);
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_a_daemon_set_that_was_not_ready_before_is_told_and_not_held_against_the_boot() {
    let site = TestSite::start().await;
    let pod = cni_on(&site, "w1");
    site.api.kubelet("w1", |kubelet| {
        kubelet.starts.insert("cni".into(), Start::Crashes { exit_code: 1, log: "no route" });
    });
    site.api.boot("w1", "1-boot-of-w1");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(
        ended.only(&[pod.as_str()]),
        [
            format!("w1: preflight: not ready before the reboot, so not waited for after it: {pod}"),
            format!("w1: ready: not ready, as before the reboot: {pod}"),
        ]
    );
    assert!(site.cordoned().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_on_which_a_daemon_set_has_no_pod_any_more_is_not_uncordoned_unless_the_daemon_set_is_gone_too() {
    for deleted in [false, true] {
        let site = TestSite::start().await;
        let pod = cni_on(&site, "w1");
        let ended = site.run_and(reboot(&["w1"]), |told| {
            if told.starts_with("w1: reboot: boot ") {
                // As after a graceful shutdown of the node, with a controller that makes no other.
                site.api.run_controller_manager(false);
                site.api.edit::<Pod>(&pod, serde_json::json!({"status": {"phase": "Succeeded"}}));
                if deleted {
                    site.api.remove::<DaemonSet>("kube-system/cni");
                }
            }
            Then::GoOn
        });
        let ended = ended.await;
        if deleted {
            assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
        } else {
            assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
            assert!(
                ended.summary.contains("the DaemonSet kube-system/cni has no running pod here"),
                "{}",
                ended.summary
            );
            assert_eq!(site.cordoned(), ["w1"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_did_not_run_before_is_told_and_not_waited_for() {
    let site = TestSite::start().await;
    site.machine("cp1").systemd.set_unit(KUBE_SCHEDULER, |unit| {
        unit.active_state = "inactive".to_owned();
        unit.file_state = "disabled".to_owned();
    });
    let ended = site.run(reboot(&["cp1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let told = ended.only(&["did not run before", " active; "]);
    assert_eq!(
        told,
        [
            "cp1: units: kube-apiserver.service and kube-controller-manager.service active; apiserver ready",
            "cp1: units: not waited for, since they did not run before: kube-scheduler.service"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_boots_by_itself_and_is_not_proved_to_be_back_stays_cordoned() {
    let site = TestSite::start().await;
    let loses_its_power = |told: &str| {
        if told == "w1: drain" {
            site.machine("w1").loses_its_power();
        }
    };
    reboot_whose_kubelet_dies(&site, loses_its_power).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_boots_once_more_while_it_is_watched_is_watched_anew() {
    let site = TestSite::start().await;
    let mut again = true;
    let ended = site.run_and(reboot(&["w1"]), |told| {
        if told.contains("Ready; watching") && std::mem::take(&mut again) {
            site.api.boot("w1", "another boot");
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(ended.only(&["once more"]), ["w1: ready: it has booted once more (2-bo… → anot…)"], "{:#?}", ended.told);
}

#[tokio::test(start_paused = true)]
async fn a_cordon_that_was_asked_for_after_a_reboot_that_failed_outlasts_the_next_reboot() {
    let site = TestSite::start().await;
    site.machine("w1").stays_down();
    assert_eq!(site.run(reboot(&["w1"])).await.exit, Exit::TimedOut);
    let asked = site.run(cordon(&["w1"])).await;
    assert_eq!(asked.exit, Exit::Done, "{asked:#?}");
    let told = asked.only(&["stays so from now on"]);
    assert_eq!(told, ["w1: cordon: was cordoned by usher reboot (ann@host: \"test\"), and stays so from now on"]);
    let world = site.world().await;
    let mark = world.cluster.node("w1").await.unwrap().mark.unwrap();
    assert_eq!(mark.command, "cordon");
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_fails_gives_the_cordon_of_a_reboot_its_mark_back() {
    let site = TestSite::start().await;
    site.machine("w1").stays_down();
    assert_eq!(site.run(reboot(&["w1"])).await.exit, Exit::TimedOut);
    site.api.add(pod("shop/stubborn").on("w1").owned_by_replica_set("web").never_stops());
    let ended = site.run(drain(&["w1"]).drain_within(Duration::from_secs(30))).await;
    assert_ne!(ended.exit, Exit::Done, "{ended:#?}");
    let world = site.world().await;
    assert_eq!(world.cluster.node("w1").await.unwrap().mark.unwrap().command, "reboot");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_somebody_cordons_between_plan_and_cordon_is_not_rebooted() {
    let site = TestSite::start().await;
    let ended = site.run_and(reboot(&["w1"]), |told| {
        if told == "w1: preflight" {
            site.api.edit::<Node>("w1", serde_json::json!({"spec": {"unschedulable": true}}));
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Refused, "{ended:#?}");
    assert!(ended.summary.contains("w1 was cordoned by somebody else meanwhile"), "{}", ended.summary);
    assert_eq!(site.cordoned(), ["w1"]);
    assert_eq!(site.journal.only(&["reboot", "evicted"]), [""; 0]);
}
