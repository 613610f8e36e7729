//! Single apiservers, past the balancer: is each of them ready?

use std::time::Duration;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, api::ListParams};
use tokio::time::timeout;

use super::retry::error_message;
use super::{Cluster, ClusterError, Readiness};
use crate::text::took;

/// A ready apiserver answers /readyz within milliseconds; etcd's own check in it may take 2 s.
const READYZ_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a single apiserver is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiServerAt {
    /// Its URL without a path.
    pub url: String,
    /// The name that its certificate must carry, if it is neither the one that all carry nor the URL's host.
    pub server_name: Option<String>,
}

impl From<&str> for ApiServerAt {
    fn from(url: &str) -> Self {
        Self { url: url.to_owned(), server_name: None }
    }
}

impl Cluster {
    /// Asks a single apiserver for `/readyz`, over a connection of its own.
    pub async fn readyz(&self, at: &ApiServerAt) -> Readiness {
        self.readyz_within(at, READYZ_TIMEOUT).await
    }

    /// Where each apiserver says that it is, as host and port: what is behind the Service `kubernetes`.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn apiserver_places(&self) -> Result<Vec<(String, u16)>, ClusterError> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), "default");
        let params = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
        let slices = api.list(&params).await.map_err(|source| self.error("list the apiservers' addresses", source))?;
        let of_slice = |slice: EndpointSlice| {
            let port = slice.ports.into_iter().flatten().find_map(|port| u16::try_from(port.port?).ok());
            let addresses = slice.endpoints.into_iter().flat_map(|endpoint| endpoint.addresses);
            addresses.filter_map(|address| Some((address, port?))).collect::<Vec<_>>()
        };
        let mut places: Vec<_> = slices.items.into_iter().flat_map(of_slice).collect();
        places.sort();
        places.dedup();
        Ok(places)
    }

    /// The same, with less patience.
    pub async fn readyz_within(&self, at: &ApiServerAt, limit: Duration) -> Readiness {
        match self.ask_apiserver(at, "/readyz", limit).await {
            Ok(Ok(_)) => Readiness::Ready,
            Ok(Err(kube::Error::Api(status))) => {
                Readiness::NotReady { message: format!("{} {}", status.code, failed_checks(&status.message)) }
            }
            Ok(Err(error)) => Readiness::Unreachable { message: error_message(&error) },
            Err(message) => Readiness::Unreachable { message },
        }
    }

    /// What the apiserver at this place answers to a GET of `path`, over a connection of its own; or why it was not asked, or did not
    /// answer within `limit`. The clock stands still while a credential plugin runs: that says nothing about an apiserver.
    pub(super) async fn ask_apiserver(
        &self,
        at: &ApiServerAt,
        path: &str,
        limit: Duration,
    ) -> Result<kube::Result<String>, String> {
        let client = (self.direct)(at)?;
        loop {
            if let Some(credentials) = &self.credentials {
                credentials.prepare().await;
                credentials.settled().await;
            }
            let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
            match timeout(limit, client.request_text(request)).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.credentials.as_ref().is_some_and(|credentials| credentials.is_renewing()) => {}
                Err(_) => return Err(format!("nothing within {}", took(limit))),
            }
        }
    }
}

/// `/readyz` answers a failure with a line for each check; only those that failed matter here.
fn failed_checks(body: &str) -> String {
    let failed: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    if failed.is_empty() { body.lines().next().unwrap_or_default().to_owned() } else { failed.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::failed_checks;

    #[test]
    fn only_the_failed_checks_of_a_verbose_answer_are_shown() {
        let body = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]shutdown failed: reason withheld\nreadyz check failed";
        assert_eq!(failed_checks(body), "etcd failed: reason withheld, shutdown failed: reason withheld");
        assert_eq!(failed_checks("Unauthorized"), "Unauthorized");
    }
}
