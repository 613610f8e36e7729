//! Where a trace goes, by the variables that OpenTelemetry's specification names, and sending it.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use tokio::time::timeout;
use tonic::{
    Request,
    metadata::{MetadataKey, MetadataValue},
    transport::Endpoint,
};
use usher_common::chain;

/// How long the end of a command waits for the collector.
const SENT_WITHIN: Duration = Duration::from_secs(3);

/// What the environment says.
#[derive(Debug)]
pub(super) struct Settings {
    endpoint: Endpoint,
    /// Such as a collector's key.
    headers: BTreeMap<String, String>,
    /// What is said of this process.
    pub(super) resource: Vec<(String, String)>,
}

impl Settings {
    /// None where it names no collector.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        let url = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let Some(url) = url.filter(|_| !off) else { return Ok(None) };
        // A collector beside usher, or an agent of one, as is usual: over TLS it would need CAs that nobody has named.
        if !url.starts_with("http://") {
            return Err(format!(
                "{url:?} is no http:// URL of a collector; traces are sent to a collector on this host"
            ));
        }
        let endpoint =
            Endpoint::from_shared(url.clone()).map_err(|error| format!("{url:?} is no URL of a collector: {error}"))?;
        let headers = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| variable("OTEL_EXPORTER_OTLP_HEADERS"));
        let mut resource: BTreeMap<_, _> = pairs(&variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()).collect();
        let name = variable("OTEL_SERVICE_NAME").or_else(|| resource.remove("service.name"));
        resource.insert("service.name".to_owned(), name.unwrap_or_else(|| "usher".to_owned()));
        resource.insert("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Ok(Some(Self {
            endpoint: endpoint.connect_timeout(SENT_WITHIN),
            headers: pairs(&headers.unwrap_or_default()).collect(),
            resource: resource.into_iter().collect(),
        }))
    }

    pub(super) async fn send(self, trace: ExportTraceServiceRequest) -> Result<(), String> {
        let mut request = Request::new(trace);
        for (name, value) in &self.headers {
            let name = MetadataKey::from_bytes(name.to_lowercase().as_bytes()).map_err(|error| error.to_string())?;
            let value = MetadataValue::try_from(value.as_str()).map_err(|error| error.to_string())?;
            request.metadata_mut().insert(name, value);
        }
        let send = async {
            let channel = self.endpoint.connect().await.map_err(|error| chain(&error))?;
            let answer = TraceServiceClient::new(channel).export(request).await;
            let answer = answer.map_err(|status| status.message().to_owned())?.into_inner();
            match answer.partial_success.filter(|partial| partial.rejected_spans > 0) {
                Some(partial) => {
                    Err(format!("{} spans were not taken: {}", partial.rejected_spans, partial.error_message))
                }
                None => Ok(()),
            }
        };
        timeout(SENT_WITHIN, send).await.unwrap_or_else(|_| Err(format!("no answer within {SENT_WITHIN:?}")))
    }
}

/// `KEY=VALUE` with commas between.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    text.split(',').filter_map(pair).filter(|(key, _)| !key.is_empty())
}
