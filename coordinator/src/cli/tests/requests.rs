//! A request printed as a command and typed in again is the same request: no flag is lost on the way.

use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Command, names as named};
use crate::request::{AssumedLeader, Connection, Drain, Eviction, Kind, OnNodes, Rebalance, Reboot, Request, Restart};

/// Flags that make no part of a request: they are about this one run, or have become names.
const OF_THE_RUN: [&str; 12] = [
    "selector",
    "nodes-from",
    "exclude",
    "dry-run",
    "yes",
    "help",
    "version",
    "output",
    "no-headers",
    "progress",
    "color",
    "verbose",
];

/// A secret, which is never printed.
const SECRET: &str = "token";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Every flag, none at its default.
fn eviction() -> Eviction {
    let selector = |text: &str| text.parse().unwrap();
    Eviction {
        force: true,
        ignore_daemonsets: false,
        delete_emptydir_data: true,
        grace_period: Some(0),
        drain_timeout: Some(Duration::ZERO),
        pod_selector: Some(selector("app in (web, db),!canary")),
        disable_eviction: true,
        skip_wait_for_delete_timeout: Some(Duration::from_secs(30)),
        chunk_size: 0,
        skip_pods: vec![selector("a=b"), selector("c")],
        wait_for: vec![selector("d")],
        wait_for_jobs: true,
        evict_first: vec![selector("e"), selector("f!=g")],
        surge: vec![selector("h")],
        wait_for_volumes: Some(false),
        kill_after: Some(Duration::from_secs(90)),
        delete_after: Some(Duration::from_millis(1500)),
        allow_namespace: names(&["kube-system", "x"]),
        ignore_verdicts: true,
    }
}

fn connection() -> Connection {
    Connection {
        cluster_file: Some("/etc/my clusters/eqiad.toml".into()),
        kubeconfig: Some("~/.kube/config".into()),
        context: Some("eqiad".into()),
        cluster: Some("c".into()),
        user: Some("u".into()),
        server: Some("https://k8s.example:6443".into()),
        impersonate: Some("ann".into()),
        impersonate_groups: names(&["ops", "dev"]),
        impersonate_uid: Some("1000".into()),
        certificate_authority: Some("ca.pem".into()),
        tls_server_name: Some("k8s.example".into()),
        insecure_skip_tls_verify: true,
        request_timeout: Some(Duration::from_secs(300)),
    }
}

fn kinds() -> Vec<Kind> {
    let assumed = |component: &str, machine: Option<&str>| AssumedLeader {
        component: component.into(),
        machine: machine.map(str::to_owned),
    };
    vec![
        Kind::Restart(Restart {
            components: names(&["kube-apiserver", "kube-scheduler"]),
            wanted: true,
            machines: names(&["cp1", "cp2"]),
            gap: Some(Duration::from_secs(75)),
            handover: Some(false),
            assumed_leaders: vec![assumed("kube-scheduler", Some("cp1")), assumed("kube-controller-manager", None)],
        }),
        Kind::Reboot(Reboot {
            machines: names(&["w1", "w2"]),
            impolite: true,
            keep_cordoned: true,
            handover: Some(true),
            override_blockers: names(&["user:alice", "a backup's lock"]),
            rebalance: true,
            eviction: eviction(),
        }),
        Kind::Cordon(OnNodes { nodes: names(&["w1"]) }),
        Kind::Uncordon(OnNodes { nodes: names(&["w1"]) }),
        Kind::Drain(Drain { nodes: names(&["w1", "w2"]), concurrency: 3, eviction: eviction() }),
        Kind::Rebalance(Rebalance {
            nodes: names(&["w1", "w2"]),
            max_moves: Some(7),
            concurrency: 3,
            pod_selector: eviction().pod_selector,
            skip_pods: eviction().skip_pods,
        }),
    ]
}

fn typed(line: &str) -> Request {
    let cli = Cli::try_parse_from(shell_words::split(line).unwrap()).unwrap_or_else(|error| panic!("{line}\n{error}"));
    let on = |targets: &super::Targets| OnNodes { nodes: named(&targets.nodes) };
    let (kind, change) = match &cli.command {
        Command::Restart(restart) => (restart.to_request(), &restart.change),
        Command::Reboot(reboot) => (reboot.to_request(named(&reboot.targets.nodes)), &reboot.change),
        Command::Cordon(cordon) => (Kind::Cordon(on(&cordon.targets)), &cordon.change),
        Command::Uncordon(uncordon) => (Kind::Uncordon(on(&uncordon.targets)), &uncordon.change),
        Command::Drain(drain) => (drain.to_request(named(&drain.targets.nodes)), &drain.change),
        Command::Rebalance(rebalance) => (rebalance.to_request(named(&rebalance.nodes)), &rebalance.change),
        other => panic!("{other:?}"),
    };
    let reason = change.reason.clone().unwrap();
    Request { kind, reason, task_id: change.task_id.clone(), connection: cli.global.connection() }
}

#[test]
fn a_request_printed_and_typed_in_again_is_the_same() {
    for kind in kinds() {
        for connection in [connection(), Connection::default()] {
            let reason = "kernel `6.1`, isn't \"new\" $PATH".to_owned();
            let request = Request { kind: kind.clone(), reason, task_id: Some("T 1".into()), connection };
            let line = request.command_line();
            assert_eq!(typed(&line), request, "{line}");
        }
    }
}

#[test]
fn a_request_for_many_machines_names_them_as_a_set_and_is_read_back_in_their_order() {
    let many: Vec<_> = (1..=4000).rev().map(|number| format!("w{number}")).chain(["cp1".to_owned()]).collect();
    let components = names(&["kube-scheduler"]);
    let machines = names(&["cp2", "cp3", "cp1", "cp4"]);
    for (kind, expected) in [
        (Kind::Cordon(OnNodes { nodes: names(&["w1", "w2", "w3", "w5"]) }), "usher cordon 'w[1-3,5]' -r x"),
        (Kind::Cordon(OnNodes { nodes: many }), "usher cordon 'w[4000,3999,"),
        (
            Kind::Restart(Restart {
                components,
                wanted: false,
                machines,
                gap: None,
                handover: None,
                assumed_leaders: Vec::new(),
            }),
            "usher restart kube-scheduler --nodes='cp[2-3,1,4]' -r x",
        ),
    ] {
        let request = Request { kind, reason: "x".into(), task_id: None, connection: Connection::default() };
        let line = request.command_line();
        assert!(line.starts_with(expected), "{line}");
        assert_eq!(typed(&line), request, "{line}");
    }
}

#[test]
fn every_flag_of_a_change_is_in_the_command_that_goes_on() {
    for kind in kinds() {
        let request = Request { kind, reason: "x".into(), task_id: Some("T1".into()), connection: connection() };
        let line = request.command_line();
        let cli = Cli::command();
        let change = cli.find_subcommand(request.verb()).unwrap();
        for flag in cli.get_arguments().chain(change.get_arguments()).filter_map(|flag| flag.get_long()) {
            let short = match flag {
                "reason" => " -r ",
                "task-id" => " -t ",
                _ => "",
            };
            let expected = if short.is_empty() { format!(" --{flag}") } else { short.to_owned() };
            let left_out = OF_THE_RUN.contains(&flag) || flag == SECRET;
            assert!(left_out || line.contains(&expected), "{expected} is not in\n{line}");
        }
    }
}
