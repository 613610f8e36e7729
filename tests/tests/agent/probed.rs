//! Probes: a unit is done when it says itself that it is healthy.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use usher_proto::v1::{FailureKind, Operation, ProbeUnitRequest};
use usher_testkit::{
    rig::{
        agent::{Rig, UNIT, order, steps, succeeded},
        component::Component,
    },
    systemd::JobOutcome,
};

fn probe(port: u16, more: &str) -> String {
    format!(
        "[units.'{UNIT}'.probe]\nurl = 'https://127.0.0.1:{port}/readyz'\nfallback_url = 'https://127.0.0.1:{port}/healthz'\n\
         interval = '20ms'\n{more}{}\n",
        if more.contains("deadline") { "" } else { "\ndeadline = '500ms'" }
    )
}

/// A rig whose unit is probed at a component with a certificate of the rig's CA.
async fn rig_with(script: fn(usize, &str) -> (u16, &'static str), trust: &str) -> (Rig, Component) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = usher_testkit::pki::Ca::new("cluster").unwrap();
    let answer = move |n, request: &str| script(n, request.split(' ').nth(1).unwrap_or_default());
    let component = Component::serve(&ca.server(&["kubernetes", "127.0.0.1"]).unwrap(), answer).await;
    let mut rig = Rig::without_agent(&probe(component.port, trust));
    write_ca(&ca, rig.path());
    rig.start().await;
    (rig, component)
}

fn write_ca(ca: &usher_testkit::pki::Ca, folder: &Path) {
    ca.write(&folder.join("cluster.pem")).unwrap();
}

async fn restart(rig: &Rig) -> Operation {
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.end_of("a").await
}

fn failure(operation: &Operation) -> (FailureKind, String) {
    let failure = operation.failure.clone().expect("a failure");
    assert!(!failure.journal.is_empty());
    (failure.kind(), failure.message)
}

#[tokio::test]
async fn healthy_answers_must_come_in_a_row() {
    let script = |n, _: &str| if matches!(n, 0 | 1 | 3) { (500, "[-]etcd failed") } else { (200, "ok") };
    let (rig, component) = rig_with(script, "ca = 'cluster.pem'\nsuccesses = 3").await;
    let end = restart(&rig).await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(steps(&end), ["accepted", "job", "active", "probe", "healthy"]);
    // 500 500 200 500 200 200 200
    assert_eq!(component.asked.load(Ordering::SeqCst), 7);
    let took = end.evidence.unwrap().unit_took.unwrap();
    assert!(took.seconds == 0 && took.nanos > 0, "{took:?}");
}

#[tokio::test]
async fn a_viewer_may_ask_once_whether_a_unit_is_healthy() {
    let script = |n, _: &str| if n == 0 { (500, "[-]etcd failed") } else { (200, "ok") };
    let (rig, component) = rig_with(script, "ca = 'cluster.pem'").await;
    let mut viewer = rig.viewer().await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let answer = viewer.info.probe_unit(ProbeUnitRequest { unit: UNIT.to_owned() }).await.unwrap().into_inner();
        told.push((answer.healthy, answer.problem.contains("answers 500 Internal Server Error: [-]etcd failed")));
    }
    assert_eq!(told, [(false, true), (true, false)]);
    assert_eq!(component.asked.load(Ordering::SeqCst), 2, "one question for each call");
}

#[tokio::test]
async fn a_404_is_asked_again_at_the_fallback() {
    let script = |_, path: &str| if path == "/healthz" { (200, "ok") } else { (404, "") };
    let (rig, component) = rig_with(script, "verify = false\nsuccesses = 2").await;
    assert!(succeeded(&restart(&rig).await));
    assert_eq!(component.asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_unit_that_never_gets_healthy_fails_with_the_last_answer_and_the_journal() {
    let script = |_, _: &str| (403, "forbidden: User \"system:anonymous\"\n cannot get path");
    let (rig, _component) = rig_with(script, "verify = false").await;
    let (kind, message) = failure(&restart(&rig).await);
    assert_eq!(kind, FailureKind::Probe);
    assert!(message.contains("did not become healthy within 500ms"), "{message}");
    assert!(
        message.contains("answers 403 Forbidden: forbidden: User \"system:anonymous\" cannot get path"),
        "{message}"
    );
}

#[tokio::test]
async fn nobody_listening_is_said_in_words() {
    let mut rig = Rig::without_agent(&probe(1, "verify = false"));
    rig.start().await;
    let (kind, message) = failure(&restart(&rig).await);
    assert_eq!(kind, FailureKind::Probe);
    assert!(message.contains("https://127.0.0.1:1/readyz: Connection refused"), "{message}");
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_no_health() {
    let (rig, _component) = rig_with(|_, _| (200, "ok"), "ca = 'ca.pem'").await;
    let (kind, message) = failure(&restart(&rig).await);
    assert_eq!(kind, FailureKind::Probe);
    assert!(message.contains("invalid peer certificate"), "{message}");
}

#[tokio::test]
async fn the_name_in_the_certificate_can_be_said() {
    let (rig, _component) = rig_with(|_, _| (200, "ok"), "ca = 'cluster.pem'\nserver_name = 'kubernetes'").await;
    assert!(succeeded(&restart(&rig).await));
    let (rig, _component) = rig_with(|_, _| (200, "ok"), "ca = 'cluster.pem'\nserver_name = 'else'").await;
    assert_eq!(failure(&restart(&rig).await).0, FailureKind::Probe);
}

#[tokio::test]
async fn a_unit_that_dies_while_it_is_probed_fails_at_once() {
    let (rig, _component) = rig_with(|_, _| (500, ""), "verify = false\ndeadline = '60s'").await;
    rig.systemd.set_unit(UNIT, |unit| unit.outcome = JobOutcome::Dies(Duration::from_millis(100)));
    let (kind, message) = failure(&restart(&rig).await);
    assert_eq!(kind, FailureKind::Job);
    assert_eq!(message, format!("{UNIT} was started, but is failed (failed, exit-code) now"));
}

#[tokio::test]
async fn a_unit_that_restarts_by_itself_is_counted_anew_and_its_last_invocation_is_the_evidence() {
    let script = |n, _: &str| if n < 10 { (500, "") } else { (200, "ok") };
    let (rig, component) = rig_with(script, "verify = false\ndeadline = '60s'").await;
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    alice.until_step("a", "probe").await;
    let by_itself = rig.systemd.restart_behind(UNIT);
    let end = alice.end_of("a").await;
    assert!(succeeded(&end), "{end:?}");
    assert_eq!(end.evidence.unwrap().invocation_id_after, by_itself);
    assert!(component.asked.load(Ordering::SeqCst) >= 13);
}

#[tokio::test]
async fn a_401_names_the_keys_that_say_who_asks() {
    let (rig, _component) = rig_with(|_, _| (401, "Unauthorized"), "verify = false").await;
    let (kind, message) = failure(&restart(&rig).await);
    assert_eq!(kind, FailureKind::Probe);
    assert!(message.contains("set certificate and key, or token_file, of the probe"), "{message}");
}

#[tokio::test]
async fn a_probe_shows_its_own_certificate_to_a_server_that_answers_nobody_else() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = usher_testkit::pki::Ca::new("cluster").unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let tls = rustls::ServerConfig::builder().with_client_cert_verifier(verifier);
    let component = Component::serve_to(tls, &ca.server(&["kubernetes"]).unwrap(), |_, _| (200, "ok")).await;
    let own = "ca = 'cluster.pem'\nserver_name = 'kubernetes'\ncertificate = 'probe.pem'\nkey = 'probe-key.pem'";
    let mut rig = Rig::without_agent(&probe(component.port, own));
    write_ca(&ca, rig.path());
    let names = usher_testkit::pki::Names { common_name: "usher-probe", ..usher_testkit::pki::Names::default() };
    ca.client(&names).unwrap().write(rig.path(), "probe").unwrap();
    rig.start().await;
    let end = restart(&rig).await;
    assert!(succeeded(&end), "{end:?}");
}

#[tokio::test]
async fn a_probe_sends_its_token_and_a_file_without_one_is_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = usher_testkit::pki::Ca::new("cluster").unwrap();
    let answer = |_, request: &str| {
        if request.to_lowercase().contains("authorization: bearer s3cret\r\n") { (200, "ok") } else { (401, "") }
    };
    let component = Component::serve(&ca.server(&["kubernetes"]).unwrap(), answer).await;
    for (token, good) in [("s3cret\n", true), ("\n", false)] {
        let mut rig = Rig::without_agent(&probe(component.port, "verify = false\ntoken_file = 'token'"));
        std::fs::write(rig.path().join("token"), token).unwrap();
        rig.start().await;
        let end = restart(&rig).await;
        assert_eq!(succeeded(&end), good, "{end:?}");
        if !good {
            assert!(failure(&end).1.contains("its first line is empty"), "{end:?}");
        }
    }
}
