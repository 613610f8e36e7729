//! The node's member of etcd: what it tells, and handing its leadership on.

use std::fs;

use tonic::{Code, Status};
use usher_proto::{
    etcd::AlarmType,
    reason,
    v1::{
        AuditPhase, EtcdMember, GetEtcdMemberRequest, ListAuditRecordsRequest, MoveEtcdLeaderRequest, Order,
        ProbeUnitRequest,
    },
};
use usher_testkit::{
    etcd::{CONFIGURATION, FakeEtcd, Move},
    pki::{Ca, Names},
    rig::agent::{Caller, OTHER, Rig, UNIT, order, refused},
};

/// An agent beside the first of three members, which leads.
async fn rig() -> (Rig, FakeEtcd) {
    let etcd = FakeEtcd::new(&["node-1", "node-2", "node-3"]);
    let mut rig = Rig::without_agent(CONFIGURATION);
    etcd.write(rig.path());
    rig.start_with(|edges| edges.dial = etcd.dial("node-1")).await;
    (rig, etcd)
}

async fn asked(caller: &mut Caller) -> Result<EtcdMember, Status> {
    Ok(caller.info.get_etcd_member(GetEtcdMemberRequest {}).await?.into_inner().member.unwrap())
}

async fn moved(caller: &mut Caller, order: Order, from: u64, to: u64) -> Result<EtcdMember, Status> {
    let request = MoveEtcdLeaderRequest { order: Some(order), expected_leader_id: from, to_member_id: to };
    Ok(caller.control.move_etcd_leader(request).await?.into_inner().member.unwrap())
}

#[tokio::test]
async fn a_viewer_learns_what_the_member_says_of_itself_and_of_the_others() {
    let (rig, etcd) = rig().await;
    etcd.raise("node-2", AlarmType::Nospace);
    let member = asked(&mut rig.viewer().await).await.unwrap();
    assert_eq!((member.url.as_str(), member.unit.as_str()), ("https://127.0.0.1:2379", "etcd.service"));
    assert_eq!((member.problem.as_str(), member.name.as_str(), member.version.as_str()), ("", "node-1", "3.7.3"));
    assert_eq!((member.cluster_id, member.member_id, member.leader_id, member.raft_term), (0xc1, 1, 1, 2));
    assert_eq!((member.raft_index, member.raft_applied_index, member.is_learner), (10_000, 10_000, false));
    assert_eq!((member.db_size, member.db_size_in_use), (20 << 20, 10 << 20));
    let alarms: Vec<_> = member.alarms.iter().map(|alarm| (alarm.member_id, alarm.kind.as_str())).collect();
    assert_eq!(alarms, [(2, "NOSPACE")]);
    let listed: Vec<_> = member.members.iter().map(|peer| (peer.member_id, peer.name.as_str())).collect();
    assert_eq!(listed, [(1, "node-1"), (2, "node-2"), (3, "node-3")]);
    assert_eq!(member.members[2].client_urls, ["https://10.77.0.3:2379"]);
}

#[tokio::test]
async fn a_member_without_a_quorum_still_tells_its_state_and_says_what_the_cluster_does_not_answer() {
    let (rig, etcd) = rig().await;
    etcd.stop("node-2");
    etcd.stop("node-3");
    let member = asked(&mut rig.viewer().await).await.unwrap();
    assert_eq!((member.problem.as_str(), member.member_id, member.leader_id), ("", 1, 0));
    assert_eq!(
        member.errors,
        ["etcdserver: no leader", "the cluster does not tell its alarms: no answer, as if it had no quorum"]
    );
}

#[tokio::test]
async fn a_learner_is_told_as_such_although_it_answers_to_little() {
    let etcd = FakeEtcd::new(&["node-2", "node-3", "node-4"]);
    etcd.add_learner("node-1");
    let mut rig = Rig::without_agent(CONFIGURATION);
    etcd.write(rig.path());
    rig.start_with(|edges| edges.dial = etcd.dial("node-1")).await;
    let member = asked(&mut rig.viewer().await).await.unwrap();
    assert_eq!((member.problem.as_str(), member.member_id, member.is_learner), ("", 4, true));
    assert_eq!(member.errors, ["the cluster does not tell its alarms: etcdserver: rpc not supported for learner"]);
}

#[tokio::test]
async fn a_member_that_does_not_answer_or_distrusts_the_agent_is_an_answer_with_the_reason() {
    let (rig, etcd) = rig().await;
    let mut viewer = rig.viewer().await;
    etcd.stop("node-1");
    let member = asked(&mut viewer).await.unwrap();
    assert_eq!(member.problem, "https://127.0.0.1:2379: connection refused");
    assert_eq!((member.member_id, member.unit.as_str()), (0, "etcd.service"));

    etcd.start("node-1");
    etcd.hang("node-1");
    let problem = asked(&mut viewer).await.unwrap().problem;
    assert_eq!(problem, "https://127.0.0.1:2379 gives no answer within 400ms");

    // Read anew for each question: another authority's certificate is shown from now on.
    let stranger = Ca::new("etcd").unwrap().client(&Names { common_name: "x", ..Names::default() }).unwrap();
    stranger.write(rig.path(), "etcd").unwrap();
    let problem = asked(&mut viewer).await.unwrap().problem;
    assert!(problem.starts_with("https://127.0.0.1:2379: ") && problem.contains("alert"), "{problem}");
    fs::remove_file(rig.path().join("etcd-ca.pem")).unwrap();
    let problem = asked(&mut viewer).await.unwrap().problem;
    assert!(problem.starts_with("the CA ") && problem.contains("etcd-ca.pem cannot be used"), "{problem}");
}

#[tokio::test]
async fn an_agent_that_is_told_of_no_member_says_so() {
    let rig = Rig::new().await;
    let status = asked(&mut rig.viewer().await).await.unwrap_err();
    let (code, why, _) = refused(&status, "");
    assert_eq!((code, why.as_str()), (Code::FailedPrecondition, reason::NO_ETCD));
    let status = moved(&mut rig.operator().await, order("a"), 1, 2).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::NO_ETCD);
}

#[tokio::test]
async fn the_leadership_goes_to_the_member_that_is_named_and_the_audit_trail_tells_of_it() {
    let (rig, etcd) = rig().await;
    let mut alice = rig.operator().await;
    let member = moved(&mut alice, Order { dry_run: true, ..order("dry") }, 1, 3).await.unwrap();
    assert_eq!((member.leader_id, etcd.moves()), (1, Vec::new()));
    let member = moved(&mut alice, order("move"), 1, 3).await.unwrap();
    assert_eq!((member.leader_id, etcd.moves()), (3, vec![Move::asked("node-1", "node-3")]));
    assert_eq!(alice.node().await.highest_epoch, 1, "the epoch is kept");

    let records = alice.info.list_audit_records(ListAuditRecordsRequest::default()).await.unwrap().into_inner().records;
    let told = records.iter().filter(|record| record.operation_id == "move");
    let told: Vec<_> = told.map(|record| (record.phase(), record.method.as_str(), record.outcome.as_str())).collect();
    let method = "usher.agent.v1.NodeControl/MoveEtcdLeader";
    assert_eq!(told, [(AuditPhase::Answered, method, "accepted"), (AuditPhase::Received, method, "")]);

    let status = moved(&mut alice, order("again"), 1, 3).await.unwrap_err();
    let (code, why, leader) = refused(&status, "leader");
    assert_eq!((code, why.as_str(), leader.as_str()), (Code::FailedPrecondition, reason::NOT_ETCD_LEADER, "3"));
}

#[tokio::test]
async fn a_move_is_refused_as_other_changes_are_and_then_nothing_has_moved() {
    let (rig, etcd) = rig().await;
    etcd.add_learner("node-4");
    let mut alice = rig.operator().await;
    alice.fence(5).await.unwrap();
    let now = |id| Order { epoch: 5, ..order(id) };
    let cases: [(&str, Order, u64, u64, &str); 6] = [
        ("an older epoch", order("a"), 1, 2, reason::STALE_EPOCH),
        ("another node", Order { node: "node-9".into(), ..now("b") }, 1, 2, reason::WRONG_NODE),
        ("no reason", Order { reason: String::new(), ..now("c") }, 1, 2, reason::BAD_REQUEST),
        ("another member leads than expected", now("d"), 2, 3, reason::NOT_ETCD_LEADER),
        ("to a learner", now("e"), 1, 4, reason::BAD_REQUEST),
        ("to nobody", now("f"), 1, 0, reason::BAD_REQUEST),
    ];
    for (what, order, from, to, expected) in cases {
        let status = moved(&mut alice, order, from, to).await.unwrap_err();
        assert_eq!(refused(&status, "").1, expected, "{what}: {status:?}");
    }
    let status = moved(&mut rig.viewer().await, now("g"), 1, 2).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::ROLE_TOO_LOW);
    fs::write(rig.path().join("hold"), "disk\n").unwrap();
    let status = moved(&mut alice, now("h"), 1, 2).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::HELD);
    fs::remove_file(rig.path().join("hold")).unwrap();
    etcd.hang("node-1");
    let status = moved(&mut alice, now("i"), 1, 2).await.unwrap_err();
    assert_eq!((status.code(), refused(&status, "").1.as_str()), (Code::Unavailable, reason::ETCD_UNAVAILABLE));
    assert!(etcd.moves().is_empty());
}

#[tokio::test]
async fn a_caller_with_limits_moves_the_leadership_only_if_it_may_restart_etcd_or_reboot_the_node() {
    let (rig, etcd) = rig().await;
    for (at, (limits, may)) in [
        (format!("units = ['{UNIT}'], may = ['restart']"), false),
        ("units = ['etcd.service'], may = ['stop']".to_owned(), false),
        ("units = ['etcd.service'], may = ['restart']".to_owned(), true),
        ("may = ['reboot']".to_owned(), true),
    ]
    .into_iter()
    .enumerate()
    {
        rig.write_config(&format!("operator = [{{ name = 'CN=alice', {limits} }}]"));
        rig.agent().live().reload();
        let mut alice = rig.operator().await;
        etcd.lead("node-1");
        let answer = moved(&mut alice, order(&format!("{at}")), 1, 2).await;
        let refusal = answer.err().map(|status| refused(&status, "").1);
        assert_eq!(refusal.as_deref(), (!may).then_some(reason::CALLER_LIMITED), "{limits}");
    }
}

#[tokio::test]
async fn a_unit_without_a_probe_or_outside_the_configuration_is_not_probed() {
    let rig = Rig::new().await;
    let mut viewer = rig.viewer().await;
    for (unit, expected) in [(UNIT, reason::NO_PROBE), (OTHER, reason::UNIT_NOT_ALLOWED)] {
        let status = viewer.info.probe_unit(ProbeUnitRequest { unit: unit.to_owned() }).await.unwrap_err();
        assert_eq!(refused(&status, "").1, expected, "{unit}");
    }
}
