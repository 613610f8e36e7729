//! The door without sockets: the same agent over byte streams in memory, in paused time.

use std::{fs, io, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{
    io::duplex,
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::Instant,
};
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;
use usher_agent::{identity, listener::Door, stream::BoxedStream};
use usher_proto::reason;
use usher_testkit::pki::Names;

use crate::bench::{Bench, Caller, UNIT, order, refused, succeeded};

type Incoming = UnboundedSender<(BoxedStream, std::net::SocketAddr)>;

async fn start(bench: &mut Bench, caller: Option<identity::Caller>) -> Incoming {
    let (sender, incoming) = unbounded_channel();
    bench.start_behind(Door::Streams { incoming, caller }).await;
    sender
}

/// Connects over streams in memory, with TLS if the endpoint has it.
async fn connect(endpoint: Endpoint, door: &Incoming) -> Result<Channel, Error> {
    let door = door.clone();
    let dial = service_fn(move |_| {
        let (theirs, ours) = duplex(64 * 1024);
        let sent = door.send((Box::new(theirs), ([192, 0, 2, 7], 40000).into()));
        async move { sent.map(|()| TokioIo::new(ours)).map_err(|_| io::Error::other("the agent has gone")) }
    });
    endpoint.connect_with_connector(dial).await
}

#[tokio::test(start_paused = true)]
async fn an_agent_runs_over_streams_without_a_certificate_for_the_caller_it_was_given() {
    let mut bench = Bench::without_agent("");
    for file in ["agent.pem", "agent-key.pem", "ca.pem"] {
        fs::remove_file(bench.path().join(file)).unwrap();
    }
    let door = start(&mut bench, Some(identity::Caller::named(["CN=alice"]))).await;
    assert_eq!(bench.agent().address(), None);
    let mut alice = Caller::over(connect(Endpoint::from_static("http://node-1"), &door).await.unwrap());

    bench.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(30));
    let began = Instant::now();
    alice.restart(order("a"), UNIT, &bench.invocation).await.unwrap();
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
        let mut bench = Bench::without_agent("");
        let door = start(&mut bench, Some(identity::Caller::named([name]))).await;
        let mut caller = Caller::over(connect(Endpoint::from_static("http://node-1"), &door).await.unwrap());
        let status = caller.restart(order("a"), UNIT, &bench.invocation).await.unwrap_err();
        assert_eq!(refused(&status, "").1, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_door_of_streams_without_a_caller_asks_for_certificates_as_over_tcp() {
    let mut bench = Bench::without_agent("");
    let door = start(&mut bench, None).await;
    let alice = bench.ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap();
    let mut alice = Caller::over(connect(bench.endpoint_to("https://node-1", &alice), &door).await.unwrap());
    alice.restart(order("a"), UNIT, &bench.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    assert!(alice.node().await.certificate_not_after.is_some());

    let without_tls = connect(Endpoint::from_static("http://node-1"), &door).await;
    let answered = match without_tls {
        Ok(channel) => Caller::over(channel).operation("a").await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "no certificate, no answer");
}
