//! From a kubeconfig and kubectl's flags to a connection.

mod entry;

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, header};
use tokio::time::timeout;

use self::entry::Entry;
use super::{
    Cluster,
    access::{Access, ConnectError},
    credentials::{ClientError, Clients},
    kubeconfig::{self, Destination},
    proxy::Proxies,
};

/// A new connection is refused or taken at once within a data centre.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than a watch is asked to last (20 s), so that only a dead connection runs into it.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Who calls, in the API server's audit log; `kube` sends nothing by itself.
const USER_AGENT: &str = concat!("usher/", env!("CARGO_PKG_VERSION"));

/// How long a credential plugin may take until a notice says what usher waits for.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// Names that distributions give every cluster, so that they say nothing about which one it is: kubeadm's, and that of k3s.
const NO_NAMES: [&str; 2] = ["kubernetes", "default"];

impl Cluster {
    /// Connects by `access`. `name` is what the operator calls the cluster; unset, it is what the kubeconfig calls it.
    ///
    /// # Errors
    ///
    /// If there is no usable kubeconfig, or it leads to a cluster with another name. Whether the API answers is not tried here, and
    /// no credential plugin runs.
    pub async fn connect(name: Option<&str>, access: &Access) -> Result<Self, ConnectError> {
        let file = kubeconfig::read(access.kubeconfig.as_deref())?;
        let found = Destination::of(file.as_ref(), access);
        agree(name, &found, access)?;
        let Entry { mut config, proxy_url, credentials } = Entry::read(file.as_ref(), access)?;
        // kube would retry a 429 by itself, 15 times: "blocked by a budget" must be seen at once.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(access.request_timeout.filter(|limit| !limit.is_zero()).unwrap_or(READ_TIMEOUT));
        config.reset_reader_on_write = true;
        config.headers.push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
        let proxies = Proxies::of(proxy_url);
        config.proxy_url = proxies.on_the_way_to(&config.cluster_url)?;
        let server = config.cluster_url.to_string();
        let clients = Arc::new(Clients::new(config, proxies, Arc::clone(&credentials)));
        let client = clients.main().map_err(|error| match error {
            ClientError::Credentials(error) => error.into(),
            ClientError::Config(error) => ConnectError::Client(error),
        })?;
        Ok(Self {
            client,
            name: name.map(str::to_owned).or(found.cluster).unwrap_or_else(|| "kubernetes".to_owned()).into(),
            server: server.trim_end_matches('/').into(),
            user: found.user.map(Into::into),
            direct: Arc::new(move |at| clients.direct(at)),
            credentials: Some(credentials),
            info: Arc::default(),
            notices: None,
        })
    }

    /// The same with the caller's credentials at hand: a plugin that asks the operator, or takes its time, runs now and under no
    /// time limit of a request. If it fails, the first request says so.
    pub async fn with_credentials(self) -> Self {
        if let Some(credentials) = &self.credentials {
            let mut prepared = std::pin::pin!(credentials.prepare());
            if timeout(NOTICE_AFTER, prepared.as_mut()).await.is_err() {
                self.notice("waiting for the credential plugin of the kubeconfig");
                prepared.await;
            }
        }
        self
    }
}

/// Checks that the cluster file and the kubeconfig describe one cluster. With the Nodes of one and the agents of another, usher would
/// drain one machine and reboot another of the same name.
fn agree(site: Option<&str>, found: &Destination, access: &Access) -> Result<(), ConnectError> {
    // A server's URL on the command line leads elsewhere than the kubeconfig.
    let (Some(site), Some(cluster), None) = (site, &found.cluster, &access.server) else { return Ok(()) };
    if access.is_the_sites
        || cluster == site
        || access.aliases.contains(cluster)
        || NO_NAMES.contains(&cluster.as_str())
    {
        return Ok(());
    }
    Err(ConnectError::AnotherCluster {
        site: site.to_owned(),
        kubeconfig: cluster.clone(),
        context: found.context.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // real sockets and files

    use std::fs;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::{Access, Cluster, ConnectError};

    /// A request as the server gets it.
    async fn request() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let text = "{clusters: [{name: c, cluster: {server: SERVER}}], users: [{name: u, user: {}}],
            contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}";
        fs::write(&kubeconfig, text.replace("SERVER", &server)).unwrap();

        let access = Access { kubeconfig: Some(kubeconfig), ..Access::default() };
        let cluster = Cluster::connect(None, &access).await.unwrap();
        let asked = async { cluster.client().apiserver_version().await };
        let answered = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.unwrap();
            socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        tokio::join!(asked, answered).1
    }

    #[tokio::test]
    async fn the_audit_log_can_tell_who_called() {
        let request = request().await;
        assert!(request.contains("user-agent: usher/"), "{request}");
    }

    #[tokio::test]
    async fn a_list_of_thousands_of_nodes_may_come_compressed() {
        let request = request().await;
        assert!(request.contains("accept-encoding: gzip"), "{request}");
    }

    #[tokio::test]
    async fn a_kubeconfig_of_another_cluster_than_the_files_is_refused_unless_the_file_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |cluster: &str| {
            let path = folder.path().join(cluster);
            let text = "{clusters: [{name: C, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {}}],
                contexts: [{name: x, context: {cluster: C, user: u}}], current-context: x}";
            fs::write(&path, text.replace('C', cluster)).unwrap();
            Access { kubeconfig: Some(path), ..Access::default() }
        };
        let sites = |access: Access| Access { is_the_sites: true, ..access };
        let server = |access: Access| Access { server: Some("http://127.0.0.1:2".into()), ..access };
        for (what, name, access, is_refused) in [
            ("the same name", Some("eqiad"), file("eqiad"), false),
            ("the file has no name", None, file("codfw"), false),
            ("another name", Some("eqiad"), file("codfw"), true),
            ("another name, and the file names the context", Some("eqiad"), sites(file("codfw")), false),
            ("another name, and a server by hand", Some("eqiad"), server(file("codfw")), false),
            ("kubeadm's name for every cluster", Some("eqiad"), file("kubernetes"), false),
        ] {
            let connected = Cluster::connect(name, &access).await;
            let refused = matches!(&connected, Err(ConnectError::AnotherCluster { context: Some(context), .. }) if context == "x");
            assert_eq!(refused, is_refused, "{what}: {connected:?}");
            assert_eq!(connected.is_err(), is_refused, "{what}: {connected:?}");
        }
    }
}
