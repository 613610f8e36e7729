//! A disk that hangs, is read-only, or holds what the agent did not write.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::symlink},
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use usher_agent::disk::MemoryDisk;
use usher_proto::{
    reason,
    v1::{GetEtcdMemberRequest, ListOperationsRequest, Order, ProbeUnitRequest, ProbeUnitResponse},
};
use usher_testkit::{
    pki::Ca,
    rig::{
        agent::{Caller, OTHER, Rig, UNIT, order, refused, succeeded},
        component::Component,
        until::until,
    },
};

use super::streams::start_in_memory;

/// A file whose writing hangs until this ends: a pipe that nobody reads.
struct Hang<'a>(&'a Path);

impl Hang<'_> {
    /// A task that writes to it, now or later, goes on and hears that it is no file. The pipe is read for as long as the reader is kept.
    fn end(&self) -> nix::Result<OwnedFd> {
        let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_NONBLOCK;
        nix::fcntl::open(self.0, flags, nix::sys::stat::Mode::empty())
    }
}

impl Drop for Hang<'_> {
    fn drop(&mut self) {
        // Where a test has failed before its time, a write that hangs, or comes later, would keep the runtime from ending.
        let reader = self.end();
        let _ = fs::remove_file(self.0);
        drop(reader);
    }
}

/// A file whose reading hangs: a pipe.
fn pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

/// Waits until somebody reads this pipe. The reading hangs until the writer is dropped.
async fn until_read(pipe: &Path) -> OwnedFd {
    let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_NONBLOCK;
    loop {
        match nix::fcntl::open(pipe, flags, nix::sys::stat::Mode::empty()) {
            Ok(writer) => return writer,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// How often this process has a file open: the test's writer and the agent's readers.
fn opened(path: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.filter(|entry| fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|target| target == path)).count()
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_changes_and_nothing_else() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let running = rig.path().join("state/running.json.unfinished");
    pipe(&running);
    let hang = Hang(&running);
    let mut other = alice.clone();
    let invocation = rig.invocation.clone();
    let change = tokio::spawn(async move { other.restart(order("a"), UNIT, &invocation).await });
    // Its epoch is stored right before it hangs.
    until("the epoch is stored", async || alice.node().await.highest_epoch != 0).await;
    let mut health = HealthClient::new(alice.channel.clone());
    for _ in 0..3 {
        let within = Duration::from_secs(1);
        let check = HealthCheckRequest { service: "usher.agent.v1.NodeControl".to_owned() };
        timeout(within, health.check(check)).await.expect("health answers").unwrap();
        let node = timeout(within, alice.node()).await.expect("GetNode answers");
        assert_eq!((node.highest_epoch, node.boot_id.as_str()), (1, "boot-1"));
        let list = alice.info.list_operations(ListOperationsRequest { limit: 0 });
        assert!(timeout(within, list).await.expect("a list is answered").unwrap().into_inner().operations.is_empty());
    }
    assert!(rig.systemd.jobs().is_empty());
    let _reader = hang.end().unwrap();
    let told = refused(&change.await.unwrap().unwrap_err(), "");
    assert_eq!((told.0, told.1.as_str()), (Code::Unavailable, reason::STATE_UNAVAILABLE));
}

#[tokio::test]
async fn a_scrape_of_a_disk_that_hangs_keeps_nobody_else_waiting() {
    let rig = Rig::with("[metrics]\nlisten = '127.0.0.1:0'\n").await;
    let mut alice = rig.operator().await;
    let hold = rig.path().join("hold");
    pipe(&hold);
    let mut scrape = TcpStream::connect(rig.agent().metrics().unwrap()).await.unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let writer = until_read(&hold).await;
    for _ in 0..3 {
        let unknown =
            timeout(Duration::from_secs(1), alice.operation("unknown")).await.expect("other calls are answered");
        assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    }
    drop(writer);
    let mut answer = String::new();
    scrape.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\nusher_agent_held 1\n"), "{answer}");
}

async fn probed(caller: &mut Caller, unit: &str) -> ProbeUnitResponse {
    caller.info.probe_unit(ProbeUnitRequest { unit: unit.to_owned() }).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_probe_whose_files_hang_says_so_keeps_nobody_else_waiting_and_takes_one_thread() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = Ca::new("cluster").unwrap();
    let component = Component::serve(&ca.server(&["127.0.0.1"]).unwrap(), |_, _| (200, "ok")).await;
    let url = format!("url = 'https://127.0.0.1:{}/readyz'", component.port);
    let rig = Rig::with(&format!(
        "[units.'{UNIT}'.probe]\n{url}\nca = 'hangs.pem'\ntimeout = '500ms'\n\
         [units.'{OTHER}'.probe]\n{url}\nverify = false\n"
    ))
    .await;
    let mut bob = rig.viewer().await;
    // As the agent knows it, and as the kernel does.
    let hangs = rig.path().canonicalize().unwrap().join("hangs.pem");
    pipe(&hangs);
    let mut other = bob.clone();
    let hung = tokio::spawn(async move { probed(&mut other, UNIT).await });
    let writer = until_read(&hangs).await;
    for _ in 0..3 {
        let within = Duration::from_secs(1);
        assert_eq!(timeout(within, bob.node()).await.expect("GetNode answers").boot_id, "boot-1");
        let healthy = timeout(within, probed(&mut bob, OTHER)).await.expect("the other unit's probe answers");
        assert!(healthy.healthy, "{healthy:?}");
    }
    for told in [hung.await.unwrap(), probed(&mut bob, UNIT).await, probed(&mut bob, UNIT).await] {
        assert!(!told.healthy);
        let expected = ["the disk does not answer", "hangs.pem", "longer than 500ms"];
        assert!(expected.iter().all(|word| told.problem.contains(word)), "{told:?}");
    }
    assert_eq!(opened(&hangs), 2, "one reader, however often somebody asks");

    fs::remove_file(&hangs).unwrap();
    ca.write(&hangs).unwrap();
    drop(writer);
    let told = probed(&mut bob, UNIT).await;
    assert!(told.healthy, "{told:?}");
}

#[tokio::test]
async fn a_member_of_etcd_whose_files_hang_keeps_nobody_waiting_and_the_answer_says_why() {
    let rig = Rig::with(
        "[etcd]\nurl = 'https://127.0.0.1:1'\nca = 'ca.pem'\ncertificate = 'agent.pem'\nkey = 'hangs.pem'\ntimeout = '1s'\n",
    )
    .await;
    let mut bob = rig.viewer().await;
    let hangs = rig.path().join("hangs.pem");
    pipe(&hangs);
    let mut other = bob.clone();
    let hung = tokio::spawn(async move { other.info.get_etcd_member(GetEtcdMemberRequest {}).await });
    let writer = until_read(&hangs).await;
    let node = timeout(Duration::from_secs(1), bob.node()).await.expect("GetNode answers");
    assert_eq!(node.boot_id, "boot-1");
    let told = hung.await.unwrap().unwrap().into_inner().member.unwrap().problem;
    assert!(told.contains("the disk does not answer") && told.contains("hangs.pem"), "{told}");
    drop(writer);
}

#[tokio::test]
async fn a_reload_of_files_that_hang_keeps_nobody_waiting() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    alice.node().await;
    let ca = rig.path().join("ca.pem");
    fs::remove_file(&ca).unwrap();
    pipe(&ca);
    rig.agent().live().reload_soon();
    let writer = until_read(&ca).await;
    for _ in 0..3 {
        rig.agent().live().reload_soon();
        assert_eq!(timeout(Duration::from_secs(1), alice.node()).await.expect("GetNode answers").boot_id, "boot-1");
    }
    // No later look may hang, or the runtime of this test would not end.
    fs::remove_file(&ca).unwrap();
    drop(writer);
}

async fn rig() -> (Rig, MemoryDisk) {
    let rig = Rig::without_agent("");
    let disk = MemoryDisk::default();
    disk.write(&rig.path().join("boot_id"), "boot-1").unwrap();
    (rig, disk)
}

async fn done(alice: &mut Caller, rig: &Rig, id: &str) {
    let now = rig.systemd.unit(UNIT).invocation_id;
    alice.restart(order(id), UNIT, &now).await.unwrap();
    assert!(succeeded(&alice.end_of(id).await));
}

#[tokio::test(start_paused = true)]
async fn an_agent_on_a_read_only_disk_answers_reads_says_why_it_refuses_changes_and_recovers() {
    let (mut rig, disk) = rig().await;
    let mut alice = start_in_memory(&mut rig, &disk).await;
    done(&mut alice, &rig, "before").await;
    rig.kill();
    disk.set_read_only(true);
    let mut alice = start_in_memory(&mut rig, &disk).await;

    assert!(succeeded(&alice.operation("before").await.unwrap()));
    let node = alice.node().await;
    let said = |warnings: &[String]| warnings.iter().any(|warning| warning.contains("cannot be written"));
    assert!(said(&node.warnings), "{:?}", node.warnings);
    assert_eq!(node.highest_epoch, 1);
    let now = rig.systemd.unit(UNIT).invocation_id;
    for dry_run in [true, false] {
        let status = alice.restart(Order { dry_run, ..order("a") }, UNIT, &now).await.unwrap_err();
        let told = refused(&status, "");
        assert_eq!((told.0, told.1.as_str()), (Code::Unavailable, reason::STATE_UNAVAILABLE), "dry run: {dry_run}");
    }
    assert_eq!(rig.systemd.jobs().len(), 1);

    disk.set_read_only(false);
    sleep(Duration::from_secs(60)).await;
    assert!(!said(&alice.node().await.warnings));
    done(&mut alice, &rig, "after").await;
}

#[tokio::test]
async fn a_full_disk_refuses_the_change_with_the_reason_is_left_with_nothing_half_written_and_recovers() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    for (id, name) in [("a", "epoch.json"), ("b", "running.json")] {
        let unfinished = rig.path().join(format!("state/{name}.unfinished"));
        // The kernel's own disk without room: it takes an open, and no write.
        symlink("/dev/full", &unfinished).unwrap();
        let now = rig.systemd.unit(UNIT).invocation_id;
        let status = alice.restart(order(id), UNIT, &now).await.unwrap_err();
        let told = refused(&status, "");
        assert_eq!((told.0, told.1.as_str()), (Code::Unavailable, reason::STATE_UNAVAILABLE), "{name}");
        let why = format!("state/{name}: No space left on device");
        assert!(status.message().contains(&why), "{}", status.message());
        assert_eq!(alice.operation(id).await.unwrap_err().code(), Code::NotFound);
        assert!(fs::symlink_metadata(&unfinished).is_err(), "what is half written would keep the disk full");
    }
    assert!(rig.systemd.jobs().is_empty());
    // There is room again.
    done(&mut alice, &rig, "a").await;
    let warnings = alice.node().await.warnings;
    assert!(warnings.iter().all(|warning| !warning.contains("cannot be written")), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_could_not_be_stored_is_kept_and_stored_before_the_next_operation() {
    let (mut rig, disk) = rig().await;
    let mut alice = start_in_memory(&mut rig, &disk).await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(10));
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    disk.set_read_only(true);
    assert!(succeeded(&alice.end_of("a").await));
    assert!(alice.node().await.warnings.iter().any(|warning| warning.contains("the end of operation a")));

    let now = rig.systemd.unit(UNIT).invocation_id;
    let status = alice.restart(order("b"), UNIT, &now).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::STATE_UNAVAILABLE);
    assert!(succeeded(&alice.operation("a").await.unwrap()), "it is still known");

    disk.set_read_only(false);
    alice.restart(order("b"), UNIT, &now).await.unwrap();
    assert!(succeeded(&alice.end_of("b").await));
    rig.kill();
    let mut alice = start_in_memory(&mut rig, &disk).await;
    for id in ["a", "b"] {
        assert!(succeeded(&alice.operation(id).await.unwrap()), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_could_not_be_stored_is_stored_without_being_asked_for() {
    let (mut rig, disk) = rig().await;
    let mut alice = start_in_memory(&mut rig, &disk).await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(10));
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    disk.set_read_only(true);
    alice.end_of("a").await;
    disk.set_read_only(false);
    sleep(Duration::from_secs(20)).await;
    rig.kill();
    assert!(disk.read(&rig.path().join("state/running.json")).is_err());
    assert!(succeeded(&start_in_memory(&mut rig, &disk).await.operation("a").await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_the_agent_stopped_is_started_under_any_epoch_and_without_a_disk() {
    let (mut rig, disk) = rig().await;
    let mut alice = start_in_memory(&mut rig, &disk).await;
    alice.stop(order("stop"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("stop").await));
    alice.fence(9).await.unwrap();
    disk.set_read_only(true);
    rig.kill();
    let mut alice = start_in_memory(&mut rig, &disk).await;

    alice.start(order("start"), UNIT).await.unwrap();
    assert!(succeeded(&alice.end_of("start").await));
    assert_eq!(rig.systemd.unit(UNIT).active_state, "active");
    assert_eq!(alice.node().await.highest_epoch, 9);
    disk.set_read_only(false);
    sleep(Duration::from_secs(20)).await;
    rig.kill();
    let mut alice = start_in_memory(&mut rig, &disk).await;
    assert!(succeeded(&alice.operation("start").await.unwrap()), "it is stored once it can be");

    let status = alice.start(order("again"), UNIT).await.unwrap_err();
    assert_eq!(refused(&status, "epoch").2, "9", "what was started is not owed any more");
}

#[tokio::test(start_paused = true)]
async fn a_file_of_a_newer_agent_is_neither_misread_nor_set_aside() {
    let (mut rig, disk) = rig().await;
    let running = rig.path().join("state/running.json");
    disk.write(&running, r#"{"version": 2, "something": "else"}"#).unwrap();
    let mut alice = start_in_memory(&mut rig, &disk).await;
    let status = alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::STATE_UNAVAILABLE);
    assert!(status.message().contains("a newer usher-agent"), "{}", status.message());
    assert!(disk.read(&running).unwrap().starts_with(b"{\"version\": 2"));
    // Its owner has looked at it.
    disk.remove(&running).unwrap();
    sleep(Duration::from_secs(60)).await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    assert!(disk.read(&rig.path().join("state/epoch.json")).unwrap().starts_with(b"{\n  \"version\": 1"));
}

#[tokio::test(start_paused = true)]
async fn damaged_files_are_set_aside_one_beside_the_other() {
    let (mut rig, disk) = rig().await;
    for number in 0..3 {
        disk.write(&rig.path().join("state/epoch.json"), format!("damage {number}")).unwrap();
        start_in_memory(&mut rig, &disk).await;
        rig.kill();
    }
    for (name, content) in
        [("epoch.damaged", "damage 0"), ("epoch.damaged.2", "damage 1"), ("epoch.damaged.3", "damage 2")]
    {
        assert_eq!(disk.read(&rig.path().join("state").join(name)).unwrap(), content.as_bytes());
    }
}

#[tokio::test]
async fn the_running_operation_tells_the_epoch_that_a_damaged_file_does_not() {
    let mut rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(3600));
    let mut alice = rig.operator().await;
    alice.restart(Order { epoch: 12, ..order("a") }, UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "job").await;
    rig.kill();
    fs::write(rig.path().join("state/epoch.json"), "{").unwrap();
    rig.start().await;
    assert_eq!(rig.viewer().await.node().await.highest_epoch, 12);
}
