//! The agent without sockets and files: the same code over byte streams and a disk in memory, in paused time.

use std::{fs, io, time::Duration};

use tokio::{sync::mpsc::unbounded_channel, time::Instant};
use tonic::transport::{Channel, Endpoint, Error};
use usher_agent::{
    caller,
    disk::{Disk, MemoryDisk},
};
use usher_common::stream::Dial;
use usher_proto::{reason, v1::FailureKind};
use usher_testkit::{
    pki::Names,
    rig::{
        agent::{Caller, Rig, UNIT, order, refused, steps, succeeded},
        streams::StreamDoor,
    },
};

/// What a duplex stream holds before its writer must wait.
const BUFFER: usize = 64 * 1024;

async fn start(rig: &mut Rig, caller: Option<caller::Caller>) -> StreamDoor {
    let (callers, door) = StreamDoor::new(caller, BUFFER);
    rig.start_with(|edges| edges.door = door).await;
    callers
}

async fn connect(endpoint: Endpoint, door: &StreamDoor) -> Result<Channel, Error> {
    door.connect(endpoint, ([192, 0, 2, 7], 40000).into()).await
}

#[tokio::test(start_paused = true)]
async fn an_agent_runs_over_streams_without_a_certificate_for_the_caller_it_was_given() {
    let mut rig = Rig::without_agent("");
    for file in ["agent.pem", "agent-key.pem", "ca.pem"] {
        fs::remove_file(rig.path().join(file)).unwrap();
    }
    let door = start(&mut rig, Some(caller::Caller::named(["CN=alice"]))).await;
    assert_eq!(rig.agent().address(), None);
    let mut alice = Caller::over(connect(Endpoint::from_static("http://node-1"), &door).await.unwrap());

    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(30));
    let began = Instant::now();
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(end.caller, ["CN=alice"]);
    assert_eq!(began.elapsed().as_secs(), 30);
    let node = alice.node().await;
    assert!(node.certificate_not_after.is_none());
    assert!(node.warnings.iter().all(|warning| !warning.contains("TLS")), "{:?}", node.warnings);
}

#[tokio::test(start_paused = true)]
async fn the_caller_that_a_door_of_streams_was_given_has_its_role_and_no_more() {
    for (name, expected) in [("O=sre", reason::ROLE_TOO_LOW), ("CN=mallory", reason::NOT_LISTED)] {
        let mut rig = Rig::without_agent("");
        let door = start(&mut rig, Some(caller::Caller::named([name]))).await;
        let mut caller = Caller::over(connect(Endpoint::from_static("http://node-1"), &door).await.unwrap());
        let status = caller.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
        assert_eq!(refused(&status, "").1, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_door_of_streams_without_a_caller_asks_for_certificates_as_over_tcp() {
    let mut rig = Rig::without_agent("");
    let door = start(&mut rig, None).await;
    let alice = rig.ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap();
    let mut alice = Caller::over(connect(rig.endpoint_to("https://node-1", &alice), &door).await.unwrap());
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    assert!(alice.node().await.certificate_not_after.is_some());

    let without_tls = connect(Endpoint::from_static("http://node-1"), &door).await;
    let answered = match without_tls {
        Ok(channel) => Caller::over(channel).operation("a").await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "no certificate, no answer");
}

/// Starts the agent on a disk in memory, with the boot id on it, and calls it as alice.
pub(super) async fn start_in_memory(rig: &mut Rig, disk: &MemoryDisk) -> Caller {
    let (callers, door) = StreamDoor::new(Some(caller::Caller::named(["CN=alice"])), BUFFER);
    let disk = Disk::Memory(disk.clone());
    rig.start_with(|edges| (edges.door, edges.disk) = (door, disk)).await;
    Caller::over(connect(Endpoint::from_static("http://node-1"), &callers).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_operation_on_a_disk_in_memory_outlives_its_agent() {
    let mut rig = Rig::without_agent("");
    let disk = MemoryDisk::default();
    disk.write(&rig.path().join("boot_id"), "boot-7\n").unwrap();
    let mut alice = start_in_memory(&mut rig, &disk).await;
    assert_eq!(alice.node().await.boot_id, "boot-7");
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(30));
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;

    disk.detach();
    rig.kill();
    let disk = disk.attach();
    let mut alice = start_in_memory(&mut rig, &disk).await;
    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert!(steps(&end).contains(&"resumed"), "{end:?}");
    assert_eq!(rig.systemd.jobs(), [format!("restart {UNIT}")]);
    assert!(!rig.path().join("state").exists(), "nothing may reach the machine's own disk");
}

#[tokio::test(start_paused = true)]
async fn a_killed_agent_whose_task_still_runs_begins_nothing() {
    let mut rig = Rig::without_agent("");
    let disk = MemoryDisk::default();
    let boot_id = rig.path().join("boot_id");
    disk.write(&boot_id, "boot-1").unwrap();
    let mut alice = start_in_memory(&mut rig, &disk).await;
    disk.detach();
    let status = alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::HELD, "nobody can tell that there is no hold");
    assert!(rig.systemd.jobs().is_empty());
    assert_eq!(disk.attach().read(&boot_id).unwrap(), b"boot-1");
}

#[tokio::test(start_paused = true)]
async fn probes_are_asked_over_the_dial_that_the_agent_was_given() {
    let probe = "[units.'kube-scheduler.service'.probe]\nurl = 'https://127.0.0.1:10259/readyz'\nverify = false\n";
    let mut rig = Rig::without_agent(probe);
    let (dialed, mut addresses) = unbounded_channel();
    let (callers, door) = StreamDoor::new(Some(caller::Caller::named(["CN=alice"])), BUFFER);
    let dial = Dial::over(move |address| {
        dialed.send(address).unwrap();
        async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }
    });
    rig.start_with(|edges| {
        (edges.door, edges.dial) = (door, dial);
        // A process runs in real time: while the agent waits for one, paused time jumps to the end of its patience.
        edges.places.journalctl = "/nonexistent".into();
    })
    .await;
    let mut alice = Caller::over(connect(Endpoint::from_static("http://node-1"), &callers).await.unwrap());

    let began = Instant::now();
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let failure = alice.end_of("a").await.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::Probe, "{failure:?}");
    assert_eq!(addresses.recv().await.unwrap(), "127.0.0.1:10259");
    assert_eq!(began.elapsed().as_secs(), 60, "the probe's deadline, of no real time");
}
