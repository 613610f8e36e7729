//! `usher versions`.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use usher_core::versions::{Instance, Program};
use usher_testkit::{apiserver::fixtures::pod, rig::site::TestSite};

/// The instances of a program as `MACHINE VERSION`, or why it is not known.
fn of(instances: &[Instance], program: Program) -> Vec<String> {
    let line = |instance: &Instance| {
        let version = instance.version.as_deref().or(instance.note.as_deref()).unwrap();
        let replaced = if instance.replaced { " (replaced)" } else { "" };
        format!("{} {version}{replaced}", instance.machine)
    };
    instances.iter().filter(|instance| instance.program == program).map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn apiservers_nodes_pods_packages_and_agents_tell_their_versions() {
    let site = TestSite::start().await;
    site.machine("cp1").has_package("kube-scheduler.service", "kubernetes-master", "1.37.2-1");
    for (name, image) in [("etcd", "registry.example:5000/etcd:3.6.5-0"), ("kube-proxy", "kube-proxy:v1.37.2@sha256:1")]
    {
        let full = format!("kube-system/{name}-cp1");
        let labels = if name == "etcd" { ("tier", "control-plane") } else { ("k8s-app", "kube-proxy") };
        site.api.add(pod(&full).on("cp1").labelled(labels.0, labels.1).labelled("component", name));
        site.api.edit::<Pod>(&full, json!({"spec": {"containers": [{"name": "main", "image": image}]}}));
    }
    let instances = site.world().await.versions().await.unwrap();

    assert_eq!(of(&instances, Program::KubeApiserver), ["cp1 v1.37.2", "cp2 v1.37.2", "cp3 v1.37.2"]);
    let no_package = "its program belongs to no Debian package";
    assert_eq!(
        of(&instances, Program::KubeScheduler),
        ["cp1 1.37.2-1".to_owned(), format!("cp2 {no_package}"), format!("cp3 {no_package}")]
    );
    assert_eq!(of(&instances, Program::Etcd), ["cp1 3.6.5-0"]);
    assert_eq!(of(&instances, Program::KubeProxy), ["cp1 v1.37.2"]);
    assert_eq!(of(&instances, Program::Kubelet).len(), 5);
    assert_eq!(of(&instances, Program::Containerd)[4], "w2 2.4.2");
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(of(&instances, Program::UsherAgent)[0], format!("cp1 {own}"));
    assert_eq!(of(&instances, Program::Usher), [format!(" {own}")]);
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_is_down_is_told_with_the_reason_and_the_others_with_their_versions() {
    let site = TestSite::start().await;
    site.machine("cp2").apiserver().unwrap().stop();
    let instances = site.world().await.versions().await.unwrap();
    let told = of(&instances, Program::KubeApiserver);
    assert_eq!((told[0].as_str(), told[2].as_str()), ("cp1 v1.37.2", "cp3 v1.37.2"));
    assert!(told[1].contains("connection refused"), "{told:?}");
}
