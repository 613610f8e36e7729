//! Another binary in the place of the agent's own: what is told of it, and when the agent gives way to it. The suite `sandbox` has
//! the agent execute one.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, pin::pin, time::Duration};

use futures::poll;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use usher_agent::{
    agent::{End, Successor},
    binary::Binary,
};
use usher_proto::v1::ReplacedBinary;
use usher_testkit::rig::agent::{Caller, Rig, UNIT, order, succeeded};

/// A trial takes milliseconds; on a busy machine more.
const LIMIT: Duration = Duration::from_secs(20);

fn path(rig: &Rig) -> PathBuf {
    rig.path().join("usher-agent")
}

/// Puts a program in the place of the agent's, as a package manager does, and has the agent look.
fn install(rig: &Rig, version: &str, check_config: &str) {
    let new = rig.path().join("usher-agent.new");
    let script =
        format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo usher-agent {version}; else {check_config}; fi\n");
    fs::write(&new, script).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, path(rig)).unwrap();
}

async fn rig(more: &str) -> Rig {
    let mut rig = Rig::without_agent(more);
    install(&rig, "1.0.0", "true");
    // Nothing executes it, so another file would get its number once it has no name.
    fs::hard_link(path(&rig), rig.path().join("usher-agent.running")).unwrap();
    let binary = Binary::at(&path(&rig)).unwrap();
    rig.start_with(|edges| edges.binary = Some(binary)).await;
    rig
}

async fn until_told(rig: &Rig, caller: &mut Caller, told: impl Fn(&ReplacedBinary) -> bool) -> ReplacedBinary {
    rig.agent().live().reload();
    let telling = async {
        loop {
            if let Some(replaced) = caller.node().await.replaced_binary.filter(&told) {
                return replaced;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, telling).await.expect("the agent tries another binary out as soon as it has seen it")
}

async fn gives_way(rig: &mut Rig) -> Successor {
    rig.agent().live().reload();
    match timeout(LIMIT, rig.agent_mut().end()).await.expect("the agent gives way") {
        End::Replaced(successor) => successor,
        End::Broken(why) => panic!("{why}"),
    }
}

async fn goes_on(rig: &mut Rig) {
    assert!(poll!(pin!(rig.agent_mut().end())).is_pending());
}

#[tokio::test]
async fn a_binary_that_would_not_start_is_told_of_and_left_alone_and_one_that_would_is_given_way_to() {
    let mut rig = rig("[metrics]\nlisten = '127.0.0.1:0'\n").await;
    let mut bob = rig.viewer().await;
    assert_eq!(bob.node().await.replaced_binary, None);

    install(&rig, "2.0.0", "echo \"unknown key 'x'\" >&2; exit 1");
    let told = until_told(&rig, &mut bob, |_| true).await;
    assert_eq!((told.version.as_str(), told.problem.as_str()), ("2.0.0", "unknown key 'x'"));
    assert!(told.noticed_at.is_some());
    let warnings = bob.node().await.warnings;
    let expected = "the agent goes on with its old binary, for the one that is installed now (2.0.0) would not start: unknown key 'x'";
    assert!(warnings.iter().any(|warning| warning == expected), "{warnings:?}");
    let mut scrape = TcpStream::connect(rig.agent().metrics().unwrap()).await.unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut text = String::new();
    scrape.read_to_string(&mut text).await.unwrap();
    assert!(
        text.contains("\nusher_agent_binary_replaced 1\n") && text.contains("\nusher_agent_binary_refused 1\n"),
        "{text}"
    );
    goes_on(&mut rig).await;

    install(&rig, "3.0.0", "true");
    let successor = gives_way(&mut rig).await;
    assert_eq!(successor.version, "3.0.0");
    assert!(successor.socket.is_some(), "callers come in by it");
}

#[tokio::test]
async fn an_agent_that_is_needed_goes_on_for_an_operation_and_for_a_unit_that_it_is_to_start_again() {
    let mut rig = rig("").await;
    let mut alice = rig.operator().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(2));
    alice.stop_for(3600, order("stop"), UNIT, &rig.invocation).await.unwrap();

    install(&rig, "2.0.0", "true");
    let told = until_told(&rig, &mut alice, |_| true).await;
    assert_eq!((told.version.as_str(), told.problem.as_str()), ("2.0.0", ""));
    goes_on(&mut rig).await;
    assert!(succeeded(&alice.end_of("stop").await), "it went on to its end");
    rig.agent().live().reload();
    until_told(&rig, &mut alice, |_| true).await;
    goes_on(&mut rig).await;

    alice.start(order("start"), UNIT).await.unwrap();
    assert!(succeeded(&alice.end_of("start").await));
    gives_way(&mut rig).await;
}

#[tokio::test]
async fn a_call_of_the_last_moment_is_neither_refused_nor_begun() {
    let mut rig = rig("").await;
    let mut alice = rig.operator().await;
    install(&rig, "2.0.0", "true");
    let successor = gives_way(&mut rig).await;
    let invocation = rig.invocation.clone();
    let mut call = pin!(alice.restart(order("late"), UNIT, &invocation));
    let waited = timeout(Duration::from_secs(1), &mut call).await;
    assert!(waited.is_err(), "its caller would take this for the answer: {waited:?}");
    let (_, lost) = tokio::join!(rig.stop(), timeout(LIMIT, call));
    lost.unwrap().expect_err("its connection ends, and usher asks the next agent for it");
    assert!(rig.systemd.jobs().is_empty());
    drop(successor);
}
