//! The process that is the cluster: the API server and all agents, until its standard input ends.

use std::{fs, io::Read as _, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use usher_testkit::{
    apiserver::{ApiServer, TlsFiles},
    pki::{Ca, Identity, Names},
    stub_agents::StubAgents,
};

use super::cluster::{CONTROL_PLANE, add_nodes, add_pods, elect};

/// What this process is asked to be.
pub(crate) const WORD: &str = "serve";

pub(crate) const NODES: usize = 5000;
pub(crate) const PODS: usize = 50_000;

/// How long an agent takes for an answer.
const ANSWERS_IN: Duration = Duration::from_millis(20);

/// The line on standard output that says that all is there.
pub(crate) const READY: &str = "ready";

/// Serves, and writes into `folder` what an operator needs. Says at last that it is ready.
#[expect(clippy::print_stdout, reason = "the process that has started this one waits for the line")]
pub(crate) fn serve(folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let api = ApiServer::bare();
        add_nodes(&api, NODES - CONTROL_PLANE.len(), false);
        add_pods(&api, NODES - CONTROL_PLANE.len(), PODS);
        let _leaders = elect(&api);
        let ca = Ca::new("scale")?;
        let server = ca.server(&["localhost", "127.0.0.1"])?;
        let client =
            ca.client(&Names { common_name: "operator", organisations: &["system:masters"], ..Names::default() })?;
        client.write(folder, "client")?;
        ca.write(&folder.join("ca.pem"))?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let api_port = listener.local_addr()?.port();
        let files = TlsFiles { certificate: &server.certificate, key: &server.key, client_ca: ca.pem() };
        let _endpoint = api.serve(listener, files)?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let agent_port = listener.local_addr()?.port();
        let tls = acceptor(&ca.server(&["*.agents.example"])?, ca.pem())?;
        let agents = StubAgents::new(ANSWERS_IN, |_, _| {});
        tokio::spawn(async move { agents.serve(listener, tls).await });

        fs::write(folder.join("kubeconfig"), kubeconfig(api_port))?;
        fs::write(folder.join("cluster.toml"), cluster_file(api_port, agent_port))?;
        println!("{READY}");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        anyhow::Ok(())
    })
}

fn acceptor(identity: &Identity, client_ca: &str) -> anyhow::Result<TlsAcceptor> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(client_ca.as_bytes()).context("the CA")?)?;
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
    let mut config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // As agents do.
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn kubeconfig(port: u16) -> String {
    format!(
        r"apiVersion: v1
kind: Config
current-context: scale
contexts:
- name: scale
  context: {{cluster: scale, user: operator}}
clusters:
- name: scale
  cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: ca.pem}}
users:
- name: operator
  user: {{client-certificate: client.pem, client-key: client-key.pem}}
"
    )
}

fn cluster_file(api_port: u16, agent_port: u16) -> String {
    format!(
        r#"name = "scale"

[api]
kubeconfig = "kubeconfig"

[control_plane]
machines = ["cp1", "cp2", "cp3"]

[agents]
port = {agent_port}
server_name = "{{node}}.agents.example"
certificate = "client.pem"
key = "client-key.pem"
ca = "ca.pem"

[components.kube-apiserver]
url = "https://127.0.0.1:{api_port}"
"#
    )
}
