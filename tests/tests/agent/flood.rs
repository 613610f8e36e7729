//! Peers that want nothing good: silent ones, ones that are not listed, ones that take no answers. Over streams in memory.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, DuplexStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint, Error},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceExt as _;
use usher_proto::{
    reason,
    v1::{GetNodeRequest, ListAuditRecordsRequest, ListOperationsRequest, WatchOperationRequest},
};
use usher_testkit::{
    pki::{Identity, Names},
    rig::{
        agent::{Caller, Rig, UNIT, order, refused, succeeded},
        greedy, stored,
        streams::StreamDoor,
    },
};

const BUFFER: usize = 16 * 1024;

/// Longer than the agent lets any peer wait for its turn.
const SOON: Duration = Duration::from_secs(1);

/// The door of a rig's agent, with TLS.
struct House {
    rig: Rig,
    door: StreamDoor,
}

impl House {
    async fn with(more: &str) -> Self {
        Self::of(Rig::without_agent(more)).await
    }

    async fn of(mut rig: Rig) -> Self {
        let (door, of_the_agent) = StreamDoor::new(None, BUFFER);
        rig.start_with(|edges| edges.door = of_the_agent).await;
        Self { rig, door }
    }

    fn dial(&self, from: SocketAddr) -> DuplexStream {
        self.door.dial(from).unwrap()
    }

    fn identity(&self, name: &str) -> Identity {
        self.rig.ca.client(&Names { common_name: name, ..Names::default() }).unwrap()
    }

    async fn connect(&self, identity: &Identity, from: SocketAddr) -> Result<Channel, Error> {
        self.connect_by(self.rig.endpoint_to("https://node-1", identity), from).await
    }

    async fn connect_by(&self, endpoint: Endpoint, from: SocketAddr) -> Result<Channel, Error> {
        self.door.connect(endpoint, from).await
    }

    /// A connection for answers that nobody takes.
    async fn connect_greedily(&self, identity: &Identity, from: SocketAddr) -> Channel {
        let endpoint = self.rig.endpoint_to("https://node-1", identity);
        self.connect_by(greedy::with_small_windows(endpoint), from).await.unwrap()
    }

    /// A connection after its handshake, on which nothing has been said yet.
    async fn shake_hands(&self, identity: &Identity, from: SocketAddr) -> TlsStream<DuplexStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.rig.ca.pem().as_bytes()).unwrap()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let mut config = config.with_client_auth_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(ServerName::try_from("node-1").unwrap(), self.dial(from)).await.unwrap()
    }
}

fn from(host: u32) -> SocketAddr {
    let [_, a, b, c] = host.to_be_bytes();
    ([10, a, b, c], 40000).into()
}

/// How long until the agent has hung up.
async fn hung_up_after(mut stream: impl tokio::io::AsyncRead + Unpin) -> Duration {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let ended = timeout(Duration::from_secs(3600), stream.read_to_end(&mut bytes));
    ended.await.expect("the agent must hang up").ok();
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_answered_within_a_second_beside_a_thousand_silent_peers_and_64_unlisted_certificates() {
    let house = House::with("").await;
    let mut others = Vec::new();
    for host in 0..64 {
        let kubelet = house.identity(&format!("system:node:{host}"));
        let mut caller = Caller::over(house.connect(&kubelet, from(host)).await.unwrap());
        assert!(caller.info.get_node(GetNodeRequest {}).await.is_err());
        others.push(house.shake_hands(&kubelet, from(host)).await);
    }
    // Half of the silent ones share the operator's address.
    let silent: Vec<_> = (0..1000).map(|host| house.dial(if host % 2 == 0 { from(7) } else { from(host) })).collect();
    let alice = house.identity("alice");
    let begun = Instant::now();
    let mut alice = Caller::over(house.connect(&alice, from(7)).await.unwrap());
    assert_eq!(alice.node().await.name, "node-1");
    alice.restart(order("a"), UNIT, &house.rig.invocation).await.unwrap();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    drop((silent, others));
}

#[tokio::test(start_paused = true)]
async fn silent_peers_of_one_address_make_room_for_one_another_and_for_nobody_else() {
    let house = House::with("").await;
    let other = house.dial(from(2));
    let first = house.dial(from(1));
    let rest: Vec<_> = (0..8).map(|_| house.dial(from(1))).collect();
    assert!(hung_up_after(first).await < SOON, "there are eight places for an address");
    let (other, last) = tokio::join!(hung_up_after(other), hung_up_after(rest.into_iter().next_back().unwrap()));
    assert_eq!((other.as_secs(), last.as_secs()), (3, 3), "these have the time of a handshake");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_with_a_name_is_recorded_beside_a_health_check_that_hangs_up_from_the_same_address() {
    let house = House::with("").await;
    for _ in 0..20 {
        drop(house.dial(from(1)));
        sleep(Duration::from_secs(1)).await;
    }
    let stranger = house.identity("stranger");
    let mut caller = Caller::over(house.connect(&stranger, from(1)).await.unwrap());
    caller.info.get_node(GetNodeRequest {}).await.unwrap_err();

    let mut alice = Caller::over(house.connect(&house.identity("alice"), from(9)).await.unwrap());
    let mut told =
        async || alice.info.list_audit_records(ListAuditRecordsRequest::default()).await.unwrap().into_inner();
    let recorded = timeout(Duration::from_secs(60), async {
        while !told().await.records.iter().any(|record| record.caller.contains(&"CN=stranger".to_owned())) {
            sleep(Duration::from_millis(100)).await;
        }
    });
    recorded.await.expect("the refusal must be in the trail");
}

#[tokio::test(start_paused = true)]
async fn certificates_that_are_not_listed_get_their_refusal_and_keep_no_place() {
    let house = House::with("[limits]\nconnections = 2\n").await;
    for host in 1..=4 {
        let kubelet = house.identity(&format!("system:node:{host}"));
        let mut caller = Caller::over(house.connect(&kubelet, from(host)).await.unwrap());
        let status = caller.info.get_node(GetNodeRequest {}).await.unwrap_err();
        assert_eq!(refused(&status, "").1, reason::NOT_LISTED);
        assert!(status.message().contains("viewer: 1 names, operator: 2 names"), "{}", status.message());
    }
    let begun = Instant::now();
    let alice = house.identity("alice");
    Caller::over(house.connect(&alice, from(9)).await.unwrap()).node().await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    // One that asks nothing is not kept either.
    let kubelet = house.identity("system:node:9");
    assert_eq!(hung_up_after(house.shake_hands(&kubelet, from(9)).await).await.as_secs(), 5);
}

/// A viewer, and how many connections its calls have taken so far.
async fn viewer(house: &House) -> (Caller, Arc<AtomicU32>) {
    let bob = Names { common_name: "bob", organisations: &["sre"], ..Names::default() };
    let bob = house.rig.ca.client(&bob).unwrap();
    let dials = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&dials);
    let count = move |stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        stream
    };
    let endpoint = house.rig.endpoint_to("https://node-1", &bob);
    (Caller::over(house.door.connect_through(endpoint, from(1), count).await.unwrap()), dials)
}

#[tokio::test(start_paused = true)]
async fn refused_calls_do_not_keep_a_connection() {
    let house = House::with("").await;
    let (mut bob, dials) = viewer(&house).await;
    for _ in 0..4 {
        let status = bob.start(order("a"), UNIT).await.unwrap_err();
        assert_eq!(refused(&status, "").1, reason::ROLE_TOO_LOW);
        sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(dials.load(Ordering::Relaxed), 2, "ten seconds are for a first call that counts");
}

#[tokio::test(start_paused = true)]
async fn a_connection_outlives_any_number_of_refused_calls() {
    let house = House::with("").await;
    let (mut bob, dials) = viewer(&house).await;
    bob.node().await;
    for _ in 0..2000 {
        let status = bob.start(order("a"), UNIT).await.unwrap_err();
        assert_eq!(refused(&status, "").1, reason::ROLE_TOO_LOW);
    }
    bob.node().await;
    assert_eq!(dials.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_with_too_many_connections_loses_the_one_that_was_idle_for_longest() {
    let house = House::with("[limits]\nconnections_per_certificate = 2\n").await;
    let alice = house.identity("alice");
    let first = house.shake_hands(&alice, from(1)).await;
    sleep(SOON).await;
    let second = house.shake_hands(&alice, from(1)).await;
    let third = house.shake_hands(&alice, from(1)).await;
    let (first, second, third) = tokio::join!(hung_up_after(first), hung_up_after(second), hung_up_after(third));
    assert!(first < SOON * 2, "{first:?}");
    assert_eq!((second.as_secs(), third.as_secs()), (10, 10), "no call came on them");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_renewed_at_its_age_and_a_call_in_progress_has_its_grace() {
    let house = House::with("[limits]\nconnection_age = '5m'\nconnection_grace = '2m'\n").await;
    house.rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(60));
    let alice = house.identity("alice");
    let mut alice = Caller::over(house.connect(&alice, from(1)).await.unwrap());
    for _ in 0..9 {
        alice.node().await;
        sleep(Duration::from_secs(30)).await;
    }
    alice.restart(order("a"), UNIT, &house.rig.invocation).await.unwrap();
    let begun = Instant::now();
    let end = alice.end_of("a").await;
    assert_eq!(begun.elapsed().as_secs(), 60, "{end:?}");
    alice.node().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_any_request_is_not_read_by_any_service() {
    let house = House::with("").await;
    let alice = house.identity("alice");
    let channel = house.connect(&alice, from(1)).await.unwrap();
    let request = HealthCheckRequest { service: "x".repeat(100 * 1024) };
    let status = HealthClient::new(channel.clone()).check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let largest = HealthCheckRequest { service: "x".repeat(60 * 1024) };
    let status = HealthClient::new(channel.clone()).check(largest).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "it is read: {status:?}");
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest { host: "x".repeat(100 * 1024), message_request: None };
    let mut client = tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel);
    // tonic's reflection ends the stream of answers without a word.
    let answered = match client.server_reflection_info(tokio_stream::once(ask)).await {
        Ok(answers) => answers.into_inner().message().await.is_ok_and(|answer| answer.is_some()),
        Err(_) => false,
    };
    assert!(!answered);
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_eight_calls_at_a_time_and_the_ninth_waits_for_its_turn() {
    let house = House::with("").await;
    house.rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(600));
    let mut alice = Caller::over(house.connect(&house.identity("alice"), from(1)).await.unwrap());
    alice.restart(order("a"), UNIT, &house.rig.invocation).await.unwrap();
    let mut watches = Vec::new();
    for _ in 0..8 {
        let request = WatchOperationRequest { operation_id: "a".to_owned() };
        watches.push(alice.info.watch_operation(request).await.unwrap().into_inner());
    }
    assert!(timeout(SOON, alice.node()).await.is_err(), "there are eight");
    watches.pop();
    timeout(SOON, alice.node()).await.expect("one of them has ended");
}

#[tokio::test(start_paused = true)]
async fn headers_larger_than_any_caller_sends_are_refused_and_the_next_call_is_answered() {
    let house = House::with("").await;
    let mut alice = Caller::over(house.connect(&house.identity("alice"), from(1)).await.unwrap());
    alice.node().await;
    let mut request = Request::new(GetNodeRequest {});
    request.metadata_mut().insert("x-large", "x".repeat(20 * 1024).parse().unwrap());
    alice.info.get_node(request).await.expect_err("16 KiB are the most");
    assert_eq!(alice.node().await.name, "node-1");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_answers_keeps_others_from_lists_for_a_moment_and_loses_its_connection() {
    let house = House::with("").await;
    let alice = house.identity("alice");
    let mut operator = Caller::over(house.connect(&alice, from(1)).await.unwrap());
    for number in 0..30 {
        let mut order = order(&format!("op{number}"));
        (order.dry_run, order.reason) = (true, "x".repeat(1000));
        operator.restart(order, UNIT, &house.rig.invocation).await.unwrap();
    }
    let all = ListAuditRecordsRequest { before: 0, limit: 1000 };
    let answer = operator.info.list_audit_records(all).await.unwrap().into_inner();
    assert_eq!(answer.records.len(), 60, "two records a call");

    let channel = house.connect_greedily(&alice, from(2)).await;
    let mut untaken = Vec::new();
    for _ in 0..2 {
        let request = greedy::whole(b"\0\0\0\0\x03\x10\xe8\x07");
        untaken.push(
            channel.clone().oneshot(greedy::call("usher.agent.v1.NodeInfo/ListAuditRecords", request)).await.unwrap(),
        );
    }
    let status = operator.info.list_audit_records(all).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::TOO_MANY_LISTINGS);
    assert_eq!(operator.node().await.name, "node-1", "other calls are answered");
    sleep(Duration::from_secs(30)).await;
    operator.info.list_audit_records(all).await.expect("the peer has lost its connection, and with it the answers");
    drop(untaken);
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_answered_within_a_second_beside_listed_callers_that_take_no_answers_and_end_no_requests() {
    let rig = Rig::without_agent("");
    stored::operations(&rig.path().join("state"), 150, 7000);
    let house = House::of(rig).await;
    // As many as there are places for all callers.
    let mut flood = JoinSet::new();
    for certificate in 0..4 {
        let name = format!("greedy-{certificate}");
        let names = Names { common_name: &name, organisations: &["sre"], ..Names::default() };
        let identity = house.rig.ca.client(&names).unwrap();
        for host in 0..16 {
            let channel = house.connect_greedily(&identity, from(certificate * 16 + host)).await;
            for call in greedy::calls() {
                flood.spawn(channel.clone().oneshot(call));
            }
        }
    }
    // Time passes once nobody has anything left to do.
    sleep(Duration::from_millis(1)).await;

    let begun = Instant::now();
    let mut alice = Caller::over(house.connect(&house.identity("alice"), from(7)).await.unwrap());
    assert_eq!(alice.node().await.name, "node-1");
    alice.restart(order("a"), UNIT, &house.rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let status = alice.info.list_operations(ListOperationsRequest { limit: 1 }).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::TOO_MANY_LISTINGS, "the flood holds them");

    sleep(Duration::from_secs(60)).await;
    let bob = Names { common_name: "bob", organisations: &["sre"], ..Names::default() };
    let bob = house.rig.ca.client(&bob).unwrap();
    let mut bob = Caller::over(house.connect(&bob, from(9)).await.unwrap());
    let listed = timeout(SOON, bob.info.list_operations(ListOperationsRequest { limit: 1 }))
        .await
        .expect("no viewer is kept out for longer than a minute");
    assert_eq!(listed.unwrap().into_inner().operations.len(), 1);
    drop(flood);
}
