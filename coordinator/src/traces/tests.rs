use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::{Span, status::StatusCode},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;

use super::{export::Settings, *};
use crate::{event::Kind, exit::Exit};

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_795_000_000 + second).unwrap()
}

/// A reboot of w1, whose drain went well and whose reboot did not.
fn story() -> Story {
    let mut story = Story::default();
    let began = Kind::Began {
        operation: "4f7k2".into(),
        command: "reboot".into(),
        cluster: "eqiad".into(),
        reason: "kernel".into(),
        requester: "ann@cumin1001".into(),
        task_id: None,
    };
    let step = |step: &str| Kind::StepBegan { turn: 1, step: step.into() };
    for (second, kind) in [
        (0, began),
        (1, Kind::TurnBegan { turn: 1, machine: "w1".into(), component: None }),
        (1, step("drain")),
        (9, Kind::Fact { turn: 1, step: "drain".into(), what: "21 pods gone".into() }),
        (9, step("reboot")),
        (60, Kind::StepFailed { turn: 1, step: "reboot".into(), message: "w1 is away".into(), details: Vec::new() }),
        (61, Kind::TurnEnded { turn: 1, done: false, took: 60.0 }),
        (62, Kind::Ended { exit: Exit::TimedOut, message: "timed out".into(), details: Vec::new(), next: Vec::new() }),
    ] {
        story.add(Event { at: at(second), kind });
    }
    story
}

fn spans(request: ExportTraceServiceRequest) -> BTreeMap<String, Span> {
    let spans = request.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
    spans.map(|span| (span.name.clone(), span)).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value.as_ref()?.value {
        Some(Value::StringValue(text)) => Some(text.clone()),
        _ => None,
    }
}

#[test]
fn a_trace_has_a_span_for_the_operation_each_turn_and_each_step() {
    let resource = [("service.name".to_owned(), "usher".to_owned())];
    let parent = by_chance();
    let spans = spans(spans::request(&story(), &parent, &resource).unwrap());
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["drain", "reboot", "usher reboot", "w1"]);
    let (root, turn, drain, reboot) = (&spans["usher reboot"], &spans["w1"], &spans["drain"], &spans["reboot"]);
    assert!(root.parent_span_id.is_empty());
    assert_eq!((&turn.parent_span_id, &drain.parent_span_id), (&root.span_id, &turn.span_id));
    assert!(spans.values().all(|span| span.trace_id == root.trace_id && span.trace_id.len() == 16));
    let ids = (root.trace_id.as_slice(), root.span_id.as_slice());
    assert_eq!(
        ids,
        (&parent.trace.get().to_be_bytes()[..], &parent.span.get().to_be_bytes()[..]),
        "as agents are told"
    );
    assert_eq!(attribute(root, "usher.operation_id").as_deref(), Some("4f7k2"));
    assert_eq!(attribute(root, "usher.task_id"), None, "what says nothing is left out");
    assert_eq!(attribute(drain, "k8s.node.name").as_deref(), Some("w1"));
    assert_eq!(drain.end_time_unix_nano - drain.start_time_unix_nano, 8_000_000_000);
    assert_eq!(drain.events[0].name, "evidence");
    assert!(drain.status.is_none());
    let failed = reboot.status.clone().unwrap();
    assert_eq!((failed.code(), failed.message.as_str()), (StatusCode::Error, "w1 is away"));
    assert_eq!(root.status.clone().unwrap().code(), StatusCode::Error);
}

#[test]
fn an_operation_that_never_began_has_no_trace() {
    assert!(spans::request(&Story::default(), &by_chance(), &[]).is_none());
}

fn settings(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
    Settings::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn the_environment_says_where_to_and_without_it_nothing_is_sent() {
    assert!(settings(&[]).unwrap().is_none());
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    assert!(settings(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
    assert!(settings(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
    let error = settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "otel.example:4317")]).unwrap_err();
    assert!(error.contains("is no http:// URL"), "{error}");
    let named = settings(&[
        endpoint,
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=night, team=sre"),
        ("OTEL_SERVICE_NAME", "roll"),
    ]);
    let resource = named.unwrap().unwrap().resource;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let version = pair("service.version", env!("CARGO_PKG_VERSION"));
    assert_eq!(resource, [pair("service.name", "roll"), version, pair("team", "sre")]);
}

/// A collector that keeps what it is sent, with the header `api-key` of each.
struct Collector(mpsc::UnboundedSender<(String, ExportTraceServiceRequest)>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let key = request.metadata().get("api-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
        let _ = self.0.send((key, request.into_inner()));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
#[allow(clippy::disallowed_methods)] // a collector on a port of this host
async fn a_collector_gets_the_trace_and_one_that_is_not_there_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut received) = mpsc::unbounded_channel();
    let server =
        tonic::transport::Server::builder().add_service(TraceServiceServer::from_arc(Arc::new(Collector(sender))));
    let server = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=secret")];
    let settings = || settings(&variables).unwrap().unwrap();
    let traces = || Traces { story: story(), settings: settings(), parent: by_chance() };
    traces().end().await.unwrap();
    let (key, request) = received.recv().await.unwrap();
    assert_eq!((key.as_str(), spans(request).len()), ("secret", 4));

    server.abort();
    let _ = server.await;
    let error = traces().end().await.unwrap_err();
    assert!(!error.is_empty());
}
