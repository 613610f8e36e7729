//! The bus to systemd and login1: how many calls it takes, and what happens when it has no room, hangs or is silent.

use std::time::Duration;

use tokio::{net::UnixListener, time::Instant};
use usher_agent::machine::bus::Address;
use usher_proto::reason;
use usher_testkit::{
    rig::agent::{Caller, Rig, UNIT, order, refused, succeeded},
    systemd::Service,
};

/// A configuration of this many more units, all of which systemd knows.
async fn rig_of_units(number: usize) -> Rig {
    let names: Vec<_> = (0..number).map(|number| format!("unit-{number}.service")).collect();
    let more: String = names.iter().map(|name| format!("[units.'{name}']\n")).collect();
    let mut rig = Rig::without_agent(&more);
    for name in &names {
        rig.systemd.add_unit(name);
    }
    rig.start().await;
    rig
}

/// Asks for the status this often at once. A connection carries eight calls at a time.
async fn crowd(caller: &Caller, callers: usize) -> Vec<usher_proto::v1::Node> {
    let ask = |mut caller: Caller| async move { caller.node().await };
    futures::future::join_all((0..callers).map(|_| ask(caller.clone()))).await
}

#[tokio::test(start_paused = true)]
async fn a_status_costs_three_calls_a_unit_and_six_more() {
    let rig = rig_of_units(4).await;
    let mut bob = rig.viewer().await;
    // The agent's own look at its start.
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.systemd.take_calls();
    bob.node().await;
    // Two units are the rig's own, and one of these is unknown to systemd.
    assert_eq!(rig.systemd.take_calls().all, 6 * 3 + 6);
    rig.systemd.log_in("carol", "user", "active");
    bob.node().await;
    assert_eq!(rig.systemd.take_calls().all, 6 * 3 + 7, "one more for the session");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_callers_costs_two_looks_and_never_more_calls_at_once_than_the_bus_takes() {
    let rig = rig_of_units(60).await;
    // The agent's own look at its start.
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.systemd.take_calls();
    rig.systemd.answers_after(Duration::from_millis(20));
    let viewers = [rig.viewer().await, rig.viewer().await, rig.viewer().await, rig.viewer().await];
    let nodes = futures::future::join_all(viewers.iter().map(|bob| crowd(bob, 8))).await.concat();
    assert!(
        nodes.iter().all(|node| node.units.len() == 62 && node.units.iter().all(|unit| !unit.load_state.is_empty()))
    );
    let calls = rig.systemd.take_calls();
    assert!(calls.all <= 2 * (62 * 3 + 6), "{calls:?}");
    assert_eq!(calls.loads_at_once, 32);
}

/// A restart, and how long it took from the call to its end.
async fn restarted(rig: &Rig, id: &str) -> Duration {
    let mut alice = rig.operator().await;
    let now = rig.systemd.unit(UNIT).invocation_id;
    let begun = Instant::now();
    alice.restart(order(id), UNIT, &now).await.unwrap();
    assert!(succeeded(&alice.end_of(id).await));
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_as_long_as_ever_while_callers_have_taken_all_room_for_reads() {
    let more: String = (0..60).map(|number| format!("[units.'unit-{number}.service']\n")).collect();
    let mut rig = Rig::without_agent(&more);
    let listener = rig.systemd.listen(&rig.path().join("bus")).unwrap();
    rig.start_on(Address::Peer(listener.address())).await;
    // The agent's own look at its start.
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.systemd.answers_after(Duration::from_secs(1));
    let alone = restarted(&rig, "alone").await;

    let viewers = [rig.viewer().await, rig.viewer().await, rig.viewer().await];
    rig.systemd.take_calls();
    let crowds: Vec<_> = viewers
        .into_iter()
        .map(|bob| {
            tokio::spawn(async move {
                loop {
                    crowd(&bob, 4).await;
                }
            })
        })
        .collect();
    // Half a second into the second that an answer takes: all room for reads is taken.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let beside = restarted(&rig, "beside").await;
    assert!(rig.systemd.take_calls().loads_at_once >= 32, "the reads had no more room");
    assert!(beside <= alone + Duration::from_millis(500), "{beside:?} beside reads, {alone:?} without");
    for crowd in crowds {
        crowd.abort();
    }
}

#[tokio::test]
async fn a_status_shows_what_is_so_after_it_was_asked_for() {
    let rig = Rig::new().await;
    let mut bob = rig.viewer().await;
    for _ in 0..3 {
        let id = rig.systemd.restart_behind(UNIT);
        assert_eq!(bob.node().await.units[1].invocation_id, id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_without_room_is_tried_again_and_nothing_fails() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    rig.systemd.fill_bus(3);
    let warnings = alice.node().await.warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("does not answer")), "{warnings:?}");
    rig.systemd.fill_bus(5);
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(rig.systemd.jobs(), [format!("restart {UNIT}")]);
}

#[tokio::test(start_paused = true)]
async fn a_systemd_that_hangs_costs_a_status_four_seconds_and_is_named() {
    let rig = Rig::new().await;
    let bob = rig.viewer().await;
    crowd(&bob, 1).await;
    rig.systemd.inhibit("shutdown", "apt", "an upgrade runs", "block");
    rig.systemd.hang(Service::Systemd);
    let begun = Instant::now();
    let nodes = crowd(&bob, 5).await;
    assert!(begun.elapsed() <= Duration::from_millis(4100), "{:?}", begun.elapsed());
    for node in nodes {
        assert_eq!(node.blockers.len(), 1, "login1 was asked all the same");
        let named = "org.freedesktop.systemd1 has not answered";
        assert!(node.warnings.iter().any(|warning| warning.contains(named)), "{:?}", node.warnings);
    }
    rig.systemd.wake();
    assert_eq!(bob.clone().node().await.units[1].active_state, "active");
}

#[tokio::test(start_paused = true)]
async fn a_login1_that_hangs_forbids_reboots_alone() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    rig.systemd.hang(Service::Login);
    let node = alice.node().await;
    assert_eq!(node.units[1].active_state, "active");
    assert!(node.warnings.iter().any(|warning| warning.contains("org.freedesktop.login1 has not answered")));
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    let status = alice.reboot(order("r"), "boot-1", &[]).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::SYSTEMD_UNAVAILABLE);
    assert_eq!(rig.systemd.reboots(), 0);
}

#[tokio::test]
async fn a_bus_that_takes_connections_and_is_silent_is_said_in_seconds_and_not_tried_by_each_caller() {
    let mut rig = Rig::without_agent("");
    let path = rig.path().join("silent");
    let listener = UnixListener::bind(&path).unwrap();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(stream) = listener.accept().await {
            held.push(stream);
        }
    });
    rig.start_on(Address::Peer(format!("unix:path={}", path.display()))).await;
    let mut bob = rig.viewer().await;
    let begun = Instant::now();
    let node = bob.node().await;
    assert!(
        node.warnings.iter().any(|warning| warning.contains("the bus has not answered within 3s")),
        "{:?}",
        node.warnings
    );
    bob.node().await;
    assert!(
        begun.elapsed() < Duration::from_millis(4500),
        "the second took no attempt of its own: {:?}",
        begun.elapsed()
    );
    silent.abort();
}
