//! Reboots: asked for, answered first, found again after.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use jiff::SignedDuration;
use usher_common::clock;
use usher_proto::{
    reason,
    v1::{FailureKind, OperationKind, OperationState, Order},
};
use usher_testkit::{
    rig::{
        agent::{Rig, order, refused, steps, succeeded},
        until::until,
    },
    systemd::Reboot,
};

#[tokio::test]
async fn the_answer_comes_first_and_the_operation_ends_after_the_boot() {
    let mut rig = Rig::new().await;
    let folder = rig.path().to_owned();
    let recorded = Arc::new(Mutex::new(String::new()));
    let record = Arc::clone(&recorded);
    let machine = move || *record.lock().unwrap() = fs::read_to_string(folder.join("state/running.json")).unwrap();
    rig.systemd.on_reboot(Reboot::Calls(Arc::new(machine)));

    let mut alice = rig.operator().await;
    let answer = alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    assert_eq!((answer.kind(), answer.state()), (OperationKind::RebootNode, OperationState::Running));
    assert_eq!(rig.systemd.reboots(), 0, "the agent must answer before it asks for the reboot");
    alice.until_step("r", "reboot").await;
    let running = alice.node().await.current_operation.unwrap();
    assert_eq!(running.id, "r");

    until("login1 is asked", async || !recorded.lock().unwrap().is_empty()).await;
    assert!(recorded.lock().unwrap().contains("reboot_asked"), "the intent must be on disk before login1 is asked");
    rig.stop().await;
    rig.boot("boot-2");
    rig.start().await;

    let mut alice = rig.operator().await;
    let end = alice.end_of("r").await;
    assert!(succeeded(&end), "{end:?}");
    assert!(steps(&end).ends_with(&["booted"]));
    let evidence = end.evidence.unwrap();
    assert_eq!((evidence.boot_id_before.as_str(), evidence.boot_id_after.as_str()), ("boot-1", "boot-2"));
    assert_eq!(rig.systemd.reboots(), 1);
    assert_eq!(alice.node().await.reboot_budget.unwrap().used, 1);

    // The coordinator that lost the answer asks again: nothing is done twice.
    let again = alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    assert_eq!(again.state(), OperationState::Succeeded);
    assert_eq!(rig.systemd.reboots(), 1);
}

#[tokio::test]
async fn a_user_who_is_overridden_is_told_who_reboots_the_machine_and_why_and_nobody_else_is() {
    for (user, overrides) in [(true, &["user:bob"][..]), (false, &[])] {
        let rig = Rig::new().await;
        if user {
            rig.systemd.log_in("bob", "user", "active");
        }
        let mut alice = rig.operator().await;
        alice.reboot(order("r"), "boot-1", overrides).await.unwrap();
        until("login1 is asked", async || rig.systemd.reboots() > 0).await;
        let told = user
            .then(|| "usher reboots this machine now: new CA (by alice@cumin1001 (CN=alice), operation r)".to_owned());
        assert_eq!(rig.systemd.wall(), told);
    }
}

#[tokio::test]
async fn no_other_reboot_is_announced_as_one_that_login1_refused() {
    let rig = Rig::new().await;
    rig.systemd.log_in("bob", "user", "active");
    rig.systemd.on_reboot(Reboot::Refused);
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &["user:bob"]).await.unwrap();
    assert_eq!(alice.end_of("r").await.failure.unwrap().kind(), FailureKind::Refused);
    assert_eq!(rig.systemd.wall(), None);
}

#[tokio::test]
async fn an_answer_of_login1_that_is_lost_is_no_failure() {
    let mut rig = Rig::without_agent("");
    let listener = rig.systemd.listen(&rig.path().join("bus")).unwrap();
    rig.start_on(usher_agent::machine::bus::Address::Peer(listener.address())).await;
    rig.systemd.on_reboot(Reboot::AnswerLost(Arc::new(|| {})));
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    let mut told = alice.until_step("r", "reboot").await;
    while !told.steps.iter().any(|step| step.message.contains("answer was lost")) {
        assert_eq!(told.state(), OperationState::Running, "{told:?}");
        told = alice.operation("r").await.unwrap();
    }
    // The machine does go down: the agent finds the new boot when it comes back.
    rig.kill();
    rig.boot("boot-2");
    rig.start_on(usher_agent::machine::bus::Address::Peer(listener.address())).await;
    assert!(succeeded(&rig.operator().await.end_of("r").await));
    assert_eq!(rig.systemd.reboots(), 1);
}

#[tokio::test]
async fn a_reboot_that_login1_refuses_fails_with_its_words_and_costs_nothing() {
    let rig = Rig::new().await;
    rig.systemd.on_reboot(Reboot::Refused);
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    let end = alice.end_of("r").await;
    let failure = end.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message.contains("Permission denied"), "{}", failure.message);
    assert_eq!(alice.node().await.reboot_budget.unwrap().used, 0, "a refused reboot costs nothing");
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_goes_on_is_told_apart_from_a_slow_shutdown() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    let begin = tokio::time::Instant::now();
    // A shutdown is under way for ten minutes, then it is cancelled.
    rig.systemd.set_preparing(true);
    let systemd = rig.systemd.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        systemd.set_preparing(false);
    });
    while alice.operation("r").await.unwrap().state() == OperationState::Running {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
    let end = alice.operation("r").await.unwrap();
    assert_eq!(end.failure.unwrap().kind(), FailureKind::NotRebooted);
    let took = begin.elapsed().as_secs();
    assert!((655..700).contains(&took), "{took}");
    assert_eq!(alice.node().await.reboot_budget.unwrap().used, 1);
}

#[tokio::test]
async fn an_agent_that_comes_back_in_the_same_boot_does_not_ask_again() {
    let mut rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    // Before the 200 ms are over: login1 was not asked.
    rig.kill();
    rig.start().await;
    let end = rig.operator().await.end_of("r").await;
    assert_eq!(end.failure.unwrap().kind(), FailureKind::Interrupted);
    assert_eq!(rig.systemd.reboots(), 0);
}

#[tokio::test]
async fn the_budget_is_a_brake_on_loops() {
    // A short memory for operations is no way around it.
    let mut rig = Rig::with("[reboot]\nbudget_per_day = 2\n[operations]\nkeep = '1ms'\nkeep_count = 1\n").await;
    rig.systemd.on_reboot(Reboot::Calls(Arc::new(|| {})));
    for boot in 1..=2 {
        let mut alice = rig.operator().await;
        let id = format!("r{boot}");
        alice.reboot(order(&id), &format!("boot-{boot}"), &[]).await.unwrap();
        alice.until_step(&id, "reboot").await;
        until("login1 is asked", async || rig.systemd.reboots() >= boot).await;
        rig.kill();
        rig.boot(&format!("boot-{}", boot + 1));
        rig.start().await;
        assert!(succeeded(&rig.operator().await.end_of(&id).await));
    }
    let mut alice = rig.operator().await;
    for dry_run in [false, true] {
        let status = alice.reboot(Order { dry_run, ..order("r3") }, "boot-3", &[]).await.unwrap_err();
        let told = refused(&status, "");
        assert_eq!((told.0, told.1.as_str()), (tonic::Code::ResourceExhausted, reason::REBOOT_BUDGET));
    }
    let budget = alice.node().await.reboot_budget.unwrap();
    assert_eq!((budget.used, budget.allowed), (2, 2));
}

async fn rebooted(rig: &mut Rig, id: &str, from: &str, to: &str) {
    rig.systemd.on_reboot(Reboot::Calls(Arc::new(|| {})));
    let mut alice = rig.operator().await;
    let before = rig.systemd.reboots();
    alice.reboot(order(id), from, &[]).await.unwrap();
    until("login1 is asked", async || rig.systemd.reboots() > before).await;
    rig.kill();
    rig.boot(to);
    rig.start().await;
    assert!(succeeded(&rig.operator().await.end_of(id).await));
}

#[tokio::test]
async fn no_step_of_the_clock_makes_room_for_another_reboot() {
    let mut rig = Rig::with("[reboot]\nbudget_per_day = 1\n").await;
    rebooted(&mut rig, "r1", "boot-1", "boot-2").await;
    let now = clock::now();
    for days in [-10_000, -1, 1, 2, 100] {
        clock::follow_tokio(now + SignedDuration::from_hours(24 * days));
        assert_eq!(rig.operator().await.node().await.reboot_budget.unwrap().used, 1, "{days} days off");
    }
    let status = rig.operator().await.reboot(order("r2"), "boot-2", &[]).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::REBOOT_BUDGET);
    // The history may be lost: the budget does not hang on it.
    rig.kill();
    fs::remove_dir_all(rig.path().join("state/operations")).unwrap();
    rig.start().await;
    assert_eq!(rig.operator().await.node().await.reboot_budget.unwrap().used, 1);
}

#[tokio::test]
async fn a_budget_that_cannot_be_read_is_used_up_until_somebody_looks_at_it() {
    let mut rig = Rig::new().await;
    rebooted(&mut rig, "r1", "boot-1", "boot-2").await;
    rig.kill();
    let record = rig.path().join("state/reboots.json");
    fs::write(&record, "{").unwrap();
    rig.start().await;
    let mut alice = rig.operator().await;
    let node = alice.node().await;
    let budget = node.reboot_budget.unwrap();
    assert_eq!((budget.used, budget.allowed), (4, 4));
    assert!(node.warnings.iter().any(|warning| warning.contains("reboots.json")), "{:?}", node.warnings);
    let status = alice.reboot(order("r2"), "boot-2", &[]).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::REBOOT_BUDGET);
    assert_eq!(fs::read_to_string(&record).unwrap(), "{", "it is left where it is");

    rig.kill();
    fs::remove_file(&record).unwrap();
    rig.start().await;
    assert_eq!(rig.operator().await.node().await.reboot_budget.unwrap().used, 1, "the history tells it");
}

#[tokio::test]
async fn a_reboot_that_does_not_come_can_be_cancelled_and_still_counts() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    assert_eq!(refused(&alice.cancel(order("c"), "r").await.unwrap_err(), "").1, reason::NOT_WAITING);
    let end = loop {
        match alice.cancel(order("c"), "r").await {
            Ok(end) => break end,
            Err(status) => assert_eq!(refused(&status, "").1, reason::NOT_WAITING),
        }
    };
    assert_eq!(end.failure.unwrap().kind(), FailureKind::Cancelled);
    assert_eq!(rig.systemd.reboots(), 1);
    let node = alice.node().await;
    assert_eq!((node.reboot_budget.unwrap().used, node.current_operation), (1, None));
}
