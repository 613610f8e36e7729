//! What changes while the agent runs: certificates, the callers' CA, the allow-list.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;
use usher_agent::door::live::POLL_INTERVAL;
use usher_proto::v1::GetNodeRequest;
use usher_testkit::{
    pki::{Ca, Names},
    rig::agent::{Caller, OTHER, Rig, UNIT, order, refused, succeeded},
};

/// Long enough for the agent to look at its files twice.
fn soon() -> Duration {
    POLL_INTERVAL * 2 + Duration::from_secs(4)
}

async fn warnings_until(rig: &Rig, done: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut bob = rig.viewer().await;
    let waited = timeout(soon(), async {
        loop {
            let warnings = bob.node().await.warnings;
            if done(&warnings) {
                return warnings;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("the agent looks at its files every few seconds")
}

#[tokio::test]
async fn certificates_rotate_under_load_without_a_failed_call() {
    let rig = Rig::new().await;
    let identity = rig.ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap();
    let endpoint = rig.endpoint(&identity);
    let stop = Arc::new(AtomicBool::new(false));
    let calls: Arc<[AtomicU32; 4]> = Arc::default();
    let load: Vec<_> = (0..4)
        .map(|client| {
            let (endpoint, stop, calls) = (endpoint.clone(), Arc::clone(&stop), Arc::clone(&calls));
            tokio::spawn(async move {
                let mut channel = endpoint.connect().await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    // Half of the clients open a new connection for each call.
                    if client % 2 == 0 {
                        channel = endpoint.connect().await.unwrap();
                    }
                    let mut bob = Caller::over(channel.clone());
                    bob.info.get_node(GetNodeRequest {}).await.unwrap();
                    calls[client].fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    // Certificate and key are written one after the other, as tools do: between them they do not go together.
    let mut rotations = 0;
    while rotations < 5 || calls.iter().any(|calls| calls.load(Ordering::Relaxed) < 20) {
        rotations += 1;
        let next = rig.ca.server(&["node-1"]).unwrap();
        fs::write(rig.path().join("agent.pem"), &next.certificate).unwrap();
        rig.agent().live().reload();
        rig.viewer().await.node().await;
        fs::write(rig.path().join("agent-key.pem"), &next.key).unwrap();
        rig.agent().live().reload();
        rig.viewer().await.node().await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in load {
        client.await.unwrap();
    }
    let node = rig.operator().await.node().await;
    assert!(node.warnings.iter().all(|warning| !warning.contains("TLS")), "{:?}", node.warnings);
}

#[tokio::test]
async fn a_broken_certificate_keeps_the_old_one_and_becomes_a_warning_until_it_is_mended() {
    let rig = Rig::new().await;
    let key = fs::read(rig.path().join("agent-key.pem")).unwrap();
    fs::write(rig.path().join("agent-key.pem"), "garbage").unwrap();
    let warnings = warnings_until(&rig, |warnings| warnings.iter().any(|warning| warning.contains("TLS files"))).await;
    assert!(warnings.iter().any(|warning| warning.contains("agent-key.pem")), "{warnings:?}");
    // New connections are served with the old one; and the agent works.
    let mut alice = rig.operator().await;
    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));

    fs::write(rig.path().join("agent-key.pem"), key).unwrap();
    warnings_until(&rig, |warnings| !warnings.iter().any(|warning| warning.contains("TLS files"))).await;
}

#[tokio::test]
async fn a_renewed_certificate_that_callers_would_not_accept_is_not_put_into_force() {
    let rig = Rig::new().await;
    let good = fs::read_to_string(rig.path().join("agent.pem")).unwrap();
    let key = fs::read_to_string(rig.path().join("agent-key.pem")).unwrap();
    let cases = [
        (
            "not valid before",
            rig.ca.server_with("node-1", |certificate| certificate.not_before = rcgen::date_time_ymd(2098, 1, 1)),
        ),
        (
            "lacks serverAuth",
            rig.ca.server_with("node-1", |certificate| {
                certificate.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
        ),
        ("and not node-1", rig.ca.server(&["node-2"])),
        (
            "it expired at 2020",
            rig.ca.server_with("node-1", |certificate| certificate.not_after = rcgen::date_time_ymd(2020, 1, 1)),
        ),
    ];
    for (expected, identity) in cases {
        identity.unwrap().write(rig.path(), "agent").unwrap();
        rig.agent().live().reload();
        // A new connection is served with the certificate before.
        let warnings = rig.viewer().await.node().await.warnings;
        assert!(warnings.iter().any(|warning| warning.contains(expected)), "{expected}: {warnings:?}");
    }
    // A name with the domain behind it is the node's too.
    rig.ca.server(&["node-1.example", "node-1"]).unwrap().write(rig.path(), "agent").unwrap();
    rig.agent().live().reload();
    let warnings = rig.viewer().await.node().await.warnings;
    assert!(warnings.iter().all(|warning| !warning.contains("certificate")), "{warnings:?}");
    fs::write(rig.path().join("agent.pem"), good).unwrap();
    fs::write(rig.path().join("agent-key.pem"), key).unwrap();
}

#[tokio::test]
async fn a_key_or_a_configuration_that_others_may_use_is_a_warning_until_its_mode_is_mended() {
    let rig = Rig::new().await;
    let mut bob = rig.viewer().await;
    for (file, open, closed, words) in [
        ("agent-key.pem", 0o644, 0o640, "(mode 0644), and with it can pass for this agent: chmod o= "),
        ("agent-key.pem", 0o602, 0o600, "(mode 0602), and with it can pass for this agent: chmod o= "),
        ("agent.toml", 0o646, 0o644, "(mode 0646), and so decides who may call: chmod o-w "),
    ] {
        let path = rig.path().join(file);
        let told = |warnings: &[String]| {
            warnings.iter().filter(|warning| warning.contains(&path.display().to_string())).cloned().collect::<Vec<_>>()
        };
        assert_eq!(told(&bob.node().await.warnings), [""; 0], "{file}");
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        // A changed mode is no change of what is in the file. The first one is found without a word from anybody.
        if open != 0o644 {
            rig.agent().live().reload_soon();
        }
        let warnings = told(&warnings_until(&rig, |warnings| !told(warnings).is_empty()).await);
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(closed)).unwrap();
        rig.agent().live().reload_soon();
        warnings_until(&rig, |warnings| told(warnings).is_empty()).await;
    }
}

#[tokio::test]
async fn the_callers_ca_is_changed_for_new_connections_and_for_open_ones() {
    let mut rig = Rig::new().await;
    let alice = Names { common_name: "alice", ..Names::default() };
    let mut open = rig.operator().await;
    let old = rig.ca.client(&alice).unwrap();
    let (new_ca, server_ca) = (Ca::new("new").unwrap(), rig.ca.pem().to_owned());
    new_ca.write(&rig.path().join("ca.pem")).unwrap();
    rig.agent().live().reload();

    // The agent's own certificate is still of the old CA.
    fs::write(rig.path().join("ca.pem"), &server_ca).unwrap();
    let refused = match rig.connect(&old).await {
        Ok(mut caller) => caller.info.get_node(GetNodeRequest {}).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "the old CA is out of force");
    let new = new_ca.client(&alice).unwrap();
    rig.connect(&new).await.unwrap().node().await;
    // The old identity makes no other connection either, whether the open one says so or has ended.
    assert!(open.restart(order("a"), UNIT, &rig.invocation).await.is_err());
    assert!(rig.systemd.jobs().is_empty());
    rig.kill();
}

#[tokio::test]
async fn the_allow_list_is_read_again_also_for_open_connections() {
    let rig = Rig::new().await;
    let mut bob = rig.viewer().await;
    let mut alice = rig.operator().await;
    rig.write_config("operator = ['CN=alice']");
    let gone = timeout(soon(), async {
        loop {
            match bob.info.get_node(GetNodeRequest {}).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(status) => return status,
            }
        }
    });
    let status = gone.await.expect("the allow-list is looked at every few seconds");
    assert_eq!(refused(&status, "").1, usher_proto::reason::NOT_LISTED);
    alice.node().await;

    // A broken file keeps what is in force.
    fs::write(rig.path().join("agent.toml"), "allow = 1").unwrap();
    rig.agent().live().reload();
    let warnings = alice.node().await.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("agent.toml:1")), "{warnings:?}");

    // What else changes waits for a restart, and is told.
    rig.write_config("operator = ['CN=alice']\n[metrics]\nlisten = '127.0.0.1:0'");
    rig.agent().live().reload();
    let warnings = alice.node().await.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("restart the agent")), "{warnings:?}");
}

#[tokio::test]
async fn units_the_hold_and_the_budget_follow_the_file_without_a_restart() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let id = rig.systemd.unit(OTHER).invocation_id;
    let outside = alice.restart(order("a"), OTHER, &id).await.unwrap_err();
    assert_eq!(refused(&outside, "").1, usher_proto::reason::UNIT_NOT_ALLOWED);

    let file = rig.path().join("agent.toml");
    let before = fs::read_to_string(&file).unwrap();
    let text = before.replace("hold_file = 'hold'", "hold_file = 'halt'").replace("puppet.lock", "chef.lock");
    fs::write(&file, format!("{text}[units.'{OTHER}']\n[reboot]\nbudget_per_day = 7\n")).unwrap();
    fs::write(rig.path().join("hold"), "no more looked at").unwrap();
    fs::write(rig.path().join("chef.lock"), "").unwrap();
    rig.agent().live().reload();
    let node = alice.node().await;
    assert!(!node.warnings.iter().any(|warning| warning.contains("restart the agent")), "{:?}", node.warnings);
    assert_eq!((node.units.len(), node.reboot_budget.unwrap().allowed, node.lock_files.len()), (3, 7, 1));
    alice.restart(order("b"), OTHER, &id).await.unwrap();
    assert!(succeeded(&alice.end_of("b").await));

    // A file with a mistake anywhere is not used, and a list that got narrower is.
    fs::write(&file, format!("{before}nonsense = 1\n")).unwrap();
    rig.agent().live().reload();
    let node = alice.node().await;
    assert_eq!(node.units.len(), 3);
    assert!(node.warnings.iter().any(|warning| warning.contains("nonsense")), "{:?}", node.warnings);
    fs::write(&file, before).unwrap();
    rig.agent().live().reload();
    assert_eq!(alice.node().await.units.len(), 2);
    let id = rig.systemd.unit(OTHER).invocation_id;
    let outside = alice.restart(order("c"), OTHER, &id).await.unwrap_err();
    assert_eq!(refused(&outside, "").1, usher_proto::reason::UNIT_NOT_ALLOWED);
}

#[tokio::test]
async fn what_the_agent_is_built_from_waits_for_a_restart_and_is_named() {
    let rig = Rig::new().await;
    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap().replace("node = 'node-1'", "node = 'node-2'\nreflection = false");
    fs::write(&file, text).unwrap();
    rig.agent().live().reload();
    let node = rig.operator().await.node().await;
    assert_eq!(node.name, "node-1");
    let told: Vec<_> = node.warnings.iter().filter(|warning| warning.contains("restart the agent")).collect();
    assert!(told.len() == 1 && told[0].contains("changed in node, reflection;"), "{told:?}");
}
