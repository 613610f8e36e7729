#![allow(clippy::disallowed_methods)] // the files that an operator writes

use std::{fs, path::Path};

use clap::Parser as _;
use serde_json::{Value as Json, json};

use super::*;
use crate::{cli::Cli, problem::Kind};

const FILE: &str = "\
name = 'eqiad'
control_plane.machines = ['cp1', 'cp2']
[agents]
certificate = 'client.pem'
key = 'client-key.pem'
ca = 'client.pem'
[agents.addresses]
cp1 = '10.0.0.11:7470'
[load_balancer]
settle = '1500ms'
check = ['lb', 'in-pool', '{node}']
";

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: eqiad, cluster: {server: 'https://k8s.example:6443'}}]
users: [{name: admin, user: {}}]
contexts: [{name: admin@eqiad, context: {cluster: eqiad, user: admin}}]
current-context: admin@eqiad
";

/// A folder with a cluster file, a kubeconfig, and a client's certificate with its key.
fn site_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let client = rcgen::generate_simple_self_signed(["cumin1001".to_owned()]).unwrap();
    for (name, text) in [
        ("cluster.toml", FILE.to_owned()),
        ("kubeconfig", KUBECONFIG.to_owned()),
        ("client.pem", client.cert.pem()),
        ("client-key.pem", client.signing_key.serialize_pem()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// What `usher config check -o json` has to say.
async fn check_in(folder: &Path) -> Result<ConfigCheck, Problem> {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = |name: &str| folder.join(name).display().to_string();
    let file = path("cluster.toml");
    let kubeconfig = path("kubeconfig");
    let typed =
        ["usher", "config", "check", "-o", "json", "--cluster-file", &file, "--kubeconfig", &kubeconfig].to_vec();
    checked(&Cli::try_parse_from(typed).unwrap().global).await
}

#[tokio::test]
async fn json_says_what_usher_would_talk_to() {
    let folder = site_folder();
    let checked = check_in(folder.path()).await.unwrap();
    let mut json = serde_json::to_value(&checked).unwrap();
    assert!(json["clusterFile"].take().as_str().unwrap().ends_with("/cluster.toml"));
    let components = json["components"].take();
    assert_eq!(
        json,
        json!({
            "clusterFile": Json::Null,
            "cluster": "eqiad",
            "server": "https://k8s.example:6443",
            "user": "admin",
            "controlPlane": ["cp1", "cp2"],
            "agents": [
                { "machine": "cp1", "address": "10.0.0.11:7470", "port": 7470, "serverName": "cp1" },
                { "machine": "cp2", "address": Json::Null, "port": 7470, "serverName": "cp2" },
            ],
            "components": Json::Null,
            "loadBalancer": {
                "url": Json::Null,
                "depool": Json::Null,
                "pool": Json::Null,
                "check": ["lb", "in-pool", "{node}"],
                "machines": {},
                "commandTimeoutSeconds": 30.0,
                "settleSeconds": 1.5,
                "shutdownDelayCoversChecks": false,
            },
        })
    );
    assert_eq!(
        components[1],
        json!({
            "name": "kube-controller-manager",
            "unit": "kube-controller-manager.service",
            "lease": "kube-system/kube-controller-manager",
            "keepsLease": true,
        })
    );
}

#[tokio::test]
async fn json_is_refused_for_what_the_table_is_refused_for() {
    for (missing, named) in [("client-key.pem", "client-key.pem"), ("kubeconfig", "kubeconfig")] {
        let folder = site_folder();
        fs::remove_file(folder.path().join(missing)).unwrap();
        let problem = check_in(folder.path()).await.unwrap_err();
        assert_eq!(problem.kind, Kind::Usage, "{problem}");
        assert!(problem.to_string().contains(named), "{problem}");
    }
    let folder = site_folder();
    fs::write(folder.path().join("cluster.toml"), "nmae = 'x'").unwrap();
    let problem = check_in(folder.path()).await.unwrap_err();
    assert!(problem.kind == Kind::Usage && problem.to_string().contains("did you mean \"name\"?"), "{problem}");
}
