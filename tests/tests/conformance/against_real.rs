//! Keeps the in-memory API server honest: the same calls, through the same client, are made to it and to a real
//! kube-apiserver with its etcd, and must be answered the same.
//!
//! Needs the binaries of the test bed: `tests/machines/binaries.sh` finds or builds them. Hence the cargo feature
//! `machines`, which `make test` sets.

use std::{path::Path, time::Duration};

use tokio::process::Command;
use usher_testkit::{
    apiserver::{
        ApiServer, TlsFiles,
        fixtures::{budget, daemon_set, deployment, node},
    },
    pki::{Ca, Names},
    rig::tables,
};

use crate::{
    cases::{self, Server as _},
    real,
};

#[tokio::test]
async fn a_real_api_server_answers_the_same() {
    let binaries = real::binaries().expect("the binaries of the test bed");
    let real = cases::run(&real::RealServer::start(&binaries).await.expect("a kube-apiserver")).await;
    let double = cases::run(&ApiServer::bare()).await;
    let mut differences = Vec::new();
    for ((case, real), (_, double)) in real.iter().zip(&double) {
        for (real, double) in real.lines().zip(double.lines()).filter(|(real, double)| real != double) {
            differences.push(format!("{case}\n  real    {real}\n  double  {double}"));
        }
        if real.lines().count() != double.lines().count() {
            differences.push(format!("{case}\n  real\n{real}\n  double\n{double}"));
        }
    }
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test]
async fn the_tables_of_drains_hold_on_a_real_api_server() {
    let binaries = real::binaries().expect("the binaries of the test bed");
    let real = real::RealServer::start(&binaries).await.expect("a kube-apiserver");
    tables::filters::hold(&real.client()).await;
    tables::outcomes::hold(&real.client()).await;
}

#[tokio::test]
async fn kubectl_itself_drains_a_node_of_the_double() {
    let kubectl = real::binaries().expect("the binaries of the test bed").join("kubectl");
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api.add(deployment("web/web").replicas(4).pods_stop_after(Duration::from_millis(200)));
    api.add(budget("web/web").max_unavailable(2)).add(daemon_set("kube-system/cni"));
    let ca = Ca::new("test").unwrap();
    let server = ca.server(&["127.0.0.1"]).unwrap();
    let tls = TlsFiles { certificate: &server.certificate, key: &server.key, client_ca: ca.pem() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = api.serve(listener, tls).unwrap();
    ca.client(&Names { common_name: "operator", ..Names::default() }).unwrap().write(folder.path(), "client").unwrap();
    ca.write(&folder.path().join("ca.pem")).unwrap();
    let kubectl = |words: &str| {
        let mut command = Command::new(&kubectl);
        command.arg(format!("--server=https://{}", endpoint.address())).args(access(folder.path()));
        command.args(words.split(' ')).env("HOME", folder.path()).env_remove("KUBECONFIG").kill_on_drop(true);
        async move {
            let output = command.output().await.expect("kubectl");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        }
    };

    tokio::time::sleep(Duration::from_secs(2)).await; // until the pods are ready
    let drained = kubectl("drain w1 --ignore-daemonsets").await;
    assert!(drained.contains("node/w1 cordoned") && drained.contains("node/w1 drained"), "{drained}");
    let nodes = kubectl("get nodes").await;
    assert!(nodes.contains("w1     Ready,SchedulingDisabled   <none>"), "{nodes}");
    let left = kubectl("get pods -A --field-selector spec.nodeName=w1 -o name").await;
    assert!(left.starts_with("pod/cni-") && left.lines().count() == 1, "{left}");
    assert_eq!(kubectl("uncordon w1").await, "node/w1 uncordoned\n");
}

fn access(folder: &Path) -> [String; 3] {
    let flag = |flag: &str, file: &str| format!("--{flag}={}", folder.join(file).display());
    [
        flag("certificate-authority", "ca.pem"),
        flag("client-certificate", "client.pem"),
        flag("client-key", "client-key.pem"),
    ]
}
