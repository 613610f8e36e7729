//! The API server's own clock, to compare the times that a server stamped with. This machine's clock may be wrong.

use http::{Request, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::{client::Body, core::Status};
use tokio::time::Instant;
use usher_common::clock;

use super::{Cluster, ClusterError};

/// A `Date` header counts whole seconds: on average the server's clock is half a second further.
const HALF_A_SECOND: SignedDuration = SignedDuration::from_millis(500);

/// The clock of an API server as one of its answers showed it, moved on by the time that has passed here since.
#[derive(Debug, Clone, Copy)]
pub struct ServerClock {
    shown: Timestamp,
    at: Instant,
}

/// What a server says of itself.
#[derive(Debug, Clone)]
pub(super) struct ServerInfo {
    version: String,
    /// None if the answer bore no date, as behind a proxy that strips it.
    clock: Option<ServerClock>,
}

impl ServerClock {
    /// The server's time now, right to within a second and half of the answer's round trip.
    pub fn now(&self) -> Timestamp {
        self.shown + self.at.elapsed()
    }

    /// How far the server's clock is ahead of this machine's; negative if it is behind.
    pub fn offset(&self) -> SignedDuration {
        self.now().duration_since(clock::now())
    }

    fn read(date: &str, asked: Instant, answered: Instant) -> Option<Self> {
        let date = DateTimeParser::new().parse_timestamp(date).ok()?;
        Some(Self { shown: date + HALF_A_SECOND, at: asked + (answered - asked) / 2 })
    }
}

impl Cluster {
    /// The server's version, such as `v1.37.2`.
    ///
    /// # Errors
    ///
    /// If no apiserver answers.
    pub async fn version(&self) -> Result<String, ClusterError> {
        let info = self.server_info().await.map_err(|source| self.error("ask for the server's version", source))?;
        Ok(info.version.clone())
    }

    /// The server's clock, read once for each command; None if no answer shows it.
    pub async fn server_clock(&self) -> Option<ServerClock> {
        self.server_info().await.ok()?.clock
    }

    async fn server_info(&self) -> kube::Result<&ServerInfo> {
        self.info
            .get_or_try_init(async || {
                let request = Request::get("/version").body(Body::empty()).map_err(kube::Error::HttpError)?;
                let asked = Instant::now();
                // One try: callers can do without the version and the clock.
                let answer = self.client.send(request).await?;
                let answered = Instant::now();
                let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
                let clock = date.and_then(|date| ServerClock::read(date, asked, answered));
                let code = answer.status();
                let body = answer.into_body().collect_bytes().await?;
                if !code.is_success() {
                    let message = String::from_utf8_lossy(&body);
                    return Err(kube::Error::Api(Status::failure(&message, "").with_code(code.as_u16()).boxed()));
                }
                let info: Info = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
                Ok(ServerInfo { version: info.git_version, clock })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_servers_clock_moves_on_from_the_middle_of_the_answer() {
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        let clock = ServerClock::read("Tue, 10 Nov 2026 12:00:00 GMT", asked, Instant::now()).unwrap();
        assert_eq!(clock.now(), "2026-11-10T12:00:01.5Z".parse().unwrap());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(), "2026-11-10T12:01:01.5Z".parse().unwrap());
    }
}
