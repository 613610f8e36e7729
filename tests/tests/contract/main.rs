//! The coordinator's client against the agent itself: both ends of the contract as they ship.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use tempfile::TempDir;
use usher_common::{chain, trace::TraceParent};
use usher_coordinator::{
    agents::{Agent, AgentError, Agents, Order, Side, TaskState},
    site::Site,
};
use usher_proto::reason;
use usher_testkit::{
    pki::{Ca, Names},
    rig::{
        agent::{Rig, UNIT},
        until::until,
    },
    systemd::Reboot,
};

/// More than any of these tests needs.
const LONG: Duration = Duration::from_secs(30);

/// The rig's agent as a usher sees it whose certificate is signed by `ca` and carries these names.
fn usher(rig: &Rig, folder: &TempDir, ca: &Ca, names: &Names<'_>) -> Agent {
    usher_that_trusts(&rig.ca, rig, folder, ca, names).0
}

/// The same with another CA of the agents, and with what it belongs to.
fn usher_that_trusts(agents: &Ca, rig: &Rig, folder: &TempDir, ca: &Ca, names: &Names<'_>) -> (Agent, Agents) {
    let (certificate, key) = ca.client(names).unwrap().write(folder.path(), "client").unwrap();
    let mut site = Site::default();
    (site.agents.certificate, site.agents.key, site.agents.ca) =
        (certificate, key, folder.path().join("agents-ca.pem"));
    agents.write(&site.agents.ca).unwrap();
    site.agents.addresses.insert("node-1".into(), rig.address().to_string());
    let agents = Agents::new(&site, BTreeMap::new()).unwrap();
    (agents.agent("node-1").unwrap(), agents)
}

fn operator(rig: &Rig, folder: &TempDir) -> Agent {
    usher(rig, folder, &rig.ca, &Names { common_name: "alice", ..Names::default() })
}

fn order(id: &str) -> Order {
    Order {
        operation_id: id.into(),
        epoch: 1,
        reason: "new CA".into(),
        requester: "alice@c1".into(),
        ..Order::default()
    }
}

/// From now on the agent listens where it listens now, as a real one does.
fn keep_address(rig: &Rig) {
    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let listen = format!("listen = '{}'", rig.address());
    fs::write(file, text.replace("listen = '127.0.0.1:0'", &listen)).unwrap();
}

#[tokio::test]
async fn a_unit_is_restarted_and_followed_to_its_proof() {
    let (rig, folder) = (Rig::new().await, TempDir::new().unwrap());
    let agent = operator(&rig, &folder);
    let status = agent.status().await.unwrap();
    let unit = status.unit(UNIT).unwrap();
    assert_eq!((unit.invocation_id.as_deref(), unit.is_active()), (Some(rig.invocation.as_str()), true));

    agent.restart_unit(&order("a"), UNIT, &rig.invocation).await.unwrap();
    let mut told = Vec::new();
    let ended = agent.follow("a", LONG, |step| told.push(step.name.clone())).await.unwrap();
    assert!(ended.has_succeeded(), "{ended:?}");
    assert_eq!(told, ["accepted", "job", "active"]);
    assert_eq!(ended.order, order("a"));
    assert_eq!(ended.evidence.invocation_id_after.unwrap(), rig.systemd.unit(UNIT).invocation_id);

    let error = agent.restart_unit(&order("b"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::INVOCATION_MISMATCH));
    let error = agent.stop_unit(&order("c"), "sshd.service", &rig.invocation, None).await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::UNIT_NOT_ALLOWED));
}

#[tokio::test]
async fn the_agents_records_of_an_operations_calls_have_its_trace() {
    let (rig, folder) = (Rig::new().await, TempDir::new().unwrap());
    let alice = Names { common_name: "alice", ..Names::default() };
    let (agent, agents) = usher_that_trusts(&rig.ca, &rig, &folder, &rig.ca, &alice);
    agent.fence(1, "alice@c1", LONG).await.unwrap();
    let trace = "0bf92f3577b34da6a3ce929d0e0e4736";
    agents.join_trace(&TraceParent::read(&format!("00-{trace}-00f067aa0ba902b7-01")).unwrap());
    agent.restart_unit(&order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(agent.follow("a", LONG, |_| {}).await.unwrap().has_succeeded());
    agent.fence(2, "alice@c1", LONG).await.unwrap();

    let text = fs::read_to_string(rig.path().join("state/audit.jsonl")).unwrap();
    let line = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    let told = text.lines().map(line).map(|line| {
        let method = line["method"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
        (method, line["trace"].as_str().unwrap_or_default().to_owned())
    });
    let of_both = |method: &str, trace: &str| vec![(method.to_owned(), trace.to_owned()); 2];
    let expected = [of_both("Fence", ""), of_both("RestartUnit", trace), of_both("Fence", trace)].concat();
    assert_eq!(told.collect::<Vec<_>>(), expected, "{text}");
}

#[tokio::test]
async fn an_agent_that_is_killed_meanwhile_is_found_again() {
    let (mut rig, folder) = (Rig::new().await, TempDir::new().unwrap());
    keep_address(&rig);
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_millis(800));
    let agent = operator(&rig, &folder);
    agent.restart_unit(&order("a"), UNIT, &rig.invocation).await.unwrap();
    let following = tokio::spawn({
        let agent = agent.clone();
        async move {
            let mut told = Vec::new();
            let ended = agent.follow("a", LONG, |step| told.push(step.name.clone())).await;
            (told, ended)
        }
    });
    rig.operator().await.until_step("a", "job").await;
    rig.kill();
    rig.start().await;
    let (told, ended) = following.await.unwrap();
    assert!(ended.unwrap().has_succeeded());
    assert_eq!(told, ["accepted", "job", "resumed", "active"]);
    assert_eq!(rig.systemd.jobs().len(), 1, "nothing is done twice");
}

#[tokio::test]
async fn a_reboot_is_followed_into_the_next_boot() {
    let (mut rig, folder) = (Rig::new().await, TempDir::new().unwrap());
    keep_address(&rig);
    rig.systemd.on_reboot(Reboot::Calls(Arc::new(|| {})));
    let agent = operator(&rig, &folder);
    agent.reboot(&order("r"), "boot-1", &[]).await.unwrap();
    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { (agent.await_boot("boot-1", LONG).await, agent.follow("r", LONG, |_| {}).await) }
    });
    until("login1 is asked", async || rig.systemd.reboots() > 0).await;
    rig.stop().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.boot("boot-2");
    rig.start().await;
    let (status, ended) = waiting.await.unwrap();
    assert_eq!(status.unwrap().boot_id, "boot-2");
    let ended = ended.unwrap();
    assert_eq!((ended.state, ended.evidence.boot_id_after.as_deref()), (TaskState::Succeeded, Some("boot-2")));
    // Asked again, as after a lost answer: the same operation, and no second reboot.
    assert!(agent.reboot(&order("r"), "boot-1", &[]).await.unwrap().has_succeeded());
    assert_eq!(rig.systemd.reboots(), 1);
}

#[tokio::test]
async fn an_agent_of_another_ca_is_asked_for_nothing_and_the_message_says_what_would_mend_it() {
    let (rig, folder) = (Rig::new().await, TempDir::new().unwrap());
    let alice = Names { common_name: "alice", ..Names::default() };
    // Another name, and the same name over another key, as after a CA was made anew.
    for name in ["other", "rig"] {
        let agent = usher_that_trusts(&Ca::new(name).unwrap(), &rig, &folder, &rig.ca, &alice).0;
        for error in [
            agent.status().await.unwrap_err(),
            agent.restart_unit(&order("a"), UNIT, &rig.invocation).await.unwrap_err(),
        ] {
            let AgentError::NotTrusted { by: Side::Usher, .. } = &error else { panic!("{}", chain(&error)) };
            assert!(error.to_string().contains("cannot prove that it is this machine's agent"), "{error}");
            assert!(
                error.hint().unwrap().contains("the CA that agents.ca names in the cluster file"),
                "{:?}",
                error.hint()
            );
        }
    }
    // The agent would have done it: alice is listed, and her certificate is good.
    assert!(
        rig.systemd.jobs().is_empty() && fs::read_dir(rig.path().join("state/operations")).unwrap().next().is_none()
    );
    operator(&rig, &folder).restart_unit(&order("a"), UNIT, &rig.invocation).await.unwrap();
}

#[tokio::test]
async fn who_is_not_wanted_is_told_so_and_what_would_mend_it() {
    let (rig, folder) = (Rig::new().await, TempDir::new().unwrap());
    let alice = Names { common_name: "alice", ..Names::default() };
    for name in ["stranger", "rig"] {
        let error = usher(&rig, &folder, &Ca::new(name).unwrap(), &alice).status().await.unwrap_err();
        let AgentError::NotTrusted { by: Side::Agent, .. } = &error else { panic!("{}", chain(&error)) };
        assert!(error.hint().unwrap().contains("\"CN=alice\" must be signed by the CA"), "{:?}", error.hint());
    }

    let kubelet = Names { common_name: "system:node:node-1", ..Names::default() };
    let error = usher(&rig, &folder, &rig.ca, &kubelet).status().await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::NOT_LISTED));
    assert!(error.to_string().contains("CN=system:node:node-1"), "{error}");

    let viewer = Names { common_name: "bob", organisations: &["sre"], ..Names::default() };
    let agent = usher(&rig, &folder, &rig.ca, &viewer);
    agent.status().await.unwrap();
    let error = agent.restart_unit(&order("a"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::ROLE_TOO_LOW));
    assert!(rig.systemd.jobs().is_empty());
}
