//! Every agent that an operation may call knows the epoch of its lock before the first change.

use std::time::Duration;

use tokio::time::sleep;
use usher_coordinator::{
    drain::Confirm,
    event::Events,
    exit::Exit,
    interrupt::Interrupt,
    operation,
    request::{Connection, Request},
    world::World,
};
use usher_testkit::rig::site::{CONTROL_PLANE, TestSite, reboot, restart};

async fn epoch(world: &World, machine: &str) -> u64 {
    world.agents.agent(machine).unwrap().status().await.unwrap().highest_epoch
}

#[tokio::test(start_paused = true)]
async fn the_whole_control_plane_knows_of_the_lock_and_so_do_the_machines_of_the_plan() {
    let site = TestSite::start().await;
    let world = site.world().await;
    assert_eq!(site.run(restart(&["kube-scheduler"]).on(&["cp1"])).await.exit, Exit::Done);
    for machine in CONTROL_PLANE {
        assert_eq!(epoch(&world, machine).await, 1, "{machine}");
    }
    assert_eq!(epoch(&world, "w1").await, 0);
    assert_eq!(site.run(reboot(&["w1"])).await.exit, Exit::Done);
    let world = site.world().await;
    for machine in ["cp1", "cp2", "cp3", "w1"] {
        assert_eq!(epoch(&world, machine).await, 2, "{machine}");
    }
    assert_eq!(epoch(&world, "w2").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_silent_is_named_and_the_operation_goes_on() {
    let site = TestSite::start().await;
    site.machine("cp3").loses_its_agent();
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let warned = ended.only(&["not told of this operation's lock"]);
    assert!(warned.len() == 1 && warned[0].contains("the agents on cp3"), "{warned:?}");
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_a_silent_agent_is_waited_for_is_known_before_the_first_turn() {
    let site = TestSite::start().await;
    site.machine("cp3").loses_its_agent();
    let hold = async {
        while site.lock_is_free() {
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_secs(2)).await;
        site.machine("w1").hold("a disk is being replaced");
    };
    let (ended, ()) = tokio::join!(site.run(reboot(&["w1"])), hold);
    assert_eq!(ended.exit, Exit::Refused, "{ended:#?}");
    assert!(site.journal.only(&["w1: cordoned"]).is_empty(), "{:?}", site.journal.lines());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_knows_a_higher_epoch_stops_the_operation_before_its_first_change() {
    let site = TestSite::start().await;
    let world = site.world().await;
    let request = Request {
        kind: restart(&["kube-scheduler"]).0,
        reason: "test".into(),
        task_id: None,
        connection: Connection::default(),
    };
    let planned = operation::plan(&world, &request, Confirm::Never).await.unwrap();
    // Another coordinator, which has taken the lock in the meantime and has lost it to us again.
    world.agents.agent("cp3").unwrap().fence(7, "bob@host", Duration::from_secs(5)).await.unwrap();
    let (_stop, interrupt) = Interrupt::by_hand();
    let (events, _stream) = Events::new();
    let names = ("op1".to_owned(), "ann@host".to_owned());
    let problem = operation::carry_out(&world, &request, names, &planned, &interrupt, &events).await.unwrap_err();
    assert_eq!(problem.exit(), Exit::Refused, "{problem:#?}");
    assert_eq!(problem.message, "the agent on cp3 does not go by our lock (epoch 1), and nothing was changed");
    assert!(problem.details[0].contains("this node has seen 7"), "{problem:#?}");
    assert!(site.journal.only(&["restart"]).is_empty());
    assert!(site.lock_is_free());
}
