//! Apiservers whose certificates carry a name of their own, over real sockets.

use std::fs;

use tempfile::TempDir;
use tokio::net::TcpListener;
use usher_coordinator::{
    cluster::{Access, Cluster, Readiness},
    site::{Role, Site},
    world::World,
};
use usher_testkit::{
    apiserver::{ApiServer, Endpoint, TlsFiles},
    pki::{Ca, Names},
};

use super::{server, site};

/// An apiserver on loopback whose certificate carries this name alone.
async fn serve(api: &ApiServer, ca: &Ca, name: &str) -> Endpoint {
    let identity = ca.server(&[name]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = TlsFiles { certificate: &identity.certificate, key: &identity.key, client_ca: ca.pem() };
    api.serve(listener, tls).unwrap()
}

/// A kubeconfig that leads to `api.example`, which is on loopback.
fn access(folder: &TempDir, ca: &Ca, api: &Endpoint) -> Access {
    let names = Names { common_name: "ann", organisations: &["system:masters"], ..Names::default() };
    ca.client(&names).unwrap().write(folder.path(), "ann").unwrap();
    ca.write(&folder.path().join("ca.pem")).unwrap();
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "{{clusters: [{{name: c, cluster: {{server: 'https://{}', certificate-authority: ca.pem, tls-server-name: api.example}}}}],
          users: [{{name: u, user: {{client-certificate: ann.pem, client-key: ann-key.pem}}}}],
          contexts: [{{name: x, context: {{cluster: c, user: u}}}}], current-context: x}}",
        api.address()
    );
    fs::write(&path, text).unwrap();
    Access { kubeconfig: Some(path), ..Access::default() }
}

/// A site all of whose machines have the apiserver at this endpoint.
fn site_with(apiserver: &Endpoint, server_name: Option<&str>) -> Site {
    let mut site = site();
    for component in &mut site.components {
        if component.is_apiserver() {
            let (url, server_name) = (format!("https://{}", apiserver.address()), server_name.map(str::to_owned));
            component.role = Role::ApiServer { url, server_name };
        }
    }
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_apiserver_is_asked_for_the_name_that_the_cluster_file_gives_it_and_not_for_the_kubeconfigs() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (api, ca, folder) = (server(), Ca::new("cluster").unwrap(), TempDir::new().unwrap());
    let (balancer, apiserver) = (serve(&api, &ca, "api.example").await, serve(&api, &ca, "cp1.example").await);
    let access = access(&folder, &ca, &balancer);
    for (server_name, machine, is_believed) in [
        (Some("{node}.example"), "cp1", true),
        (Some("cp1.example"), "cp2", true),
        (Some("{node}.example"), "cp2", false),
        (None, "cp1", false),
    ] {
        let cluster = Cluster::connect(None, &access).await.unwrap();
        let world = World::open(site_with(&apiserver, server_name), cluster).await.unwrap();
        let readiness = world.readiness_of(machine).await.unwrap();
        let what = format!("{server_name:?} of {machine}: {readiness}");
        match &readiness {
            Readiness::Unreachable { message } => assert!(!is_believed && message.contains("certificate"), "{what}"),
            _ => assert!(is_believed && readiness.is_ready(), "{what}"),
        }
    }
}
