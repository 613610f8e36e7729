//! Metrics for Prometheus, over plain HTTP on loopback: an exporter on the node, or a proxy with TLS, fetches them.
//!
//! Off unless the configuration names an address. They hold no ids and no reasons: labels are units alone.

use std::{
    collections::BTreeMap, convert::Infallible, fmt::Write as _, io, net::SocketAddr, sync::Arc, time::Duration,
};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tracing::warn;

use crate::{
    audit::Audit,
    binary::Replaced,
    counters::{BUCKETS, Counted, Counters},
    door::live::Live,
    machine::Machine,
    operations::Operations,
};

/// How long one connection may take. A scrape takes milliseconds, and systemd at most four seconds.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// What the metrics are read from.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) machine: Arc<Machine>,
    pub(crate) live: Arc<Live>,
    pub(crate) operations: Operations,
    pub(crate) audit: Audit,
    pub(crate) counters: Arc<Counters>,
    pub(crate) replaced: Replaced,
}

/// Listens where the configuration says.
#[allow(clippy::disallowed_methods)] // the one place that serves metrics; callers come in by the Door
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

impl Metrics {
    /// Serves one connection after the other: a second scraper waits. Never returns.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                // A peer that is slow or hangs up is nobody's loss.
                Ok((stream, _)) => _ = timeout(SERVED_WITHIN, self.answer(stream)).await,
                Err(error) => {
                    warn!(%error, "a connection for metrics could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn answer(&self, stream: TcpStream) -> Result<(), hyper::Error> {
        let respond = |request: Request<Incoming>| async move { Ok::<_, Infallible>(self.respond(&request).await) };
        http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service_fn(respond)).await
    }

    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        if request.method() != Method::GET || request.uri().path() != "/metrics" {
            let mut nothing = Response::new(Full::from("GET /metrics\n"));
            *nothing.status_mut() = StatusCode::NOT_FOUND;
            return nothing;
        }
        let mut response = Response::new(Full::from(self.text().await));
        let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    async fn text(&self) -> String {
        let config = self.machine.config();
        let seen = self.machine.looks.look(config.units.keys()).await;
        // Off the runtime: a disk that hangs costs the scrape, and nobody else an answer.
        let its = Arc::clone(&self.machine);
        let files = self.machine.disk.run(move || (its.reboot_required().required, its.hold().is_some()));
        let (reboot_required, held_by_file) = files.await.unwrap_or_default();
        let held = held_by_file || !self.operations.holds().is_empty();
        // As the agent counts them: where it is unknown how many there were, none is left.
        let used = self.operations.reboots_within_a_day().ok().and_then(|used| i64::try_from(used).ok());
        let reboots = used.unwrap_or(config.reboots_per_day.into());
        let running = self.operations.running();
        let mut text = Text(String::new());
        text.family("build_info", "The version of the agent that runs.");
        text.labelled("build_info", "version", env!("CARGO_PKG_VERSION"), 1);
        let replaced = self.replaced.now();
        let says = "Whether another binary is installed than the one that runs: the agent executes it once it is idle.";
        text.gauge("binary_replaced", says, i64::from(replaced.is_some()));
        let says = "Whether that other binary would not start, so that the agent goes on with the one that runs.";
        let refused = replaced.is_some_and(|replaced| replaced.problem.is_some());
        text.gauge("binary_refused", says, i64::from(refused));
        text.gauge("operation_in_progress", "Whether an operation runs.", i64::from(running.is_some()));
        if let Some(running) = running {
            let at = running.started_at.as_second();
            text.gauge("operation_start_timestamp_seconds", "When the operation that runs was accepted.", at);
        }
        text.gauge("reboot_required", "Whether an update waits for a reboot.", i64::from(reboot_required));
        text.gauge("reboots_within_a_day", "Reboots by this agent within the last 24 hours.", reboots);
        text.gauge("reboots_allowed", "Reboots that it accepts within 24 hours.", config.reboots_per_day.into());
        text.gauge("held", "Whether a hold forbids changes.", i64::from(held));
        if let Some(at) = self.live.certificate_not_after() {
            let says = "When the agent's certificate expires.";
            text.gauge("tls_certificate_not_after_timestamp_seconds", says, at.as_second());
        }
        let warnings =
            self.live.warnings().len() + self.operations.warnings().len() + usize::from(self.audit.warning().is_some());
        let says = "What is wrong with the agent's files: configuration, certificates, state, audit trail.";
        text.gauge("file_warnings", says, i64::try_from(warnings).unwrap_or(i64::MAX));
        let says = "Whether systemd and login1 have told everything that they were asked.";
        text.gauge("bus_up", says, i64::from(seen.complete));
        text.family("unit_active", "Whether a unit of the agent's configuration runs.");
        for (name, unit) in &seen.units {
            text.labelled("unit_active", "unit", name, unit.is_active().into());
        }
        text.family("unit_start_timestamp_seconds", "When such a unit last became active.");
        for (name, unit) in &seen.units {
            if let Some(since) = unit.active_since {
                text.labelled("unit_start_timestamp_seconds", "unit", name, since.as_second());
            }
        }
        let wanted = i64::try_from(self.operations.wanted_restarts().len()).unwrap_or(i64::MAX);
        text.gauge("restarts_wanted", "Units whose restart somebody on the node waits for.", wanted);
        let in_use = self.live.config_is_in_use();
        let says = "Whether the configuration on disk could be read and is in use.";
        text.gauge("config_last_reload_success", says, i64::from(in_use));
        let says = "When a configuration that could be used was last read: at the agent's start or at a later change.";
        let read_at = self.live.config_read_at().as_second();
        text.gauge("config_last_reload_success_timestamp_seconds", says, read_at);
        let says = "Connections of listed callers and of root on the node that are open now.";
        text.gauge("connections", says, self.counters.connections());
        text.counted(&self.counters.counted());
        text.0
    }
}

/// Prometheus' text format. All of ours begin with `usher_agent_`.
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, says: &str, value: i64) {
        self.family(name, says);
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "usher_agent_{name} {value}");
    }

    fn family(&mut self, name: &str, says: &str) {
        self.family_of("gauge", name, says);
    }

    fn family_of(&mut self, kind: &str, name: &str, says: &str) {
        let _ = writeln!(self.0, "# HELP usher_agent_{name} {says}\n# TYPE usher_agent_{name} {kind}");
    }

    fn counted(&mut self, counted: &Counted) {
        let Counted { calls, refusals, operations, within, took, unannounced, unannounced_reboots } = counted;
        self.family_of("counter", "rpc_requests_total", "Calls that were answered, by method and code of gRPC.");
        for ((method, code), count) in calls {
            let _ = writeln!(self.0, "usher_agent_rpc_requests_total{{method=\"{method}\",code=\"{code}\"}} {count}");
        }
        let says = "Peers and calls that were refused at the door, by reason.";
        self.family_of("counter", "authentication_failures_total", says);
        for (reason, count) in refusals {
            let _ = writeln!(self.0, "usher_agent_authentication_failures_total{{reason=\"{reason}\"}} {count}");
        }
        self.family_of("counter", "operations_total", "Operations that have ended, by action, unit and result.");
        for ((action, unit, succeeded), count) in operations {
            let (unit, result) = (escaped(unit), if *succeeded { "success" } else { "failure" });
            let _ = writeln!(
                self.0,
                "usher_agent_operations_total{{action=\"{action}\",unit=\"{unit}\",result=\"{result}\"}} {count}"
            );
        }
        let name = "operation_duration_seconds";
        self.family_of("histogram", name, "How long operations took.");
        for (bound, count) in BUCKETS.iter().zip(within) {
            let _ = writeln!(self.0, "usher_agent_{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let all: u64 = operations.values().sum();
        let (seconds, infinity) = (took.as_secs_f64(), "+Inf");
        let _ = writeln!(
            self.0,
            "usher_agent_{name}_bucket{{le=\"{infinity}\"}} {all}\nusher_agent_{name}_sum {seconds}\nusher_agent_{name}_count {all}"
        );
        self.unannounced(unannounced, *unannounced_reboots);
    }

    fn unannounced(&mut self, units: &BTreeMap<(String, bool), u64>, reboots: u64) {
        let says =
            "Starts of units that no operation of the agent caused; by systemd itself, or by somebody past usher.";
        self.family_of("counter", "unit_restarts_unannounced_total", says);
        for ((unit, automatic), count) in units {
            let (unit, by) = (escaped(unit), if *automatic { "systemd" } else { "other" });
            let _ =
                writeln!(self.0, "usher_agent_unit_restarts_unannounced_total{{unit=\"{unit}\",by=\"{by}\"}} {count}");
        }
        self.family_of("counter", "reboots_unannounced_total", "Reboots that no operation of the agent caused.");
        let _ = writeln!(self.0, "usher_agent_reboots_unannounced_total {reboots}");
    }

    /// One of a family. Names of units may hold a backslash.
    fn labelled(&mut self, name: &str, label: &str, of: &str, value: i64) {
        let of = escaped(of);
        let _ = writeln!(self.0, "usher_agent_{name}{{{label}=\"{of}\"}} {value}");
    }
}

/// The value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}
