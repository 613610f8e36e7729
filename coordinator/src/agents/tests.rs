//! Agents over real gRPC and mutual TLS, and what happens on the way.

#![allow(clippy::disallowed_methods)] // real sockets and files

mod doubt;
pub(crate) mod fake;
mod pki;

use std::{net::SocketAddr, time::Duration};

use tempfile::TempDir;
use tonic::Code;
use usher_proto::{reason, v1};

use self::{
    fake::{Cable, FakeAgent, Mishap},
    pki::Authority,
};
use super::*;
use usher_common::chain;

use crate::site::Site;

/// More than any of these tests needs.
const LONG: Duration = Duration::from_secs(20);

/// One agent, w1, and a usher that may talk to it.
struct Bed {
    authority: Authority,
    folder: TempDir,
    fake: FakeAgent,
    cable: Cable,
    agent: Agent,
}

async fn bed() -> Bed {
    let authority = Authority::new("usher CA");
    let fake = FakeAgent::new();
    let cable = fake.serve(&authority.issue("w1"), &authority).await;
    let folder = TempDir::new().unwrap();
    let agent = usher(&folder, &authority, &authority, cable.address);
    Bed { authority, folder, fake, cable, agent }
}

/// The agent w1 at `address` as seen by a usher with a certificate of `ours`, which believes certificates of `theirs`.
fn usher(folder: &TempDir, ours: &Authority, theirs: &Authority, address: SocketAddr) -> Agent {
    ours.issue("cumin1001").write(folder.path());
    std::fs::write(folder.path().join("ca.pem"), theirs.pem()).unwrap();
    let mut site = Site::default();
    site.agents.certificate = folder.path().join("client.pem");
    site.agents.key = folder.path().join("client-key.pem");
    site.agents.ca = folder.path().join("ca.pem");
    site.agents.addresses.insert("w1".into(), address.to_string());
    Agents::new(&site, BTreeMap::new()).unwrap().agent("w1").unwrap()
}

fn order(id: &str) -> Order {
    Order { operation_id: id.into(), epoch: 1, reason: "test".into(), ..Order::default() }
}

fn operation(id: &str, steps: &[&str], state: v1::OperationState) -> v1::Operation {
    let steps = steps.iter().map(|name| v1::Step { name: (*name).into(), ..Default::default() }).collect();
    v1::Operation { id: id.into(), steps, state: state.into(), ..Default::default() }
}

#[tokio::test]
async fn a_trusted_agent_answers() {
    let bed = bed().await;
    bed.fake.script.lock().unwrap().boot_id = "b1".into();
    let status = bed.agent.status().await.unwrap();
    assert_eq!((status.name.as_str(), status.boot_id.as_str()), ("w1", "b1"));
    assert!(bed.agent.operations(0).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_listens() {
    let authority = Authority::new("usher CA");
    let folder = TempDir::new().unwrap();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = usher(&folder, &authority, &authority, unused).status().await.unwrap_err();
    assert_eq!(
        chain(&error),
        format!("w1: no answer from its agent at {unused} for 4.8s: Connection refused (os error 111)")
    );
    assert_eq!(error.hint().unwrap(), "Is it running?  ssh w1 systemctl status usher-agent");
    assert!(error.is_absence());
}

#[tokio::test]
async fn our_certificate_is_of_another_ca() {
    let bed = bed().await;
    let folder = TempDir::new().unwrap();
    let agent = usher(&folder, &Authority::new("another CA"), &bed.authority, bed.cable.address);
    let error = agent.status().await.unwrap_err();
    let AgentError::NotTrusted { by: Side::Agent, .. } = &error else { panic!("{error:?}") };
    let said = chain(&error);
    assert!(
        said.starts_with(&format!("w1: its agent at {} does not trust our certificate: ", agent.address())),
        "{said}"
    );
    assert!(said.contains("received fatal alert"), "{said}");
    assert!(error.hint().unwrap().contains("CN=cumin1001"), "{:?}", error.hint());
    assert!(!error.is_absence());
}

#[tokio::test]
async fn its_certificate_is_of_another_ca() {
    let bed = bed().await;
    let folder = TempDir::new().unwrap();
    let agent = usher(&folder, &bed.authority, &Authority::new("another CA"), bed.cable.address);
    let error = agent.status().await.unwrap_err();
    assert_eq!(
        chain(&error),
        format!(
            "w1: what answers at {} cannot prove that it is this machine's agent: invalid peer certificate: UnknownIssuer",
            agent.address()
        )
    );
    assert_eq!(
        error.hint().unwrap(),
        "The certificate on w1 must be signed by the CA that agents.ca names in the cluster file."
    );
}

#[tokio::test]
async fn its_certificate_names_another_machine() {
    let authority = Authority::new("usher CA");
    let cable = FakeAgent::new().serve(&authority.issue("w2"), &authority).await;
    let folder = TempDir::new().unwrap();
    let error = usher(&folder, &authority, &authority, cable.address).status().await.unwrap_err();
    let AgentError::NotTrusted { by: Side::Usher, .. } = &error else { panic!("{error:?}") };
    assert!(chain(&error).contains("not valid for name \"w1\""), "{}", chain(&error));
    assert_eq!(
        error.hint().unwrap(),
        "The certificate on w1 must carry the DNS name \"w1\" (agents.server_name in the cluster file)."
    );
}

#[tokio::test]
async fn something_else_listens_there() {
    let authority = Authority::new("usher CA");
    let folder = TempDir::new().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.example ESMTP ready, say EHLO\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let error = usher(&folder, &authority, &authority, address).status().await.unwrap_err();
    assert_eq!(error.hint().unwrap(), "Is it usher-agent that listens there?  ssh w1 ss -ltnp");
}

#[tokio::test]
async fn a_refusal_carries_reason_words_and_advice() {
    let bed = bed().await;
    bed.fake.script.lock().unwrap().refusal = Some((Code::PermissionDenied, reason::NOT_LISTED));
    let error = bed.agent.status().await.unwrap_err();
    assert_eq!(error.to_string(), "w1: its agent refused: \"CN=cumin1001\" is not in its allow-list");
    assert_eq!(error.reason(), Some(reason::NOT_LISTED));
    assert_eq!(error.hint().unwrap(), "Add it under [allow] in /etc/usher/agent.toml on w1.");
    let AgentError::Refused { metadata, .. } = error else { panic!() };
    assert_eq!(metadata["names"], "CN=cumin1001");

    bed.fake.script.lock().unwrap().refusal = Some((Code::PermissionDenied, reason::ROLE_TOO_LOW));
    let error = bed.agent.restart_unit(&order("op1"), "x.service", "").await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::ROLE_TOO_LOW));
    assert_eq!(bed.fake.script.lock().unwrap().taken, 0);
}

#[tokio::test]
async fn a_read_survives_a_connection_that_died_unused() {
    let bed = bed().await;
    bed.agent.status().await.unwrap();
    bed.cable.cut();
    bed.agent.status().await.unwrap();
}

#[tokio::test]
async fn a_renewed_client_certificate_is_used_by_the_next_connection_and_a_broken_one_is_not() {
    let bed = bed().await;
    let caller = || bed.fake.script.lock().unwrap().caller.clone();
    bed.agent.status().await.unwrap();
    let first = caller();

    let renewed = bed.authority.issue("cumin1001");
    renewed.write(bed.folder.path());
    bed.cable.cut();
    bed.agent.status().await.unwrap();
    assert_ne!(caller(), first);
    assert_eq!(caller(), renewed.der);

    std::fs::write(bed.folder.path().join("client-key.pem"), "half a fi").unwrap();
    bed.cable.cut();
    bed.agent.status().await.unwrap();
    assert_eq!(caller(), renewed.der);
}

#[tokio::test]
async fn certificates_are_read_again_only_after_a_change() {
    let bed = bed().await;
    let read = || bed.agent.inner.trust.as_deref().map(Trust::current).unwrap().tls;
    // What was just written may change once more without a trace, so it is read again.
    assert!(!Arc::ptr_eq(&read(), &read()));
    for name in ["client.pem", "client-key.pem", "ca.pem"] {
        let file = std::fs::File::options().append(true).open(bed.folder.path().join(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    let first = read();
    assert!(Arc::ptr_eq(&first, &read()), "nothing has changed");
    bed.authority.issue("cumin1001").write(bed.folder.path());
    assert!(!Arc::ptr_eq(&first, &read()));
}

#[tokio::test]
async fn a_mere_look_keeps_no_connection_and_uses_the_one_at_hand() {
    let bed = bed().await;
    let is_connected = async || bed.agent.inner.channel(LONG).await.unwrap().1;
    bed.agent.status_within(LONG).await.unwrap();
    assert!(!is_connected().await);
    bed.agent.status_within(LONG).await.unwrap();
    assert!(is_connected().await, "a connection at hand stays");
    bed.agent.hang_up().await;
    assert!(!is_connected().await);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_by_its_id_and_done_once() {
    let bed = bed().await;
    bed.fake.script.lock().unwrap().mishaps = vec![Mishap::LostAnswer];
    let operation = bed.agent.reboot(&order("op1"), "b1", &[]).await.unwrap();
    assert_eq!(operation.id, "op1");
    assert_eq!(bed.fake.script.lock().unwrap().taken, 1);
}

#[tokio::test]
async fn a_change_that_never_arrived_is_sent_again_under_the_same_id() {
    let bed = bed().await;
    bed.fake.script.lock().unwrap().mishaps = vec![Mishap::LostAnswer, Mishap::LostRequest];
    let operation = bed.agent.stop_unit(&order("op1"), "x.service", "i1", None).await.unwrap();
    assert_eq!(operation.id, "op1");
    assert_eq!(bed.fake.script.lock().unwrap().taken, 1);
}

#[tokio::test]
async fn a_change_that_the_agent_still_checks_is_asked_about_again_and_not_sent_again() {
    let bed = bed().await;
    {
        let mut script = bed.fake.script.lock().unwrap();
        (script.mishaps, script.admitting) = (vec![Mishap::LostAnswer], 2);
    }
    let operation = bed.agent.restart_unit(&order("op1"), "x.service", "i1").await.unwrap();
    assert_eq!(operation.id, "op1");
    {
        let script = bed.fake.script.lock().unwrap();
        assert_eq!((script.taken, script.admitting), (1, 0));
        assert_eq!(script.operations["op1"].order.as_ref().unwrap().node, "w1", "no other machine's agent takes it");
    }
    {
        let mut script = bed.fake.script.lock().unwrap();
        script.admitting = 2;
        script.attachments = vec![vec![operation_that_ended("op1")]];
    }
    assert!(bed.agent.follow("op1", LONG, |_| {}).await.unwrap().has_succeeded());
}

fn operation_that_ended(id: &str) -> v1::Operation {
    operation(id, &["accepted"], v1::OperationState::Succeeded)
}

#[tokio::test]
async fn following_attaches_again_and_tells_each_step_once() {
    let bed = bed().await;
    {
        use v1::OperationState::{Failed, Running};
        let mut script = bed.fake.script.lock().unwrap();
        script.operations.insert("op1".into(), operation("op1", &[], Running));
        script.attachments = vec![
            vec![operation("op1", &["accepted"], Running), operation("op1", &["accepted", "job"], Running)],
            vec![],
            vec![
                operation("op1", &["accepted", "job"], Running),
                operation("op1", &["accepted", "job", "active", "failed"], Failed),
            ],
        ];
    }
    let mut told = Vec::new();
    let ended = bed.agent.follow("op1", LONG, |step| told.push(step.name.clone())).await.unwrap();
    assert_eq!(told, ["accepted", "job", "active", "failed"]);
    assert_eq!(ended.state, TaskState::Failed);
    assert_eq!(bed.fake.script.lock().unwrap().watches, 3);
}

#[tokio::test]
async fn following_an_unknown_operation_is_refused_and_a_silent_one_times_out() {
    let bed = bed().await;
    let error = bed.agent.follow("op9", LONG, |_| {}).await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::NO_SUCH_OPERATION));

    let running = operation("op1", &[], v1::OperationState::Running);
    bed.fake.script.lock().unwrap().operations.insert("op1".into(), running);
    let error = bed.agent.follow("op1", Duration::from_millis(600), |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "w1: operation op1 has not ended after 0.6s");
}

#[tokio::test]
async fn a_boot_is_awaited_until_its_id_is_another() {
    let Bed { authority, folder: _folder, fake, cable, agent } = bed().await;
    fake.script.lock().unwrap().boot_id = "b1".into();
    let error = agent.await_boot("b1", Duration::from_millis(700)).await.unwrap_err();
    assert_eq!(error.to_string(), "w1: still runs the boot that it was to leave after 0.7s");

    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { agent.await_boot("b1", LONG).await }
    });
    let address = cable.address;
    drop(cable);
    // Down: nobody listens there, which the waiting sees at once.
    let error = agent.await_boot("b1", Duration::from_millis(500)).await.unwrap_err();
    assert!(chain(&error).starts_with("w1: has not answered after 0.5s: "), "{}", chain(&error));
    assert!(!waiting.is_finished());

    fake.script.lock().unwrap().boot_id = "b2".into();
    let _back = fake.serve_at(address, &authority.issue("w1"), &authority).await;
    assert_eq!(waiting.await.unwrap().unwrap().boot_id, "b2");
}

#[tokio::test]
async fn audit_records_are_read_page_by_page_up_to_the_limit() {
    let bed = bed().await;
    bed.fake.script.lock().unwrap().audit_records = 7;
    for (limit, expected) in [(100, vec![7, 6, 5, 4, 3, 2, 1]), (5, vec![7, 6, 5, 4, 3]), (1, vec![7])] {
        let numbers: Vec<_> = bed.agent.audit(limit).await.unwrap().iter().map(|record| record.number).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn unusable_files_are_named() {
    let folder = TempDir::new().unwrap();
    let mut site = Site::default();
    site.agents.certificate = folder.path().join("client.pem");
    let error = Agents::new(&site, BTreeMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot use the client certificate in {}", site.agents.certificate.display())
    );
    assert_eq!(error.hint().unwrap(), "agents.certificate in the cluster file names it.");
    std::fs::write(&site.agents.certificate, "").unwrap();
    assert!(chain(&Agents::new(&site, BTreeMap::new()).unwrap_err()).contains("no items found"));
}
