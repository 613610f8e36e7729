//! The in-memory API server as one of the two that are asked.

use kube::Client;
use usher_testkit::apiserver::ApiServer;

use crate::cases::Server;

impl Server for ApiServer {
    fn client(&self) -> Client {
        Self::client(self)
    }

    async fn compact(&self, _version: &str) {
        Self::compact(self);
    }
}
