//! Who gets in: certificates, names, roles, time limits, and how many.

use std::{fs, sync::Arc, time::Duration};

use http::Request;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{Code, Status, body::Body};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;
use usher_proto::{reason, v1::GetNodeRequest};
use usher_testkit::{
    pki::{Ca, Identity, Names},
    rig::agent::{Rig, UNIT, last_of, order, refused, succeeded},
};

/// Longer than anything here takes; what does not happen within it is a failure.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_caller_of_another_ca_gets_no_connection_and_not_one_byte() {
    let rig = Rig::new().await;
    // Another name, and the same name over another key, as after a CA was made anew.
    for ca in ["stranger", "rig"] {
        let stranger = Ca::new(ca).unwrap().client(&Names { common_name: "alice", ..Names::default() }).unwrap();
        // TLS 1.3 tells a client of its refusal after the handshake.
        let (mut stream, mut told) = (shake_hands(&rig, &stranger).await, Vec::new());
        let error = timeout(LONG, stream.read_to_end(&mut told)).await.expect("the agent must hang up").unwrap_err();
        let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert!(matches!(error, Some(rustls::Error::AlertReceived(_))), "{ca}: {error:?}");
        assert!(told.is_empty(), "{ca}: {told:?}");

        let restarted = match rig.connect(&stranger).await {
            Ok(mut caller) => caller.restart(order("a"), UNIT, &rig.invocation).await.is_ok(),
            Err(_) => false,
        };
        assert!(!restarted && rig.systemd.jobs().is_empty());
    }
}

#[tokio::test]
async fn the_right_ca_alone_opens_no_service() {
    let rig = Rig::new().await;
    let kubelet = Names { common_name: "system:node:node-1", organisations: &["system:nodes"], ..Names::default() };
    let mut caller = rig.caller(&kubelet).await;
    let status = caller.info.get_node(GetNodeRequest {}).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::NOT_LISTED);
    assert!(status.message().contains("CN=system:node:node-1, O=system:nodes"), "{}", status.message());
    assert!(status.message().contains("viewer: 1 names, operator: 2 names"), "{}", status.message());
    let status = caller.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::NOT_LISTED);

    let status = HealthClient::new(caller.channel.clone()).check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let ask = tokio_stream::once(ServerReflectionRequest::default());
    let status = ServerReflectionClient::new(caller.channel).server_reflection_info(ask).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(rig.systemd.jobs().is_empty());
}

#[tokio::test]
async fn a_viewer_looks_and_an_operator_changes() {
    let rig = Rig::new().await;
    let mut bob = rig.viewer().await;
    assert_eq!(bob.node().await.name, "node-1");
    for status in [
        bob.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err(),
        bob.stop(order("a"), UNIT, &rig.invocation).await.unwrap_err(),
        bob.start(order("a"), UNIT).await.unwrap_err(),
        bob.reboot(order("a"), "boot-1", &[]).await.unwrap_err(),
    ] {
        let told = refused(&status, "");
        assert_eq!((told.0, told.1.as_str()), (Code::PermissionDenied, reason::ROLE_TOO_LOW));
        assert!(status.message().contains("O=sre"), "{}", status.message());
    }
    assert!(rig.systemd.jobs().is_empty());

    // By URI as well as by name.
    let mut op = rig.caller(&Names { uris: &["spiffe://usher/op"], ..Names::default() }).await;
    op.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let end = op.end_of("a").await;
    assert!(succeeded(&end));
    assert_eq!(end.caller, ["URI:spiffe://usher/op"]);
}

#[tokio::test]
async fn a_method_that_the_agent_does_not_know_is_for_nobody_whatever_their_role() {
    let rig = Rig::new().await;
    for (channel, expected) in [
        (rig.operator().await.channel, Code::Unimplemented),
        (rig.caller(&Names { common_name: "mallory", ..Names::default() }).await.channel, Code::PermissionDenied),
    ] {
        let request =
            Request::post("https://node-1/usher.agent.v1.NodeControl/FormatDisk").body(Body::empty()).unwrap();
        let answer = channel.oneshot(request).await.unwrap();
        let status = Status::from_header_map(answer.headers()).expect("a refusal stands in the headers");
        assert_eq!(status.code(), expected, "{status:?}");
        assert!(status.get_details_error_info().is_some(), "{status:?}");
    }
}

#[tokio::test]
async fn health_and_reflection_are_served_to_the_listed() {
    let rig = Rig::new().await;
    let channel = rig.viewer().await.channel;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "usher.agent.v1.NodeInfo", "usher.agent.v1.NodeControl"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving, "{service}");
    }
    let list = MessageRequest::ListServices(String::new());
    let ask = tokio_stream::once(ServerReflectionRequest { host: String::new(), message_request: Some(list) });
    let mut answers = ServerReflectionClient::new(channel).server_reflection_info(ask).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"usher.agent.v1.NodeControl"), "{names:?}");
}

#[tokio::test]
async fn reflection_can_be_switched_off() {
    let mut rig = Rig::without_agent("");
    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("reflection = false\n{text}")).unwrap();
    rig.start().await;
    let ask = tokio_stream::once(ServerReflectionRequest::default());
    let channel = rig.viewer().await.channel;
    let status = ServerReflectionClient::new(channel).server_reflection_info(ask).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_handshake_that_never_comes_is_ended() {
    let rig = Rig::with("[limits]\nhandshake_timeout = '200ms'\n").await;
    let mut silent = TcpStream::connect(rig.address()).await.unwrap();
    let end = timeout(LONG, silent.read_u8()).await.expect("the agent must hang up");
    assert!(end.is_err());
    rig.viewer().await.node().await;
}

#[tokio::test]
async fn a_connection_without_calls_is_ended_and_one_with_a_watch_is_not() {
    let rig = Rig::with("[limits]\nidle_timeout = '300ms'\nfirst_call_timeout = '300ms'\n").await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_millis(1200));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let mut idle = tls(&rig).await;
    let watched = alice.end_of("a");
    let ended = async {
        let mut bytes = Vec::new();
        timeout(LONG, idle.read_to_end(&mut bytes)).await.expect("the agent must hang up").ok();
    };
    let (watched, ()) = tokio::join!(watched, ended);
    assert!(succeeded(&watched), "{watched:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_displace_an_idle_one_and_wait_while_all_are_in_use() {
    let rig = Rig::with("[limits]\nconnections = 2\n").await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_millis(1500));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    // Else hers would be the connection that has been idle for longest.
    let watch = alice.watch("a").await;
    let mut idle = tls(&rig).await;
    let mut third = rig.operator().await;
    let mut bytes = Vec::new();
    timeout(LONG, idle.read_to_end(&mut bytes)).await.expect("the idle one makes room").ok();

    let watches = async { tokio::join!(last_of(watch), third.end_of("a")) };
    let fourth = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        rig.operator().await.node().await.current_operation.is_some()
    };
    let ((first, second), still_running) = tokio::join!(watches, fourth);
    assert!(succeeded(&first) && succeeded(&second));
    assert!(!still_running, "there are two places, and both were in use until the operation ended");
}

#[tokio::test]
async fn limits_hold_for_the_next_connection_without_a_restart() {
    let rig = Rig::new().await;
    let mut idle = tls(&rig).await;
    rig.write_config("operator = ['CN=alice']\n[limits]\nconnections = 1");
    rig.agent().live().reload();
    let warnings = rig.operator().await.node().await.warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("restart the agent")), "{warnings:?}");
    timeout(LONG, idle.read_to_end(&mut Vec::new())).await.expect("the idle one makes room").ok();
}

/// A connection after its handshake, as a listed caller, on which nothing is said.
async fn tls(rig: &Rig) -> TlsStream<TcpStream> {
    let identity = rig.ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap();
    let mut stream = shake_hands(rig, &identity).await;
    // The server's first frame: it has taken the connection.
    stream.read_u8().await.unwrap();
    stream
}

/// A connection after our part of the handshake.
async fn shake_hands(rig: &Rig, identity: &Identity) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(rig.ca.pem().as_bytes()).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(rig.address()).await.unwrap();
    let name = ServerName::try_from("node-1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}
