#![allow(clippy::disallowed_methods)] // the files that an operator writes

use std::fs;

use clap::Parser as _;

use super::*;
use crate::cli::Cli;

const FILE: &str = "\
name = 'eqiad'
[agents.addresses]
cp1 = '10.0.0.11:7470'
[load_balancer]
pool = ['lb', 'ready', '{node}']
depool = ['lb', 'drain', '{node}']
[defaults]
gap = '1m 30s'
";

/// What `usher config view` with these flags has to show of this file.
fn shown(text: &str, flags: &[&str], kubeconfig: Option<&str>, show: impl Fn(&View<'_>) -> String) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.toml");
    fs::write(&path, text).unwrap();
    let sites = site_file::Sites::read(&site_file::Place::Named(path.clone())).unwrap();
    let record = sites.entries.into_iter().next().unwrap().read.unwrap().record;
    let cli = Cli::try_parse_from(["usher", "config", "view"].iter().chain(flags)).unwrap();
    let overrides = overrides(&cli.global, &record, kubeconfig.map(str::to_owned));
    let view = View { record: &record, overrides, path: Some(&path), show_origin: flags.contains(&"--show-origin") };
    show(&view).replace(&folder.path().display().to_string(), "/site")
}

#[test]
fn what_is_shown_is_a_cluster_file_that_means_the_same() {
    let text = shown(FILE, &[], None, |view| view.toml());
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        site_file::load(&folder.path().join(name)).unwrap()
    };
    assert_eq!(load("shown.toml", &text), load("file.toml", FILE), "{text}");
}

#[test]
fn every_value_says_where_it_comes_from() {
    let text = shown(FILE, &["--show-origin", "--context", "admin"], Some("/kube/config"), |view| view.toml());
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "name = \"eqiad\" # /site/cluster.toml:1",
        "kubeconfig = \"/kube/config\" # environment KUBECONFIG",
        "context = \"admin\" # flag --context",
        "# machines # unset: the Nodes with the label node-role.kubernetes.io/control-plane",
        "port = 7470 # default",
        "cp1 = \"10.0.0.11:7470\" # /site/cluster.toml:3",
        "depool = [\"lb\", \"drain\", \"{node}\"] # /site/cluster.toml:6",
        "gap = \"1m30s\" # /site/cluster.toml:8",
        "settle = \"15s\" # default",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{text}");
    }
}

#[test]
fn the_flag_wins_over_the_file_and_the_file_over_the_variable() {
    let file = "[api]\nkubeconfig = 'file'";
    let line = |flags: &[&str]| {
        let text = shown(file, flags, Some("variable"), |view| view.toml());
        let line = text.lines().find(|line| line.starts_with("kubeconfig")).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line(&["--show-origin"]), "kubeconfig = \"/site/file\" # /site/cluster.toml:2");
    assert_eq!(line(&["--show-origin", "--kubeconfig", "flag"]), "kubeconfig = \"flag\" # flag --kubeconfig");
}

#[test]
fn json_has_camel_case_keys_and_seconds() {
    let text = shown(FILE, &["--show-origin"], None, |view| view.json().to_string());
    let json: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(json["clusterFile"], "/site/cluster.toml");
    assert_eq!(json["config"]["defaults"]["gap"], json!(90.0));
    assert_eq!(json["config"]["drain"]["waitForVolumes"], json!(true));
    assert_eq!(json["config"]["components"]["kube-controller-manager"]["keepsLease"], json!(true));
    assert_eq!(json["config"]["agents"]["addresses"]["cp1"], "10.0.0.11:7470");
    assert_eq!(json["config"]["loadBalancer"]["pool"], json!(["lb", "ready", "{node}"]));
    assert_eq!(json["origins"]["defaults.gap"], "/site/cluster.toml:8");
    assert_eq!(json["origins"]["defaults.settle"], "default");
}
