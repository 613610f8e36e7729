//! What root on the node asks for over the Unix socket: restarts that are wanted, and holds.

use std::{fs, time::Duration};

use tokio::{
    sync::mpsc::unbounded_channel,
    time::{sleep, timeout},
};
use tonic::{Code, transport::Endpoint};
use usher_agent::{
    caller,
    door::{LocalDoor, LocalWay},
    local::{Client, Exit},
};
use usher_proto::{
    reason,
    v1::{
        AuditPhase, FenceRequest, ListAuditRecordsRequest, Node, ReleaseHoldRequest, RequestRestartRequest,
        node_control_client::NodeControlClient, node_local_client::NodeLocalClient,
    },
};
use usher_testkit::{
    rig::agent::{Caller, OTHER, Rig, UNIT, order, refused, succeeded},
    systemd::JobOutcome,
};

/// Longer than the agent takes to see what a unit runs as.
const SEEN_WITHIN: Duration = Duration::from_secs(15);

/// The request of a renewal of certificates.
fn request<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["request-restart", "kube-scheduler", "--reason", "certificate renewed", "--requester", "puppet@cp1"], more]
        .concat()
}

fn wanted(node: &Node) -> Vec<(&str, Vec<&str>)> {
    node.wanted_restarts
        .iter()
        .map(|wanted| {
            let reasons = wanted.requests.iter().map(|request| request.reason.as_str()).collect();
            (wanted.unit.as_str(), reasons)
        })
        .collect()
}

/// The node once nothing is wanted any more.
async fn settled(caller: &mut Caller) -> Node {
    let looking = async {
        loop {
            let node = caller.node().await;
            if node.wanted_restarts.is_empty() {
                return node;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SEEN_WITHIN, looking).await.expect("a request that is settled")
}

#[tokio::test]
async fn a_request_restarts_nothing_outlives_the_agent_and_is_settled_by_the_next_restart() {
    let mut rig = Rig::new().await;
    let told = rig.root(&request(&[])).await;
    assert_eq!(told.exit, Exit::Done, "{told:?}");
    assert!(told.text.contains("usher restart --wanted"), "{}", told.text);
    let more = ["request-restart", UNIT, "-r", "audit policy changed", "--requester", "puppet@cp1"];
    assert_eq!(rig.root(&more).await.exit, Exit::Done);
    assert!(rig.systemd.jobs().is_empty());

    rig.kill();
    rig.start().await;
    let mut alice = rig.operator().await;
    let node = alice.node().await;
    assert_eq!(wanted(&node), [(UNIT, vec!["certificate renewed", "audit policy changed"])]);
    assert_eq!(node.wanted_restarts[0].requests[0].requester, "puppet@cp1");
    assert_eq!(node.wanted_restarts[0].invocation_id, rig.invocation);

    alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    let node = settled(&mut alice).await;
    assert!(node.unannounced.is_empty(), "{:?}", node.unannounced);
}

#[tokio::test]
async fn a_request_that_waits_ends_with_the_restart_and_tells_whether_the_unit_is_well() {
    for (outcome, exit, words) in [
        (JobOutcome::Done, Exit::Done, "was restarted: active (running)"),
        (JobOutcome::Failed, Exit::Failed, "was restarted and is not well"),
    ] {
        let rig = Rig::new().await;
        let mut alice = rig.operator().await;
        rig.systemd.set_unit(UNIT, |unit| unit.outcome = outcome.clone());
        let restarting = async {
            while alice.node().await.wanted_restarts.is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
            alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap();
        };
        let words_of_root = request(&["--wait"]);
        let (told, ()) = tokio::join!(rig.root(&words_of_root), restarting);
        assert_eq!(told.exit, exit, "{told:?}");
        assert!(told.text.contains(words), "{}", told.text);
    }
}

#[tokio::test]
async fn a_restart_past_usher_settles_a_request_too() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    assert_eq!(rig.root(&request(&[])).await.exit, Exit::Done);
    rig.systemd.restart_behind(UNIT);
    settled(&mut alice).await;
}

#[tokio::test]
async fn a_request_whose_time_is_over_stays_and_can_be_taken_back() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let told = rig.root(&request(&["--wait", "--timeout", "300ms"])).await;
    assert_eq!(told.exit, Exit::TimedOut, "{told:?}");
    assert!(told.text.contains("not restarted within 300ms"), "{}", told.text);
    assert_eq!(wanted(&alice.node().await).len(), 1);
    let withdraw = ["withdraw-restart", "kube-scheduler", "-r", "reverted"];
    assert!(rig.root(&withdraw).await.text.contains("is not wanted any more"));
    assert!(alice.node().await.wanted_restarts.is_empty());
    assert!(rig.root(&withdraw).await.text.contains("was not wanted"));
}

#[tokio::test]
async fn what_is_taken_back_ends_the_wait_and_is_told_as_that() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let words = request(&["--wait"]);
    let withdrawing = async {
        while alice.node().await.wanted_restarts.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        rig.root(&["withdraw-restart", UNIT, "-r", "reverted"]).await
    };
    let (told, _) = tokio::join!(rig.root(&words), withdrawing);
    assert_eq!(told.exit, Exit::Refused, "{told:?}");
    assert!(told.text.contains("somebody has taken the request back"), "{}", told.text);
}

#[tokio::test]
async fn a_unit_that_is_down_needs_no_restart_and_one_that_is_not_the_agents_is_refused() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.active_state = "inactive".to_owned());
    let told = rig.root(&request(&[])).await;
    assert_eq!(told.exit, Exit::Done, "{told:?}");
    assert!(told.text.contains("reads what has changed when it starts"), "{}", told.text);
    for (unit, words) in [("sshd", "UNIT_NOT_ALLOWED"), ("kube-controller-manager", "NO_SUCH_UNIT")] {
        let told = rig.root(&["request-restart", unit, "-r", "x"]).await;
        assert_eq!(told.exit, Exit::Refused, "{told:?}");
        assert!(told.text.contains(words), "{}", told.text);
    }
    assert!(rig.operator().await.node().await.wanted_restarts.is_empty());
}

#[tokio::test]
async fn the_only_control_plane_restarts_what_is_asked_for_itself_and_no_other_does() {
    for sole in [true, false] {
        let mut rig = Rig::without_agent("[units.'kube-apiserver.service']\n[units.'kube-scheduler.service']\n");
        rig.configure(&format!("sole_control_plane = {sole}"));
        rig.start().await;
        let mut alice = rig.operator().await;
        let also = ["request-restart", OTHER, "-r", "certificate renewed", "--if-sole"];
        assert_eq!(rig.root(&also).await.exit, Exit::Done);
        let limit = if sole { "15s" } else { "300ms" };
        let told = rig.root(&request(&["--if-sole", "--wait", "--timeout", limit])).await;
        if !sole {
            assert_eq!(told.exit, Exit::TimedOut, "{told:?}");
            assert!(rig.systemd.jobs().is_empty());
            continue;
        }
        assert_eq!(told.exit, Exit::Done, "{told:?}");
        settled(&mut alice).await;
        let mut jobs = rig.systemd.jobs();
        jobs.sort();
        assert_eq!(jobs, [format!("restart {OTHER}"), format!("restart {UNIT}")], "one after the other");
        let operations = alice.info.list_operations(usher_proto::v1::ListOperationsRequest { limit: 9 }).await.unwrap();
        let newest = operations.into_inner().operations.remove(0);
        let asked = newest.order.unwrap();
        assert_eq!(newest.caller, ["usher-agent"]);
        assert_eq!((asked.reason.as_str(), asked.requester.as_str()), ("certificate renewed", "puppet@cp1"));
    }
}

#[tokio::test]
async fn a_hold_stops_what_a_hold_file_stops_until_its_owner_or_its_time_ends_it() {
    let mut rig = Rig::new().await;
    let set = ["hold", "set", "--owner", "alice", "-r", "disk is being copied", "--for", "1h"];
    let told = rig.root(&set).await;
    assert_eq!(told.exit, Exit::Done, "{told:?}");
    let forever = ["hold", "set", "--owner", "puppet", "-r", "upgrade"];
    assert!(rig.root(&forever).await.text.contains("until it is released"));

    rig.kill();
    rig.start().await;
    let mut alice = rig.operator().await;
    let status = alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
    let (code, why, hold) = refused(&status, "hold");
    assert_eq!((code, why.as_str()), (Code::FailedPrecondition, reason::HELD));
    assert!(hold.starts_with("alice: disk is being copied (until "), "{hold}");
    assert!(status.message().contains("usher-agent hold release --owner \"alice\""), "{}", status.message());
    let node = alice.node().await;
    let owners: Vec<_> = node.holds.iter().map(|hold| (hold.owner.as_str(), hold.until.is_some())).collect();
    assert_eq!(owners, [("alice", true), ("puppet", false)]);
    let all = node.hold.expect("for callers that know no owners");
    assert!(all.text.contains("puppet: upgrade") && all.path.ends_with("holds.json"), "{all:?}");

    let told = rig.root(&["hold", "release", "--owner", "alice"]).await;
    assert!(told.exit == Exit::Done && told.text.contains("still held: puppet: upgrade"), "{told:?}");
    let told = rig.root(&["hold", "release", "--owner", "alice"]).await;
    assert!(told.exit == Exit::Refused && told.text.contains("these do: puppet"), "{told:?}");
    assert_eq!(rig.root(&["hold", "release", "--owner", "puppet"]).await.exit, Exit::Done);
    alice.restart(order("b"), UNIT, &rig.invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("b").await));
}

#[tokio::test]
async fn holds_that_cannot_be_read_hold_the_node() {
    let mut rig = Rig::new().await;
    rig.kill();
    fs::write(rig.path().join("state/holds.json"), "{").unwrap();
    rig.start().await;
    let mut alice = rig.operator().await;
    let status = alice.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::HELD);
    let node = alice.node().await;
    assert!(node.warnings.iter().any(|warning| warning.contains("holds.json")), "{:?}", node.warnings);
    let told = rig.root(&["hold", "set", "--owner", "alice", "-r", "x"]).await;
    assert_eq!(told.exit, Exit::Refused, "what it said is not written over: {told:?}");
}

#[tokio::test]
async fn roots_calls_are_for_root_and_operators_calls_are_not() {
    let rig = Rig::new().await;
    let alice = rig.operator().await;
    let mut local = NodeLocalClient::new(alice.channel.clone());
    let status = local.request_restart(RequestRestartRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), refused(&status, "").1.as_str()), (Code::PermissionDenied, reason::LOCAL_ONLY));
    let status = local.release_hold(ReleaseHoldRequest::default()).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::LOCAL_ONLY);

    let path = rig.path().join("agent.sock");
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://node").connect_with_connector(connector).await.unwrap();
    let request = FenceRequest { epoch: 7, requester: "root@cp1".to_owned() };
    let status = NodeControlClient::new(channel.clone()).fence(request).await.unwrap_err();
    assert_eq!((status.code(), refused(&status, "").1.as_str()), (Code::PermissionDenied, reason::NOT_LOCAL));
    let records = Caller::over(channel).info.list_audit_records(ListAuditRecordsRequest::default()).await.unwrap_err();
    assert_eq!(refused(&records, "").1, reason::NOT_LOCAL);
}

#[tokio::test(start_paused = true)]
async fn another_user_of_the_node_is_sent_away_whatever_the_sockets_mode_says() {
    let mut rig = Rig::without_agent("");
    let (sender, incoming) = unbounded_channel();
    rig.start_with(|edges| {
        edges.door = usher_agent::door::Door::Streams {
            incoming: unbounded_channel().1,
            caller: Some(caller::Caller::named(["CN=alice"])),
        };
        edges.local = Some(LocalDoor { way: LocalWay::Streams(incoming), uids: [0].into() });
    })
    .await;
    for (uid, served) in [(1000, false), (0, true)] {
        let sender = sender.clone();
        let connector = tower::service_fn(move |_| {
            let (theirs, ours) = tokio::io::duplex(64 * 1024);
            sender.send((Box::new(theirs), uid)).unwrap();
            async move { Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(ours)) }
        });
        let channel = Endpoint::from_static("http://node").connect_with_connector(connector).await;
        let answered = match channel {
            Ok(channel) => Client::over(channel).info.get_node(usher_proto::v1::GetNodeRequest {}).await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(answered, served, "uid {uid}");
    }
}

#[tokio::test]
async fn what_root_asks_for_is_on_the_audit_trail() {
    let rig = Rig::new().await;
    rig.root(&request(&[])).await;
    rig.root(&["hold", "release", "--owner", "nobody"]).await;
    let mut alice = rig.operator().await;
    let records = alice.info.list_audit_records(ListAuditRecordsRequest::default()).await.unwrap().into_inner().records;
    let told: Vec<_> = records
        .iter()
        .filter(|record| record.phase() == AuditPhase::Answered)
        .map(|record| (record.method.rsplit('/').next().unwrap(), record.outcome.split(':').next().unwrap()))
        .collect();
    assert_eq!(told, [("ReleaseHold", "NO_SUCH_HOLD"), ("RequestRestart", "accepted")]);
    let asked = records.last().unwrap();
    assert_eq!((asked.unit.as_str(), asked.address.as_str()), (UNIT, "unix socket"));
    assert_eq!((asked.requester.as_str(), asked.reason.as_str()), ("puppet@cp1", "certificate renewed"));
    assert!(asked.caller[0].starts_with("UID="), "{:?}", asked.caller);
}

#[tokio::test]
async fn the_status_is_for_people_or_one_document() {
    let rig = Rig::new().await;
    rig.root(&request(&[])).await;
    rig.root(&["hold", "set", "--owner", "alice", "-r", "disk"]).await;
    let told = rig.root(&["status"]).await;
    for words in [
        "node             node-1",
        &format!("unit             {UNIT} active (running)"),
        "HELD             by alice until it is released: disk",
        &format!("restart wanted   {UNIT}: certificate renewed (puppet@cp1, "),
    ] {
        assert!(told.text.contains(words), "{words} is not in\n{}", told.text);
    }
    let told = rig.root(&["status", "-o", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&told.text).unwrap();
    assert_eq!((&json["kind"], &json["name"]), (&"NodeStatus".into(), &"node-1".into()));
    assert_eq!(json["wantedRestarts"][0]["requests"][0]["reason"], "certificate renewed");
    assert_eq!(json["holds"][0]["owner"], "alice");
}

#[tokio::test]
async fn root_is_served_while_the_certificates_are_missing_or_broken_and_callers_once_they_are_not() {
    for broken in [None, Some("garbage")] {
        let mut rig = Rig::without_agent("");
        let key = rig.path().join("agent-key.pem");
        let good = fs::read(&key).unwrap();
        match broken {
            None => fs::remove_file(&key).unwrap(),
            Some(text) => fs::write(&key, text).unwrap(),
        }
        rig.start().await;
        let told = rig.root(&["status"]).await;
        assert_eq!(told.exit, Exit::Done, "{told:?}");
        let words = ["node             node-1", "no caller is served but root on this node", "agent-key.pem"];
        assert!(words.iter().all(|words| told.text.contains(words)), "{}", told.text);
        assert_eq!(rig.agent().address(), None, "nobody else is let in");
        let hold = ["hold", "set", "--owner", "alice", "-r", "its key is lost"];
        assert_eq!(rig.root(&hold).await.exit, Exit::Done);

        fs::write(&key, good).unwrap();
        rig.agent().live().reload();
        let open = async {
            while rig.agent().address().is_none() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(5), open).await.expect("the agent listens");
        let node = rig.operator().await.node().await;
        assert_eq!(node.holds.len(), 1);
        assert!(!node.warnings.iter().any(|warning| warning.contains("no caller is served")), "{:?}", node.warnings);
    }
}

#[tokio::test]
async fn without_an_agent_it_is_said_what_to_look_at() {
    let rig = Rig::without_agent("");
    let told = rig.root(&["status"]).await;
    assert_eq!(told.exit, Exit::Failed);
    assert!(told.text.contains("systemctl status usher-agent"), "{}", told.text);
}

#[tokio::test]
async fn what_root_says_is_bounded_as_what_callers_say() {
    let rig = Rig::new().await;
    for (words, field) in [
        (vec!["request-restart", UNIT, "-r", " "], "reason"),
        (vec!["request-restart", UNIT, "-r", "x\ny"], "reason"),
        (vec!["hold", "set", "--owner", "", "-r", "x"], "owner"),
        (vec!["hold", "set", "--owner", "a", "-r", "x", "--for", "0s"], "lasts"),
        (vec!["hold", "set", "--owner", "a", "-r", "x", "--until", "2020-01-01T00:00:00Z"], "lasts"),
    ] {
        let told = rig.root(&words).await;
        assert_eq!(told.exit, Exit::Refused, "{told:?}");
        assert!(told.text.contains("BAD_REQUEST") && told.text.contains(field), "{}", told.text);
    }
}
