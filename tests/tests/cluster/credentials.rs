//! Who calls the API, over real sockets and with real credential plugins: how often a plugin runs, and what becomes of work under way
//! when credentials end.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::coordination::v1::Lease;
use rcgen::date_time_ymd;
use tempfile::TempDir;
use tokio::{net::TcpListener, time::sleep};
use usher_coordinator::{
    cluster::{Access, ApiServerAt, Cluster, ClusterError, LockRequest, Readiness},
    facts::Scope,
    problem::Problem,
    site::{Role, Site},
    world::World,
};
use usher_testkit::{
    apiserver::{ApiServer, Endpoint, TlsFiles},
    pki::{Ca, Identity, Names},
};

use super::{seconds, server, site};

/// `give TOKEN` answers with it, `give TOKEN SECONDS` with one that ends after so long.
const PLUGIN: &str = r#"#!/bin/sh
echo run >> RUNS
n=$(grep -c . RUNS)
give() {
    end=$(date -u -d "+${2:-9999}seconds" +%Y-%m-%dT%H:%M:%SZ)
    echo '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",'
    echo "\"status\": {\"token\": \"$1\"${2:+, \"expirationTimestamp\": \"$end\"}}}"
}
SCRIPT
"#;

/// Three apiservers without TLS, and the tokens that they know.
struct Known {
    api: ApiServer,
    endpoints: Vec<Endpoint>,
    tokens: Arc<Mutex<BTreeSet<String>>>,
    folder: TempDir,
}

impl Known {
    async fn start(tokens: &[&str]) -> Self {
        let api = server();
        let tokens: BTreeSet<_> = tokens.iter().map(|&token| token.to_owned()).collect();
        let tokens = Arc::new(Mutex::new(tokens));
        let mut endpoints = Vec::new();
        for _ in 0..3 {
            let known = Arc::clone(&tokens);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let is_known = move |token: &str| known.lock().unwrap().contains(token);
            endpoints.push(api.serve_tokens(listener, is_known).unwrap());
        }
        Self { api, endpoints, tokens, folder: TempDir::new().unwrap() }
    }

    fn knows_only(&self, token: &str) {
        *self.tokens.lock().unwrap() = BTreeSet::from([token.to_owned()]);
    }

    fn url(&self, number: usize) -> String {
        format!("http://{}", self.endpoints[number].address())
    }

    fn at(&self, number: usize) -> ApiServerAt {
        self.url(number).as_str().into()
    }

    /// A site whose machines have one of the apiservers each.
    fn site(&self) -> Site {
        let mut site = site();
        for component in &mut site.components {
            if let Role::ApiServer { url, .. } = &mut component.role {
                *url = self.url(1);
            }
        }
        site
    }

    /// A kubeconfig with this user.
    fn access(&self, user: &str) -> Access {
        let path = self.folder.path().join("kubeconfig");
        let text = format!(
            "{{clusters: [{{name: c, cluster: {{server: '{}'}}}}], users: [{{name: u, user: {user}}}],
              contexts: [{{name: x, context: {{cluster: c, user: u}}}}], current-context: x}}",
            self.url(0)
        );
        fs::write(&path, text).unwrap();
        Access { kubeconfig: Some(path), ..Access::default() }
    }

    /// A plugin that counts its runs and goes on as this script does, in which `$n` is the number of the run.
    fn plugin(&self, script: &str) -> Access {
        let program = self.folder.path().join("plugin");
        let text = PLUGIN.replace("RUNS", &self.runs_file().display().to_string()).replace("SCRIPT", script);
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let _ = fs::remove_file(self.runs_file());
        self.access("{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}}")
    }

    fn runs_file(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.runs_file()).unwrap_or_default().lines().count()
    }

    async fn cluster(&self, access: &Access) -> Cluster {
        Cluster::connect(None, access).await.unwrap().with_credentials().await
    }
}

fn lock_request() -> LockRequest {
    LockRequest {
        operation: "op1".into(),
        requester: "ann@host".into(),
        reason: "test".into(),
        task_id: None,
        epochs: [].into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plugin_runs_once_for_all_that_status_asks_however_slow_it_is_and_no_apiserver_is_blamed() {
    let known = Known::start(&["t1"]).await;
    let access = known.plugin("sleep 3; give t1");
    let cluster = known.cluster(&access).await;
    let world = World::open(known.site(), cluster).await.unwrap();
    let scope = Scope { control_plane: true, all: true, ..Scope::default() };
    let (version, lock, facts) = tokio::join!(world.version_at_once(), world.lock_at_once(), world.look(&scope));
    let facts = facts.unwrap();
    assert!(version.is_ok() && lock.is_ok() && facts.apiservers.len() == 3, "{version:?} {lock:?}");
    assert!(facts.apiservers.values().all(Readiness::is_ready), "{:?}", facts.apiservers);
    assert_eq!(known.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_apiserver_is_not_blamed_for_a_plugin_that_has_to_run_again() {
    let known = Known::start(&["t1", "t2"]).await;
    // The second run is slower than an apiserver may be.
    let access = known.plugin("test $n = 1 || sleep 3; give t$n");
    let cluster = known.cluster(&access).await;
    assert!(cluster.readyz(&known.at(1)).await.is_ready());
    // A credential is not asked for again so soon after it was given.
    sleep(seconds(10)).await;
    known.knows_only("t2");
    let (first, second) = (known.at(1), known.at(2));
    let both = tokio::join!(
        cluster.readyz_within(&first, Duration::from_secs(1)),
        cluster.readyz_within(&second, Duration::from_secs(1))
    );
    assert!(both.0.is_ready() && both.1.is_ready(), "{both:?}");
    assert_eq!(known.runs(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_ends_in_mid_operation_is_renewed_before_and_the_lock_is_kept() {
    let known = Known::start(&["t1", "t2", "t3", "t4", "t5"]).await;
    // 16 s each: used for 6 s of them, and renewed in the background from the second on.
    let access = known.plugin("test $n = 1 || sleep 2; give t$n 16");
    let cluster = known.cluster(&access).await;
    let lock = cluster.acquire_lock(&lock_request()).await.unwrap();
    for _ in 0..8 {
        cluster.nodes().await.unwrap();
        sleep(seconds(1)).await;
    }
    assert!((2..=4).contains(&known.runs()), "{}", known.runs());
    // The first one ends for good: what is shown by now is another.
    known.tokens.lock().unwrap().remove("t1");
    assert!(lock.prove().await.unwrap() && lock.is_held());
    lock.release().await.unwrap();
    let holder = known.api.get::<Lease>("kube-system/usher").and_then(|lease| lease.spec?.holder_identity);
    assert_eq!(holder.as_deref(), Some(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_file_and_a_token_in_the_kubeconfig_are_read_again_once_the_old_one_is_refused() {
    let known = Known::start(&["t1"]).await;
    let token = known.folder.path().join("token");
    fs::write(&token, "t1\n").unwrap();
    let from_file = known.cluster(&known.access("{tokenFile: token}")).await;
    from_file.nodes().await.unwrap();
    known.knows_only("t2");
    fs::write(&token, "t2\n").unwrap();
    from_file.nodes().await.unwrap();

    let fixed = known.cluster(&known.access("{token: t2}")).await;
    fixed.nodes().await.unwrap();
    known.knows_only("t3");
    known.access("{token: t3}");
    fixed.nodes().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn credentials_that_have_ended_are_told_as_that_with_what_to_do() {
    let known = Known::start(&["t1"]).await;
    let message = |error: ClusterError| {
        assert!(error.is_unauthenticated() && !error.is_forbidden(), "{error}");
        let problem = Problem::from(error);
        assert!(problem.hints.iter().any(|hint| hint.contains("kubectl auth whoami")), "{problem:?}");
        problem.message
    };
    // At the start.
    let cluster = known.cluster(&known.access("{token: wrong}")).await;
    assert_eq!(
        message(cluster.nodes().await.unwrap_err()),
        "cannot list the nodes: the server does not know you: it refused the token of the user \"u\""
    );
    let cluster = known.cluster(&known.access("{}")).await;
    assert_eq!(
        message(cluster.nodes().await.unwrap_err()),
        "cannot list the nodes: the server does not know you: it refused a request without credentials"
    );
    // In mid-operation, with a plugin that has nothing better.
    let cluster = known.cluster(&known.plugin("give t1")).await;
    cluster.nodes().await.unwrap();
    known.knows_only("another");
    let said = message(cluster.nodes().await.unwrap_err());
    assert!(
        said.starts_with(
            "cannot list the nodes: your credentials have ended: the server refused what the credential plugin "
        ) && said.ends_with("/plugin gave"),
        "{said}"
    );
    assert!(known.runs() <= 2, "{}", known.runs());
    // A plugin that cannot.
    let cluster = known.cluster(&known.plugin("echo 'run: plugin login' >&2; exit 3")).await;
    let error = cluster.nodes().await.unwrap_err();
    let problem = Problem::from(error);
    assert!(problem.message.ends_with("/plugin gave no credentials: exit code 3"), "{problem:?}");
    assert_eq!(problem.details, ["run: plugin login"]);
}

/// A client certificate of this CA that is good until then.
fn client(ca: &Ca, year: i32) -> Identity {
    let names = Names { common_name: "ann", organisations: &["system:masters"], ..Names::default() };
    ca.client_with(&names, |params| params.not_after = date_time_ymd(year, 1, 1)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_that_is_renewed_on_disk_in_mid_operation_is_shown_from_then_on() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let known = Known::start(&[]).await;
    let folder = known.folder.path();
    let (old_ca, new_ca) = (Ca::new("old").unwrap(), Ca::new("new").unwrap());
    let own = Ca::new("server").unwrap();
    own.write(&folder.join("ca.pem")).unwrap();
    let identity = own.server(&["127.0.0.1"]).unwrap();
    let listen = async |port: u16, client_ca: &Ca| {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let tls = TlsFiles { certificate: &identity.certificate, key: &identity.key, client_ca: client_ca.pem() };
        known.api.serve(listener, tls).unwrap()
    };
    let endpoint = listen(0, &old_ca).await;
    let port = endpoint.address().port();
    client(&old_ca, 2090).write(folder, "ann").unwrap();
    let access = known.access("{client-certificate: ann.pem, client-key: ann-key.pem}");
    let access = Access {
        server: Some(format!("https://127.0.0.1:{port}")),
        certificate_authority: Some(folder.join("ca.pem")),
        ..access
    };
    let cluster = known.cluster(&access).await;
    let lock = cluster.acquire_lock(&lock_request()).await.unwrap();

    // The server's idea of a good certificate changes, as time would change it.
    drop(endpoint);
    let listening = async {
        loop {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
                break drop(listener);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(seconds(20), listening).await.unwrap();
    let _endpoint = listen(port, &new_ca).await;
    let renewed = client(&new_ca, 2090);
    // Half of a renewal is not shown.
    fs::write(folder.join("ann.pem"), &renewed.certificate).unwrap();
    sleep(Duration::from_millis(1100)).await;
    let refused = cluster.nodes().await;
    assert!(refused.is_err(), "{refused:?}");
    fs::write(folder.join("ann-key.pem"), &renewed.key).unwrap();
    cluster.nodes().await.unwrap();
    assert!(lock.prove().await.unwrap());
    lock.release().await.unwrap();

    client(&new_ca, 2020).write(folder, "ann").unwrap();
    let expired = known.cluster(&access).await.nodes().await.unwrap_err().to_string();
    let certificate = folder.join("ann.pem");
    let expected = format!(
        "cannot list the nodes: your credentials have ended: the server refused the client certificate {}, valid until 2020-01-01 00:00:00Z",
        certificate.display()
    );
    assert_eq!(expired, expected);
}
