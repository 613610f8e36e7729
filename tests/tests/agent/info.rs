//! What the agent tells of its node.

use std::{fs, time::Duration};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;
use usher_agent::disk::MemoryDisk;
use usher_proto::{
    reason,
    v1::{BlockerKind, GetNodeRequest, ListOperationsRequest, OperationState, Order, WatchOperationRequest},
};

use usher_testkit::{
    pki::Names,
    rig::{
        agent::{MISSING, Rig, UNIT, order, refused, succeeded},
        until::until,
    },
};

use super::streams::start_in_memory;

#[tokio::test]
async fn a_run_of_dpkg_is_told_by_the_lock_that_it_holds() {
    let rig = Rig::new().await;
    let lock = rig.path().join("dpkg/lock-frontend");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let file = fs::File::create(&lock).unwrap();
    let mut alice = rig.operator().await;
    assert_eq!(alice.node().await.lock_files, [""; 0], "it is always there");

    let whole = libc::flock {
        l_type: libc::F_WRLCK.try_into().unwrap(),
        l_whence: libc::SEEK_SET.try_into().unwrap(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&whole)).unwrap();
    assert_eq!(alice.node().await.lock_files, [lock.display().to_string()]);
    drop(file);
    assert_eq!(alice.node().await.lock_files, [""; 0]);
}

#[tokio::test]
async fn a_node_is_told_whole() {
    let rig = Rig::with("[units.'ssh.service'.probe]\nurl = 'https://127.0.0.1:1/x'\nverify = false\n").await;
    rig.systemd.add_unit("ssh.service");
    rig.systemd.set_unit(UNIT, |unit| unit.needs_daemon_reload = true);
    rig.systemd.inhibit("shutdown:sleep", "apt", "an upgrade runs", "block");
    rig.systemd.inhibit("idle", "player", "music", "block");
    rig.systemd.log_in("bob", "user", "online");
    rig.systemd.log_in("gdm", "greeter", "active");
    let write = |name: &str, text: &str| {
        let path = rig.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("reboot-required", "*** System restart required ***\n");
    write("reboot-required.pkgs", "linux-image-6.1.0-31-amd64\nlibc6\nlibc6\n");
    write("puppet.lock", "42");
    write("boot/vmlinuz-6.1.0-9-amd64", "");
    write("boot/vmlinuz-6.1.0-31-amd64", "");
    write("boot/vmlinuz-old", "");

    let node = rig.viewer().await.node().await;
    assert_eq!((node.name.as_str(), node.boot_id.as_str()), ("node-1", "boot-1"));
    assert_eq!(node.agent_version, env!("CARGO_PKG_VERSION"));
    assert!(!node.hostname.is_empty() && !node.kernel_running.is_empty());
    assert_eq!(node.kernel_installed, "6.1.0-31-amd64");
    assert_eq!(node.booted_at.unwrap().seconds, 1_760_000_000);
    let required = node.reboot_required.unwrap();
    assert_eq!(
        (required.required, required.packages),
        (true, vec!["libc6".into(), "linux-image-6.1.0-31-amd64".into()])
    );

    let units: Vec<_> = node.units.iter().map(|unit| (unit.name.as_str(), unit.load_state.as_str())).collect();
    assert_eq!(units, [(MISSING, "not-found"), (UNIT, "loaded"), ("ssh.service", "loaded")]);
    let unit = &node.units[1];
    assert_eq!((unit.active_state.as_str(), unit.sub_state.as_str()), ("active", "running"));
    assert_eq!((unit.invocation_id.as_str(), unit.main_pid), (rig.invocation.as_str(), 4242));
    assert!(unit.needs_daemon_reload && unit.active_since.is_some() && unit.probe_url.is_empty());
    assert_eq!(node.units[2].probe_url, "https://127.0.0.1:1/x");

    let inhibitors: Vec<_> = node.inhibitors.iter().map(|one| (one.who.as_str(), one.mode.as_str())).collect();
    assert_eq!(inhibitors, [("apt", "block")]);
    let sessions: Vec<_> = node.sessions.iter().map(|one| one.user.as_str()).collect();
    assert_eq!(sessions, ["bob"]);
    assert_eq!(node.lock_files.len(), 1);
    assert!(node.hold.is_none() && node.current_operation.is_none());
    assert_eq!(node.warnings, [format!("{MISSING} is in the agent's configuration, but systemd knows no such unit")]);
    assert!(node.certificate_not_after.unwrap().seconds > node.now.unwrap().seconds);
}

#[tokio::test(start_paused = true)]
async fn a_folder_of_lock_files_that_the_agent_may_not_see_is_one_warning_with_what_to_do() {
    let mut rig = Rig::without_agent("");
    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let locks = "lock_files = ['closed/run.lock', 'closed/disabled.lock', 'open/run.lock']";
    fs::write(&file, text.replace("lock_files = ['puppet.lock']", locks)).unwrap();
    let disk = MemoryDisk::default();
    let present = rig.path().join("open/run.lock");
    for (path, content) in [(&rig.path().join("boot_id"), "boot-1"), (&present, "42")] {
        disk.write(path, content).unwrap();
    }
    let closed = rig.path().join("closed");
    disk.close_folder(&closed);
    let node = start_in_memory(&mut rig, &disk).await.node().await;
    assert_eq!(node.lock_files, [present.display().to_string()]);
    let told: Vec<_> = node.warnings.iter().filter(|warning| warning.contains("lock_files")).collect();
    assert_eq!(told.len(), 1, "{:?}", node.warnings);
    let expected = format!("the agent may not see the lock_files in {}: give its unit a drop-in", closed.display());
    assert!(told[0].starts_with(&expected), "{told:?}");
    assert!(told[0].contains("SupplementaryGroups="), "{told:?}");
}

#[tokio::test]
async fn an_alias_in_the_configuration_is_a_warning_with_the_units_own_name() {
    let rig = Rig::with("[units.'kubelet-old.service']\n").await;
    rig.systemd.add_unit("kubelet.service");
    rig.systemd.add_alias("kubelet-old.service", "kubelet.service");
    let node = rig.viewer().await.node().await;
    let told: Vec<_> = node.warnings.iter().filter(|warning| warning.contains("alias")).collect();
    assert_eq!(told.len(), 1, "{:?}", node.warnings);
    assert!(told[0].starts_with("kubelet-old.service in the agent's configuration is an alias of kubelet.service: "));
    assert!(told[0].contains("Write kubelet.service there"), "{told:?}");
    let unit = node.units.iter().find(|unit| unit.name == "kubelet-old.service").unwrap();
    assert_eq!((unit.load_state.as_str(), unit.active_state.as_str()), ("loaded", "active"));
}

#[tokio::test]
async fn what_forbids_a_reboot_is_told_with_the_names_that_override_it() {
    let rig = Rig::new().await;
    rig.systemd.inhibit("shutdown:sleep", "apt", "an upgrade runs", "block");
    rig.systemd.inhibit("shutdown", "desktop", "unsaved files", "block-weak");
    rig.systemd.inhibit("shutdown", "kubelet", "graceful", "delay");
    rig.systemd.inhibit("sleep", "player", "music", "block");
    rig.systemd.log_in("bob", "user", "active");
    rig.systemd.log_in("bob", "user-early", "online");
    rig.systemd.log_in("carol", "user", "closing");
    rig.systemd.log_in("gdm", "greeter", "active");

    let blockers = rig.viewer().await.node().await.blockers;
    let told: Vec<_> = blockers.iter().map(|blocker| (blocker.kind(), blocker.name.as_str())).collect();
    let expected =
        [(BlockerKind::Inhibitor, "apt"), (BlockerKind::Inhibitor, "desktop"), (BlockerKind::User, "user:bob")];
    assert_eq!(told, expected);
    assert_eq!(blockers[0].message, "\"apt\" inhibits a shutdown: an upgrade runs (process 4711)");
    assert_eq!(blockers[2].message, "bob is logged in");

    let mut alice = rig.operator().await;
    let names: Vec<_> = blockers.iter().map(|blocker| blocker.name.as_str()).collect();
    for missing in &names {
        let others: Vec<_> = names.iter().copied().filter(|name| name != missing).collect();
        let status = alice.reboot(dry("a"), "boot-1", &others).await.unwrap_err();
        assert_eq!(refused(&status, "blockers").2, *missing);
    }
    alice.reboot(dry("a"), "boot-1", &names).await.expect("all of them are overridden");
}

#[tokio::test]
async fn what_local_users_write_into_inhibitors_cannot_steer_a_terminal_nor_look_like_two_blockers() {
    let rig = Rig::new().await;
    rig.systemd.inhibit("shutdown", "apt\nuser:bob", "\u{1b}[2Jupgrade", "block");
    let mut alice = rig.operator().await;
    let node = alice.node().await;
    assert_eq!((node.inhibitors[0].who.as_str(), node.inhibitors[0].why.as_str()), ("apt?user:bob", "?[2Jupgrade"));
    let status = alice.reboot(dry("a"), "boot-1", &["apt", "user:bob"]).await.unwrap_err();
    assert_eq!(refused(&status, "blockers").2, "apt?user:bob");
    alice.reboot(dry("a"), "boot-1", &["apt?user:bob"]).await.expect("the name that is told overrides it");
}

fn dry(id: &str) -> Order {
    Order { dry_run: true, ..order(id) }
}

#[tokio::test]
async fn operations_are_listed_with_the_newest_first_also_by_the_next_agent() {
    let mut rig = Rig::new().await;
    let mut alice = rig.operator().await;
    for id in ["one", "two", "three"] {
        let now = rig.systemd.unit(UNIT).invocation_id;
        alice.restart(order(id), UNIT, &now).await.unwrap();
        assert!(succeeded(&alice.end_of(id).await));
    }
    for _ in 0..2 {
        let mut bob = rig.viewer().await;
        let listed = bob.info.list_operations(ListOperationsRequest { limit: 2 }).await.unwrap().into_inner();
        let ids: Vec<_> = listed.operations.iter().map(|operation| operation.id.as_str()).collect();
        assert_eq!(ids, ["three", "two"]);
        let all = bob.info.list_operations(ListOperationsRequest { limit: 0 }).await.unwrap().into_inner();
        assert_eq!(all.operations.len(), 3);
        assert!(succeeded(&bob.operation("one").await.unwrap()));
        let unknown = bob.operation("none").await.unwrap_err();
        assert_eq!((unknown.code(), refused(&unknown, "").1.as_str()), (Code::NotFound, reason::NO_SUCH_OPERATION));
        rig.kill();
        rig.start().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_state_whole_and_ends_with_the_operation() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(30));
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    let request = WatchOperationRequest { operation_id: "a".to_owned() };
    let mut watch = rig.viewer().await.info.watch_operation(request).await.unwrap().into_inner();
    let mut told = 0;
    let mut last = None;
    while let Some(message) = watch.message().await.unwrap() {
        let operation = message.operation.unwrap();
        assert!(operation.steps.len() >= told, "no step is ever taken back");
        told = operation.steps.len();
        last = Some(operation.state());
    }
    assert_eq!((told, last), (3, Some(OperationState::Succeeded)));
}

#[tokio::test]
async fn the_package_of_a_units_program_is_told_and_that_another_version_of_it_is_installed_than_runs() {
    let rig = Rig::new().await;
    let program = rig.path().join("kube-scheduler");
    let path = program.display().to_string();
    rig.systemd.set_unit(UNIT, |unit| unit.program = path.clone());
    let write = |name: &str, text: &str| fs::write(rig.path().join("dpkg").join(name), text).unwrap();
    fs::create_dir_all(rig.path().join("dpkg/info")).unwrap();
    write("status", "Package: kubernetes-master\nVersion: 1.31.4-1\n\nPackage: other\nVersion: 2\n");
    write("info/kubernetes-master.list", &format!("/.\n{path}\n"));
    write("info/other.list", "/.\n");
    let unit = async || rig.viewer().await.node().await.units.remove(1);
    let seen = unit().await;
    assert_eq!((seen.package.as_str(), seen.package_version.as_str()), ("kubernetes-master", "1.31.4-1"));
    assert!(!seen.program_replaced, "there is no such file");
    // The unit has run since 2025.
    fs::write(&program, "").unwrap();
    assert!(unit().await.program_replaced);
    rig.systemd.set_unit(UNIT, |unit| unit.active_state = "failed".to_owned());
    assert!(!unit().await.program_replaced, "it does not run");
}

#[tokio::test]
async fn metrics_are_served_on_loopback_where_the_configuration_says_so() {
    let rig = Rig::with("[metrics]\nlisten = '127.0.0.1:0'\n").await;
    fs::write(rig.path().join("reboot-required"), "").unwrap();
    let mut alice = rig.operator().await;
    let seen = rig.path().join("state/seen.json");
    until("the unit is on disk", async || fs::read_to_string(&seen).unwrap_or_default().contains(UNIT)).await;
    rig.systemd.restart_by_hand(UNIT);
    until("the restart is noticed", async || !alice.node().await.unannounced.is_empty()).await;
    alice.restart(order("a"), UNIT, &rig.systemd.unit(UNIT).invocation_id).await.unwrap();
    alice.end_of("a").await;
    alice.operation("nonsense").await.unwrap_err();
    let carol = rig.caller(&Names { common_name: "carol", ..Names::default() }).await;
    carol.info.clone().get_node(GetNodeRequest {}).await.unwrap_err();
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(rig.agent().metrics().unwrap()).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = get("/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        "usher_agent_reboot_required 1",
        "usher_agent_operation_in_progress 0",
        "usher_agent_reboots_allowed 4",
        "usher_agent_bus_up 1",
        "usher_agent_unit_active{unit=\"kube-scheduler.service\"} 1",
        "# TYPE usher_agent_tls_certificate_not_after_timestamp_seconds gauge",
        "usher_agent_config_last_reload_success 1",
        "usher_agent_operations_total{action=\"RestartUnit\",unit=\"kube-scheduler.service\",result=\"success\"} 1",
        "usher_agent_operation_duration_seconds_bucket{le=\"30\"} 1",
        "usher_agent_operation_duration_seconds_bucket{le=\"+Inf\"} 1",
        "usher_agent_rpc_requests_total{method=\"/usher.agent.v1.NodeInfo/GetOperation\",code=\"5\"} 1",
        "usher_agent_authentication_failures_total{reason=\"NOT_LISTED\"} 1",
        "usher_agent_unit_restarts_unannounced_total{unit=\"kube-scheduler.service\",by=\"other\"} 1",
        "usher_agent_reboots_unannounced_total 0",
        "usher_agent_restarts_wanted 0",
        // Alice's alone: who is not listed has no place, and nobody asks over the Unix socket.
        "usher_agent_connections 1",
    ] {
        assert!(answer.lines().any(|told| told == line), "{line:?} is not in\n{answer}");
    }
    let read_at = |answer: &str| {
        let line = answer.lines().find_map(|line| {
            line.strip_prefix("usher_agent_config_last_reload_success_timestamp_seconds ")?.parse::<i64>().ok()
        });
        line.expect("a time")
    };
    let now = usher_common::clock::now().as_second();
    let first = read_at(&answer);
    assert!((now - 600..=now).contains(&first), "{first} and {now}");
    // A file that cannot be used is no success, and the time of the last one stays.
    let text = fs::read_to_string(rig.path().join("agent.toml")).unwrap();
    fs::write(rig.path().join("agent.toml"), "nonsense = 1").unwrap();
    rig.agent().live().reload();
    let broken = get("/metrics").await;
    assert!(broken.contains("\nusher_agent_config_last_reload_success 0\n"), "{broken}");
    assert_eq!(read_at(&broken), first);
    fs::write(rig.path().join("agent.toml"), text).unwrap();
    rig.agent().live().reload();
    assert!(read_at(&get("/metrics").await) >= first);
    assert!(get("/").await.starts_with("HTTP/1.1 404 "));
    assert_eq!(Rig::new().await.agent().metrics(), None);

    // While an operation runs: its beginning is told only then.
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(3600));
    alice.restart(order("b"), UNIT, &rig.systemd.unit(UNIT).invocation_id).await.unwrap();
    let answer = get("/metrics").await;
    let (_, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(text.contains("usher_agent_operation_in_progress 1\n"), "{text}");
    assert!(text.contains("\nusher_agent_operation_start_timestamp_seconds 1"), "{text}");
    // For promtool, by tests/prometheus.sh.
    if let Some(folder) = std::env::var_os("USHER_METRICS_OUT") {
        fs::write(std::path::Path::new(&folder).join("agent.prom"), text).unwrap();
    }
}
