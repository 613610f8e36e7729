//! The way to the API as the shipped program takes it: proxies, and a credential plugin that counts its runs.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use usher_testkit::sandbox::{Programs, Sandbox};

use super::programs;

/// Nobody resolves this name but the proxies here.
const NAME: &str = "api.sandbox.invalid";

struct Api {
    sandbox: Sandbox,
    home: tempfile::TempDir,
}

impl Api {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let built = Programs::built_in(programs()).unwrap();
        let sandbox = Sandbox::start(&built, Path::new(env!("CARGO_BIN_EXE_sandbox"))).await.unwrap();
        Self { sandbox, home: tempfile::tempdir().unwrap() }
    }

    fn balancer(&self) -> SocketAddr {
        self.sandbox.url().trim_start_matches("https://").parse().unwrap()
    }

    /// The sandbox's kubeconfig with something else in it.
    fn kubeconfig(&self, change: impl FnOnce(String) -> String) -> PathBuf {
        let path = self.home.path().join("kubeconfig");
        let text = fs::read_to_string(self.sandbox.folder().join("kubeconfig")).unwrap();
        fs::write(&path, change(text)).unwrap();
        path
    }

    fn usher(&self, kubeconfig: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut usher = Command::new(programs().join("usher"));
        // The cluster file names a kubeconfig of its own.
        usher.arg("--kubeconfig").arg(kubeconfig).args(arguments);
        usher.env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        usher.env("USHER_CLUSTER_FILE", self.sandbox.folder().join("cluster.toml"));
        usher.envs(variables.iter().copied()).output().unwrap()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A proxy on loopback that leads every connection to the balancer, and the places that were asked for.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(balancer: SocketAddr, handshake: fn(&mut TcpStream) -> io::Result<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let places = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(mut client), places) = (client, Arc::clone(&places)) else { return };
                thread::spawn(move || -> io::Result<()> {
                    let place = handshake(&mut client)?;
                    places.lock().unwrap().push(place);
                    let server = TcpStream::connect(balancer)?;
                    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
                    thread::spawn(move || io::copy(&mut from_client, &mut to_server));
                    let (mut from_server, mut to_client) = (server, client);
                    io::copy(&mut from_server, &mut to_client).map(drop)
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.dedup();
        asked
    }
}

/// An HTTP proxy, which tells `CONNECT HOST:PORT`.
fn connect(client: &mut TcpStream) -> io::Result<String> {
    let head = connect_head(client)?;
    Ok(head.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

/// One that tells the login and the place.
fn connect_with_login(client: &mut TcpStream) -> io::Result<String> {
    let head = connect_head(client)?;
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.to_owned())
    };
    let login = head.lines().find_map(header).unwrap_or_else(|| "nobody".to_owned());
    Ok(format!("{login} {}", head.split(' ').nth(1).unwrap_or_default()))
}

/// `CONNECT HOST:PORT HTTP/1.1`, headers, an empty line.
fn connect_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// SOCKS5 without authentication (RFC 1928), to a name.
fn socks(client: &mut TcpStream) -> io::Result<String> {
    assert!(methods(client)?.contains(&0));
    client.write_all(&[5, 0])?;
    socks_request(client)
}

/// The same with a user name and a password (RFC 1929), which are told before the place.
fn socks_with_login(client: &mut TcpStream) -> io::Result<String> {
    assert!(methods(client)?.contains(&2));
    client.write_all(&[5, 2])?;
    let text = |client: &mut TcpStream| -> io::Result<String> {
        let mut length = [0];
        client.read_exact(&mut length)?;
        let mut text = vec![0; length[0].into()];
        client.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let mut version = [0];
    let (user, password) = {
        client.read_exact(&mut version)?;
        (text(client)?, text(client)?)
    };
    assert_eq!(version, [1]);
    client.write_all(&[1, 0])?;
    Ok(format!("{user} {password} {}", socks_request(client)?))
}

fn methods(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods)?;
    Ok(methods)
}

fn socks_request(client: &mut TcpStream) -> io::Result<String> {
    let mut request = [0; 5];
    client.read_exact(&mut request)?;
    // Version, CONNECT, reserved, a name, and how long that is.
    assert_eq!(request[..4], [5, 1, 0, 3]);
    let mut name = vec![0; usize::from(request[4]) + 2];
    client.read_exact(&mut name)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let port = name.split_off(name.len() - 2);
    Ok(format!("{}:{}", String::from_utf8_lossy(&name), u16::from_be_bytes([port[0], port[1]])))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_the_api_leads_through_the_proxy_that_kubectl_would_take() {
    let api = Api::start().await;
    let balancer = api.balancer();
    let (tunnel, socks) = (Proxy::start(balancer, connect), Proxy::start(balancer, socks));
    let tunnel_url = format!("http://{}", tunnel.address);
    let by_name = |text: String| {
        let named = format!("server: https://{NAME}:6443\n    tls-server-name: {}", balancer.ip());
        text.replace(&format!("server: https://{balancer}"), &named)
    };
    let nodes = |kubeconfig: &Path, variables: &[(&str, &str)]| {
        let output = api.usher(kubeconfig, variables, &["nodes"]);
        (output.status.success(), text(&output))
    };

    let kubeconfig = api.kubeconfig(by_name);
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let (done, said) = nodes(&kubeconfig, &[(variable, &tunnel_url)]);
        assert!(done && said.contains("w1"), "{said}");
        assert_eq!(tunnel.asked(), [format!("CONNECT {NAME}:6443")]);
    }
    let (done, said) = nodes(&kubeconfig, &[("HTTPS_PROXY", &tunnel_url), ("NO_PROXY", ".sandbox.invalid")]);
    assert!(!done && tunnel.asked().is_empty(), "its name is resolved here then: {said}");

    let kubeconfig = api.kubeconfig(|text| {
        by_name(text)
            .replace("    tls-server-name", &format!("    proxy-url: socks5://{}\n    tls-server-name", socks.address))
    });
    let (done, said) = nodes(&kubeconfig, &[("NO_PROXY", "*"), ("HTTPS_PROXY", &tunnel_url)]);
    assert!(done && said.contains("w1"), "{said}");
    assert_eq!((socks.asked(), tunnel.asked()), (vec![format!("{NAME}:6443")], vec![]));

    let login = Proxy::start(balancer, socks_with_login);
    let url = format!("socks5://ann%40example:s%3Acret@{}", login.address);
    let kubeconfig = api.kubeconfig(by_name);
    let (done, said) = nodes(&kubeconfig, &[("HTTPS_PROXY", &url)]);
    assert!(done && said.contains("w1"), "{said}");
    assert_eq!(login.asked(), [format!("ann@example s:cret {NAME}:6443")]);

    let login = Proxy::start(balancer, connect_with_login);
    let (done, said) =
        nodes(&kubeconfig, &[("HTTPS_PROXY", &format!("http://ann%40example:s%3Acret@{}", login.address))]);
    assert!(done && said.contains("w1"), "{said}");
    // ann@example:s:cret
    assert_eq!(login.asked(), [format!("Basic YW5uQGV4YW1wbGU6czpjcmV0 {NAME}:6443")]);

    // By its address, with a proxy that is dead.
    let kubeconfig = api.kubeconfig(|text| text);
    let dead = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("no_proxy", "10.0.0.0/8,127.0.0.0/8")];
    let (done, said) = nodes(&kubeconfig, &dead);
    assert!(done && said.contains("w1"), "{said}");
    let (done, said) = nodes(&kubeconfig, &[("HTTPS_PROXY", "ftp://127.0.0.1:1")]);
    assert!(done, "loopback needs no proxy: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_runs_a_credential_plugin_once_and_finds_every_apiserver_ready_however_slow_it_is() {
    let api = Api::start().await;
    let folder = api.sandbox.folder();
    let quoted = |name: &str| serde_json::to_string(&fs::read_to_string(folder.join(name)).unwrap()).unwrap();
    let answer = format!(
        r#"{{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "status":
            {{"clientCertificateData": {}, "clientKeyData": {}}}}}"#,
        quoted("client.pem"),
        quoted("client-key.pem")
    );
    let home = api.home.path();
    fs::write(home.join("answer"), answer).unwrap();
    let plugin = home.join("plugin");
    fs::write(&plugin, format!("#!/bin/sh\ncd {}\necho run >> runs\nsleep 3\ncat answer\n", home.display())).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let kubeconfig = api.kubeconfig(|text| {
        let (before, _) = text.split_once("    client-certificate:").unwrap();
        format!("{before}    exec: {{apiVersion: client.authentication.k8s.io/v1beta1, command: ./plugin}}\n")
    });
    let output = api.usher(&kubeconfig, &[], &["status", "-o", "json"]);
    let said = text(&output);
    let runs = fs::read_to_string(home.join("runs")).unwrap().lines().count();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let apiservers = status["apiservers"].as_object().unwrap_or_else(|| panic!("{said}"));
    assert!(apiservers.len() == 3 && apiservers.values().all(|it| it.to_string().contains("\"ready\"")), "{said}");
    assert_eq!((runs, output.status.success()), (1, true), "{said}");

    // The operator hears that it is the login, and what to do.
    fs::write(&plugin, "#!/bin/sh\necho 'the session has expired, run: plugin login' >&2\nexit 1\n").unwrap();
    let output = api.usher(&kubeconfig, &[], &["cordon", "w1", "-r", "test", "--yes"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in
        ["gave no credentials: exit code 1", "the session has expired, run: plugin login", "kubectl auth whoami"]
    {
        assert!(said.contains(part), "{part}\n{said}");
    }
}
