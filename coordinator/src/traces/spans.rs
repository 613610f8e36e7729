//! Spans from what happened. Pure but for the ids of the spans below the first, which are by chance.

use jiff::Timestamp;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status::StatusCode},
};

use usher_common::trace::TraceParent;

use crate::{
    exit::Exit,
    story::{Step, Story, Turn},
};

/// The trace of an operation; None if it had not begun.
pub(super) fn request(
    story: &Story,
    parent: &TraceParent,
    resource: &[(String, String)],
) -> Option<ExportTraceServiceRequest> {
    let began = story.began.as_ref()?;
    let (first, last) = story.span?;
    let trace = parent.trace.get().to_be_bytes().to_vec();
    let mut root = span(&trace, &[], format!("usher {}", began.command), (first, last));
    root.span_id = parent.span.get().to_be_bytes().to_vec();
    root.attributes = attributes([
        ("usher.operation_id", began.operation.as_str()),
        ("usher.command", &began.command),
        ("usher.reason", &began.reason),
        ("usher.task_id", began.task_id.as_deref().unwrap_or_default()),
        ("k8s.cluster.name", &began.cluster),
        ("enduser.id", &began.requester),
    ]);
    root.events = story.warnings.iter().map(|(at, message)| event(*at, "warning", message)).collect();
    root.status = match &story.ended {
        Some(ended) if ended.exit == Exit::Done => Some(status(StatusCode::Ok, "")),
        Some(ended) => Some(status(StatusCode::Error, &ended.message)),
        None => None,
    };
    let mut spans = Vec::new();
    for turn in story.turns.values() {
        let of_turn = of_turn(turn, &trace, &root.span_id, last);
        spans.extend(turn.steps.iter().map(|step| of_step(step, turn, &trace, &of_turn.span_id, last)));
        spans.push(of_turn);
    }
    spans.push(root);
    let scope = InstrumentationScope {
        name: "usher".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let attributes = attributes(resource.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let resource = Some(Resource { attributes, ..Resource::default() });
    Some(ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    })
}

fn of_turn(turn: &Turn, trace: &[u8], parent: &[u8], last: Timestamp) -> Span {
    let end = turn.ended.map_or(last, |end| end.at);
    let mut span = span(trace, parent, turn.subject(), (turn.began, end));
    span.attributes = attributes([
        ("k8s.node.name", turn.machine.as_str()),
        ("usher.component", turn.component.as_deref().unwrap_or_default()),
    ]);
    span.events = turn.undone.iter().map(|(at, what)| event(*at, "taken back", what)).collect();
    span.status = turn.ended.map(|end| match end.done {
        true => status(StatusCode::Ok, ""),
        false => status(StatusCode::Error, "its steps are not all done"),
    });
    span
}

fn of_step(step: &Step, turn: &Turn, trace: &[u8], parent: &[u8], last: Timestamp) -> Span {
    let end = step.ended.or(turn.ended.map(|end| end.at)).unwrap_or(last);
    let mut span = span(trace, parent, step.word.clone(), (step.began, end));
    span.attributes = attributes([("k8s.node.name", turn.machine.as_str())]);
    let waits = step.waits.iter().map(|(at, what)| event(*at, "waits", what));
    span.events = waits.chain(step.facts.iter().map(|(at, what)| event(*at, "evidence", what))).collect();
    span.status = step.failure.as_ref().map(|(message, _)| status(StatusCode::Error, message));
    span
}

fn span(trace: &[u8], parent: &[u8], name: String, (from, to): (Timestamp, Timestamp)) -> Span {
    Span {
        trace_id: trace.to_vec(),
        span_id: fastrand::u64(1..).to_be_bytes().to_vec(),
        parent_span_id: parent.to_vec(),
        name,
        kind: span::SpanKind::Internal.into(),
        start_time_unix_nano: nanoseconds(from),
        // A clock may have gone back.
        end_time_unix_nano: nanoseconds(to.max(from)),
        ..Span::default()
    }
}

fn event(at: Timestamp, name: &str, what: &str) -> span::Event {
    let attributes = attributes([("usher.what", what)]);
    span::Event { time_unix_nano: nanoseconds(at), name: name.to_owned(), attributes, ..span::Event::default() }
}

fn status(code: StatusCode, message: &str) -> Status {
    Status { message: message.to_owned(), code: code.into() }
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or_default()
}

/// Those that say something.
fn attributes<'t>(pairs: impl IntoIterator<Item = (&'t str, &'t str)>) -> Vec<KeyValue> {
    let said = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let pair = |(key, value): (&str, &str)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    };
    said.map(pair).collect()
}
