//! Rights that end while a connection is open: revoked, denied, expired, taken out of the list, or narrowed.

use std::{fs, time::Duration};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tonic::{Code, Status};
use usher_agent::certificate::Certificate;
use usher_proto::{
    reason,
    v1::{FailureKind, GetNodeRequest, OperationState, Order},
};
use usher_testkit::{
    pki::{Ca, Identity, Names},
    rig::agent::{Caller, OTHER, Rig, UNIT, order, refused, succeeded},
};

fn alice(ca: &Ca) -> Identity {
    ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap()
}

fn certificate(identity: &Identity) -> Certificate {
    Certificate::parse(&CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()).unwrap()
}

/// Replaces text of the rig's configuration and puts it into force.
fn edit(rig: &Rig, from: &str, to: &str) {
    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(&file, text.replace(from, to)).unwrap();
    rig.agent().live().reload();
}

async fn restart(caller: &mut Caller, rig: &Rig) -> Status {
    caller.restart(order("x"), UNIT, &rig.invocation).await.expect_err("a refusal")
}

#[tokio::test]
async fn a_denied_certificate_is_refused_at_once_and_its_successor_is_not() {
    let rig = Rig::new().await;
    let stolen = alice(&rig.ca);
    let mut open = rig.connect(&stolen).await.unwrap();
    open.node().await;
    edit(&rig, "[allow]", &format!("[deny]\nfingerprints = ['{}']\n[allow]", certificate(&stolen).fingerprint));
    for mut caller in [open, rig.connect(&stolen).await.unwrap()] {
        let status = restart(&mut caller, &rig).await;
        assert_eq!(
            (status.code(), refused(&status, "").1.as_str()),
            (Code::Unauthenticated, reason::CERTIFICATE_REVOKED)
        );
        assert!(status.message().contains(&certificate(&stolen).fingerprint.to_string()), "{}", status.message());
    }
    assert!(rig.systemd.jobs().is_empty());
    rig.operator().await.node().await;
}

#[tokio::test]
async fn a_certificate_on_a_revocation_list_is_refused_also_on_its_open_connection() {
    let mut rig = Rig::without_agent("");
    let (stolen, good) = (alice(&rig.ca), alice(&rig.ca));
    let list = rig.path().join("crl.pem");
    fs::write(&list, rig.ca.revoke(&[]).unwrap()).unwrap();
    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("client_ca = 'ca.pem'", "client_ca = 'ca.pem'\nclient_crl = 'crl.pem'")).unwrap();
    rig.start().await;
    let mut open = rig.connect(&stolen).await.unwrap();
    let mut other = rig.connect(&good).await.unwrap();
    open.node().await;
    other.node().await;

    fs::write(&list, rig.ca.revoke(&[&certificate(&stolen).serial]).unwrap()).unwrap();
    rig.agent().live().reload();
    let status = restart(&mut open, &rig).await;
    assert_eq!((status.code(), refused(&status, "").1.as_str()), (Code::Unauthenticated, reason::CERTIFICATE_REVOKED));
    let anew = match rig.connect(&stolen).await {
        Ok(mut caller) => caller.info.get_node(GetNodeRequest {}).await.is_ok(),
        Err(_) => false,
    };
    assert!(!anew, "a new connection is refused in its handshake");
    other.restart(order("a"), UNIT, &rig.invocation).await.expect("the other certificate of that name is good");

    // A broken list keeps the one before in force, and is told of.
    fs::write(&list, "garbage").unwrap();
    rig.agent().live().reload();
    let warnings = other.node().await.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("crl.pem")), "{warnings:?}");
    assert!(rig.connect(&stolen).await.is_err() || restart(&mut open, &rig).await.code() != Code::Ok);
}

#[tokio::test]
async fn a_broken_certificate_of_the_agents_own_does_not_keep_a_revoked_caller_in() {
    let rig = Rig::new().await;
    let mut open = rig.operator().await;
    open.node().await;
    fs::write(rig.path().join("agent-key.pem"), "garbage").unwrap();
    Ca::new("new").unwrap().write(&rig.path().join("ca.pem")).unwrap();
    rig.agent().live().reload();
    let status = restart(&mut open, &rig).await;
    assert_eq!(refused(&status, "").1, reason::CERTIFICATE_REVOKED);
}

#[tokio::test]
async fn a_ca_that_is_added_disturbs_no_open_connection() {
    let rig = Rig::new().await;
    let mut open = rig.operator().await;
    open.node().await;
    let bundle = format!("{}{}", Ca::new("new").unwrap().pem(), rig.ca.pem());
    fs::write(rig.path().join("ca.pem"), bundle).unwrap();
    rig.agent().live().reload();
    open.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&open.end_of("a").await));
}

#[tokio::test]
async fn names_that_a_configuration_with_mistakes_does_not_list_lose_their_rights_at_once() {
    let rig = Rig::new().await;
    let (mut alice, mut bob) = (rig.operator().await, rig.viewer().await);
    alice.node().await;
    let stolen = rig.ca.client(&Names { common_name: "bob", organisations: &["sre"], ..Names::default() }).unwrap();
    let mut thief = rig.connect(&stolen).await.unwrap();
    thief.node().await;
    let fingerprint = certificate(&stolen).fingerprint;
    rig.write_config(&format!(
        "viewer = ['O=sre', 'CN=late', 'nonsense']\noperator = ['CN=mallory', 'O=sre']\n[deny]\nfingerprints = ['{fingerprint}']\n\
         [limit]\nx = 1"
    ));
    rig.agent().live().reload();

    let status = restart(&mut alice, &rig).await;
    assert_eq!(refused(&status, "").1, reason::NOT_LISTED);
    let status = thief.info.get_node(GetNodeRequest {}).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::CERTIFICATE_REVOKED);
    // What was in force stays, and nobody gains anything.
    bob.node().await;
    assert_eq!(refused(&restart(&mut bob, &rig).await, "").1, reason::ROLE_TOO_LOW);
    let mut mallory = rig.caller(&Names { common_name: "mallory", ..Names::default() }).await;
    assert_eq!(refused(&restart(&mut mallory, &rig).await, "").1, reason::NOT_LISTED);
    let warnings = bob.node().await.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("limit: unknown key")), "{warnings:?}");
    assert!(rig.systemd.jobs().is_empty());

    rig.write_config("operator = ['CN=alice', 'O=sre']");
    rig.agent().live().reload();
    rig.operator().await.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
}

#[tokio::test]
async fn a_text_that_is_no_toml_takes_no_rights_away() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    for text in ["", "[allow]\noperator = ['CN=bo", "allow = 1"] {
        fs::write(rig.path().join("agent.toml"), text).unwrap();
        rig.agent().live().reload();
        alice.node().await;
    }
}

#[tokio::test]
async fn a_watch_ends_with_the_rights_of_its_caller() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(600));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let request = usher_proto::v1::WatchOperationRequest { operation_id: "a".to_owned() };
    let mut watch = rig.viewer().await.info.watch_operation(request).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    rig.write_config("operator = ['CN=alice']");
    rig.agent().live().reload();
    let ended =
        tokio::time::timeout(Duration::from_secs(20), async { while let Ok(Some(_)) = watch.message().await {} });
    ended.await.expect("the watch of a caller who is not listed any more must end");
    alice.node().await;
}

const NARROWED: &str = "operator = [{ name = 'CN=alice', from = ['127.0.0.0/8'], units = ['kube-scheduler.service'], \
                        may = ['restart', 'reboot'], until = 2099-01-01T00:00:00Z }]";

#[tokio::test]
async fn an_entry_that_is_narrowed_permits_what_it_says_and_a_refusal_names_the_key() {
    let rig = Rig::with(&format!("[units.'{OTHER}']\n")).await;
    rig.write_config(NARROWED);
    rig.agent().live().reload();
    let mut alice = rig.operator().await;
    let limited = |status: Status| (limit_of(&status), status.message().to_owned());
    let (key, message) = limited(alice.stop(order("a"), UNIT, &rig.invocation).await.unwrap_err());
    assert_eq!(key, "may");
    assert!(message.contains("permits restart, reboot, and the call needs stop"), "{message}");
    assert_eq!(limited(alice.restart(order("a"), OTHER, &rig.invocation).await.unwrap_err()).0, "units");
    assert_eq!(limited(alice.reboot(order("a"), "boot-1", &["apt"]).await.unwrap_err()).0, "may");
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));

    for (from, to, expected) in
        [("127.0.0.0/8", "10.0.0.0/8", "from"), ("2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "until")]
    {
        rig.write_config(&NARROWED.replace(from, to));
        rig.agent().live().reload();
        let status = rig.operator().await.info.get_node(GetNodeRequest {}).await.unwrap_err();
        assert_eq!(limited(status).0, expected);
    }
}

fn limit_of(status: &Status) -> String {
    let told = refused(status, "limit");
    assert_eq!((told.0, told.1.as_str()), (Code::PermissionDenied, reason::CALLER_LIMITED), "{status:?}");
    told.2
}

#[tokio::test]
async fn a_narrowed_entry_cancels_what_it_may_begin_and_nothing_else() {
    let rig = Rig::new().await;
    let mut carol = rig.caller(&Names { common_name: "carol", ..Names::default() }).await;
    rig.write_config(
        "operator = ['CN=alice', { name = 'CN=carol', units = ['kube-scheduler.service'], may = ['restart'] }]",
    );
    rig.agent().live().reload();
    let mut alice = rig.operator().await;
    // It does not come, so the operation waits.
    alice.reboot(order("reboot"), "boot-1", &[]).await.unwrap();

    for dry_run in [true, false] {
        let status = carol.cancel(Order { dry_run, ..order("c") }, "reboot").await.unwrap_err();
        assert_eq!(limit_of(&status), "may", "dry run: {dry_run}");
    }
    assert_eq!(alice.operation("reboot").await.unwrap().state(), OperationState::Running);

    rig.write_config("operator = ['CN=alice', { name = 'CN=carol', may = ['reboot'] }]");
    rig.agent().live().reload();
    let ended = loop {
        match carol.cancel(order("c"), "reboot").await {
            Ok(ended) => break ended,
            Err(status) => assert_eq!(refused(&status, "").1, reason::NOT_WAITING),
        }
    };
    assert_eq!(ended.failure.unwrap().kind(), FailureKind::Cancelled);
}

#[tokio::test]
async fn an_entry_that_permits_any_change_may_fence_and_one_that_permits_none_may_not() {
    let rig = Rig::new().await;
    rig.write_config(&NARROWED.replace("'restart', 'reboot'", "'restart'"));
    rig.agent().live().reload();
    let mut alice = rig.operator().await;
    assert_eq!(alice.fence(3).await.unwrap(), 3);
    rig.write_config(&NARROWED.replace("'restart', 'reboot'", "'override'"));
    rig.agent().live().reload();
    assert_eq!(limit_of(&alice.fence(4).await.unwrap_err()), "may");
    assert_eq!(alice.node().await.highest_epoch, 3);
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_loses_its_connection_and_every_right() {
    // TLS asks the machine's own clock, which does not move while tokio's does: what refuses here is the agent.
    usher_common::clock::follow_tokio(usher_common::clock::now());
    let rig = Rig::with("[limits]\nconnection_age = '9d'\nidle_timeout = '9d'\n").await;
    let end = usher_common::clock::now() + jiff::SignedDuration::from_hours(48);
    let end = end.to_zoned(jiff::tz::TimeZone::UTC).date();
    let names = Names { common_name: "alice", ..Names::default() };
    let identity = rig.ca.client_with(&names, |certificate| {
        let (month, day) = (end.month().try_into().unwrap(), end.day().try_into().unwrap());
        certificate.not_after = rcgen::date_time_ymd(end.year().into(), month, day);
    });
    let mut alice = rig.connect(&identity.unwrap()).await.unwrap();
    alice.node().await;
    tokio::time::sleep(Duration::from_secs(48 * 3600)).await;
    let status = restart(&mut alice, &rig).await;
    assert_eq!((status.code(), refused(&status, "").1.as_str()), (Code::Unauthenticated, reason::CERTIFICATE_EXPIRED));
    assert!(rig.systemd.jobs().is_empty());
}
