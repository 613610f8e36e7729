use std::io::{self, Write};

use http::{Method, Request, Response};
use kube::client::Body;
use tracing::Level;

use super::*;

/// A server that stores the lock once, and fails to renew it.
fn cluster() -> Cluster {
    let service = tower::service_fn(async |request: Request<Body>| {
        let status = |code: u16, reason: &str| {
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})
                .to_string()
        };
        let (code, body) = match *request.method() {
            Method::GET => (404, status(404, "NotFound").into()),
            Method::POST => (201, request.into_body().collect_bytes().await.map_err(io::Error::other)?),
            _ => (500, status(500, "InternalError").into()),
        };
        Response::builder().status(code).body(Body::from(body.to_vec())).map_err(io::Error::other)
    });
    Cluster::over(kube::Client::new(service, "default"), "test", "memory")
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_and_will_be_tried_again_is_no_news_to_the_operator() {
    let log = Log::default();
    let writer = log.clone();
    let logs = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_ansi(false);
    let _logs = tracing::subscriber::set_default(logs.with_writer(move || writer.clone()).finish());
    let request = LockRequest {
        operation: "op1".to_owned(),
        requester: "ann@host".to_owned(),
        reason: "test".to_owned(),
        task_id: None,
        epochs: BTreeMap::new(),
    };
    let lock = cluster().acquire_lock(&request).await.unwrap();
    sleep(LOST_AFTER - Duration::from_secs(1)).await;
    assert!(lock.is_held());
    let text = log.text();
    let failed: Vec<_> = text.lines().filter(|line| line.contains("the lock was not renewed")).collect();
    assert!(failed.len() > 10, "{text}");
    assert!(text.lines().all(|line| line.contains(" DEBUG ")), "{text}");
}
