//! A client that never stops: one new connection and one read each 50 ms, through the balancer.

use std::{sync::Arc, thread, time::Duration};

use anyhow::{Context, anyhow, ensure};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls_pki_types::ServerName;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::TlsConnector;

use super::{Bed, SANDBOX_ADDRESS, tls};

/// Twenty new clients a second: a hole of a tenth of a second in the service is seen.
const PERIOD: Duration = Duration::from_millis(50);
/// A client of flesh and blood has given up by then.
const PATIENCE: Duration = Duration::from_secs(5);
/// A read that goes through authentication, authorization and etcd.
const READ: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler";

/// A prober that runs in a thread of its own, so that nothing in a test can slow it down.
#[derive(Debug)]
pub struct Prober {
    stop: oneshot::Sender<()>,
    probes: oneshot::Receiver<Probes>,
}

/// What a prober has seen.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// Reads that were begun.
    pub sent: usize,
    /// Those that failed: when they were begun, and how they ended.
    pub failed: Vec<(Timestamp, String)>,
}

impl Prober {
    /// Starts to probe the bed's balancer.
    ///
    /// # Errors
    /// If the bed's certificates cannot be read.
    pub fn start(bed: &Bed) -> anyhow::Result<Self> {
        let connector = TlsConnector::from(Arc::new(tls::client(&bed.folder().pki(), "ca", "admin")?));
        let (stop, stopped) = oneshot::channel();
        let (report, probes) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Started from a thread in the bed's network, so it lives there too.
        thread::Builder::new().name("prober".into()).spawn(move || {
            let probes = runtime.block_on(probe_until(stopped, connector));
            // Nobody waits for the report if the test has failed meanwhile.
            let _ = report.send(probes);
        })?;
        Ok(Self { stop, probes })
    }

    /// Ends the probing and tells what was seen.
    ///
    /// # Errors
    /// If the prober's thread has ended before.
    pub async fn stop(self) -> anyhow::Result<Probes> {
        let _ = self.stop.send(());
        self.probes.await.context("the prober has ended early")
    }
}

async fn probe_until(mut stopped: oneshot::Receiver<()>, connector: TlsConnector) -> Probes {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (failures, mut failed) = mpsc::unbounded_channel();
    let mut sent = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = ticks.tick() => {
                sent += 1;
                let (connector, failures) = (connector.clone(), failures.clone());
                tokio::spawn(async move {
                    let begun = usher_common::clock::now();
                    let result = timeout(PATIENCE, read(connector)).await;
                    if let Err(error) = result.unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}"))) {
                        let _ = failures.send((begun, format!("{error:#}")));
                    }
                });
            }
        }
    }
    // The channel closes with the last read that is still under way.
    drop(failures);
    let mut probes = Probes { sent, failed: Vec::new() };
    while let Some(failure) = failed.recv().await {
        probes.failed.push(failure);
    }
    probes
}

async fn read(connector: TlsConnector) -> anyhow::Result<()> {
    let tcp = TcpStream::connect((SANDBOX_ADDRESS, 6443)).await.context("connect")?;
    let name = ServerName::try_from(SANDBOX_ADDRESS)?;
    let tls = connector.connect(name, tcp).await.context("TLS")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.context("HTTP")?;
    let connection = tokio::spawn(connection);
    let request =
        http::Request::get(READ).header(http::header::HOST, SANDBOX_ADDRESS).body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await.context("request")?;
    let status = response.status();
    response.into_body().collect().await.context("body")?;
    connection.abort();
    ensure!(status.is_success(), "status {status}");
    Ok(())
}
