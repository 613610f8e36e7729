//! What forbids a reboot between the answer and the request to login1, shutdowns of others, and login1's own mind.

use std::{fs, sync::Arc};

use usher_proto::{
    reason,
    v1::{BlockerKind, FailureKind, Operation, Order},
};
use usher_testkit::{
    rig::agent::{Caller, Rig, UNIT, order, refused, succeeded},
    systemd::Reboot,
};

fn dry(id: &str) -> Order {
    Order { dry_run: true, ..order(id) }
}

/// Asks for a reboot, and lets something happen right after the answer.
async fn reboot_and(rig: &Rig, overrides: &[&str], meanwhile: impl FnOnce()) -> Operation {
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", overrides).await.unwrap();
    assert_eq!(rig.systemd.reboots(), 0);
    meanwhile();
    alice.end_of("r").await
}

/// The operation failed before login1 was asked, for this reason and in these words.
async fn was_not_asked(rig: &Rig, end: Operation, reason: &str, words: &str) {
    let failure = end.failure.expect("a failure");
    assert_eq!(failure.kind(), FailureKind::Interrupted);
    for expected in ["login1 was not asked to reboot", reason, words] {
        assert!(failure.message.contains(expected), "{expected:?} is not in {:?}", failure.message);
    }
    assert_eq!(rig.systemd.reboots(), 0);
    assert_eq!(rig.operator().await.node().await.reboot_budget.unwrap().used, 0, "it costs no reboot");
}

#[tokio::test]
async fn a_hold_that_comes_after_the_answer_stops_the_reboot() {
    let rig = Rig::new().await;
    let end = reboot_and(&rig, &[], || fs::write(rig.path().join("hold"), "disk swap\n").unwrap()).await;
    was_not_asked(&rig, end, reason::HELD, "disk swap").await;
}

#[tokio::test]
async fn an_inhibitor_or_a_login_that_comes_after_the_answer_stops_the_reboot() {
    let rig = Rig::new().await;
    let end = reboot_and(&rig, &[], || rig.systemd.inhibit("shutdown", "apt", "an upgrade runs", "block")).await;
    was_not_asked(&rig, end, reason::INHIBITED, "an upgrade runs").await;

    let rig = Rig::new().await;
    let end = reboot_and(&rig, &["user:alice"], || {
        rig.systemd.log_in("alice", "user", "active");
        rig.systemd.log_in("bob", "user", "active");
    })
    .await;
    was_not_asked(&rig, end, reason::INHIBITED, "bob is logged in").await;
}

#[tokio::test]
async fn another_boot_after_the_answer_is_no_reason_to_reboot_again() {
    let rig = Rig::new().await;
    let end = reboot_and(&rig, &[], || fs::write(rig.path().join("boot_id"), "boot-2\n").unwrap()).await;
    was_not_asked(&rig, end, reason::BOOT_MISMATCH, "boot-2").await;
}

#[tokio::test]
async fn while_a_shutdown_is_under_way_only_starts_are_accepted() {
    let rig = Rig::new().await;
    rig.systemd.set_preparing(true);
    let mut alice = rig.operator().await;
    for dry_run in [false, true] {
        let order = |id| Order { dry_run, ..order(id) };
        for call in [
            alice.reboot(order("r"), "boot-1", &[]).await,
            alice.restart(order("a"), UNIT, &rig.invocation).await,
            alice.stop(order("b"), UNIT, &rig.invocation).await,
        ] {
            let told = refused(&call.unwrap_err(), "");
            assert_eq!((told.0, told.1.as_str()), (tonic::Code::FailedPrecondition, reason::SHUTTING_DOWN));
        }
    }
    assert!(rig.systemd.jobs().is_empty() && rig.systemd.reboots() == 0);
    alice.start(dry("c"), UNIT).await.expect("what was stopped can be started");
}

/// The operation waits for the boot that somebody else's shutdown brings, and ends with it.
async fn ends_with_the_boot(rig: &mut Rig, alice: &mut Caller) {
    alice.until_step("r", "reboot").await;
    loop {
        let running = alice.operation("r").await.unwrap();
        if running.steps.iter().any(|step| step.message.contains("another shutdown of the node is under way")) {
            break;
        }
        assert!(running.failure.is_none(), "{running:?}");
    }
    rig.kill();
    rig.boot("boot-2");
    rig.start().await;
    let end = rig.operator().await.end_of("r").await;
    assert!(succeeded(&end), "{end:?}");
}

#[tokio::test]
async fn a_shutdown_that_begins_after_the_answer_is_waited_for() {
    let mut rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    rig.systemd.set_preparing(true);
    ends_with_the_boot(&mut rig, &mut alice).await;
    assert_eq!(rig.systemd.reboots(), 0);
}

#[tokio::test]
async fn a_login1_that_is_in_a_shutdown_already_may_have_taken_the_request() {
    let mut rig = Rig::new().await;
    rig.systemd.on_reboot(Reboot::InProgress);
    let mut alice = rig.operator().await;
    alice.reboot(order("r"), "boot-1", &[]).await.unwrap();
    ends_with_the_boot(&mut rig, &mut alice).await;
}

#[tokio::test]
async fn an_overridden_inhibitor_is_overridden_before_and_since_systemd_257() {
    for version in [252, 257] {
        let mut rig = Rig::new().await;
        rig.systemd.set_version(version);
        rig.systemd.inhibit("shutdown", "backup", "it runs", "block");
        rig.systemd.on_reboot(Reboot::Calls(Arc::new(|| {})));
        let mut alice = rig.operator().await;
        alice.reboot(order("r"), "boot-1", &["backup"]).await.unwrap();
        alice.until_step("r", "reboot").await;
        while rig.systemd.reboots() == 0 {
            let running = alice.operation("r").await.unwrap();
            assert!(running.failure.is_none(), "systemd {version}: {running:?}");
        }
        rig.kill();
        rig.boot("boot-2");
        rig.start().await;
        assert!(succeeded(&rig.operator().await.end_of("r").await));
        assert_eq!(rig.systemd.reboots(), 1, "systemd {version}");
    }
}

#[tokio::test]
async fn a_scheduled_shutdown_is_told_and_forbids_a_reboot_until_it_is_overridden_by_name() {
    let rig = Rig::new().await;
    let at: jiff::Timestamp = "2026-03-01T03:00:00Z".parse().unwrap();
    rig.systemd.schedule("poweroff", at, "rack move\n");
    let mut alice = rig.operator().await;
    let node = alice.node().await;
    let told = node.scheduled_shutdown.unwrap();
    assert_eq!((told.kind.as_str(), told.at.unwrap().seconds), ("poweroff", at.as_second()));
    assert_eq!(told.message, "rack move?");
    assert_eq!(
        (node.blockers[0].kind(), node.blockers[0].name.as_str()),
        (BlockerKind::ScheduledShutdown, "scheduled:poweroff")
    );
    let status = alice.reboot(dry("r"), "boot-1", &[]).await.unwrap_err();
    assert_eq!(refused(&status, "blockers").2, "scheduled:poweroff");
    alice.reboot(dry("r"), "boot-1", &["scheduled:poweroff"]).await.unwrap();
    rig.systemd.schedule("dry-reboot", at, "only words");
    assert!(alice.node().await.scheduled_shutdown.is_none());
}

#[tokio::test]
async fn a_login1_that_would_not_let_the_agent_reboot_is_told_with_the_status() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    assert_eq!(alice.node().await.reboot_refused, "");
    rig.systemd.set_can_reboot("challenge");
    let told = alice.node().await.reboot_refused;
    assert!(told.contains("CanReboot: challenge") && told.contains("polkit rule"), "{told}");
    let status = alice.reboot(dry("r"), "boot-1", &[]).await.unwrap_err();
    assert_eq!(status.message(), told);
}

#[tokio::test]
async fn the_state_of_a_units_file_is_told() {
    let rig = Rig::new().await;
    assert_eq!(rig.viewer().await.node().await.units[1].file_state, "enabled");
    rig.systemd.set_unit(UNIT, |unit| unit.file_state = "disabled".to_owned());
    assert_eq!(rig.viewer().await.node().await.units[1].file_state, "disabled");
}

#[tokio::test]
async fn an_agent_that_will_not_start_with_the_machine_says_so() {
    let rig = Rig::new().await;
    rig.systemd.add_unit("usher-agent.service");
    let own =
        |node: usher_proto::v1::Node| node.warnings.into_iter().find(|warning| warning.contains("usher-agent.service"));
    assert_eq!(own(rig.viewer().await.node().await), None);
    rig.systemd.set_unit("usher-agent.service", |unit| unit.file_state = "disabled".to_owned());
    let told = own(rig.viewer().await.node().await).expect("a warning");
    assert!(told.starts_with("usher-agent.service is disabled: after a reboot nobody would answer"), "{told}");
}
