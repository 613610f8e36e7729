//! The audit trail: who asked for what, on disk and over the wire, whatever the caller does.

use std::{fs, time::Duration};

use tokio::time::timeout;
use usher_agent::certificate::Certificate;
use usher_proto::{
    reason,
    v1::{AuditPhase, AuditRecord, GetNodeRequest, ListAuditRecordsRequest, Order, RestartUnitRequest},
};
use usher_testkit::{
    pki::Names,
    rig::agent::{Caller, OTHER, Rig, UNIT, order, refused, succeeded},
};

async fn records(caller: &mut Caller) -> Vec<AuditRecord> {
    caller.info.list_audit_records(ListAuditRecordsRequest::default()).await.unwrap().into_inner().records
}

fn phases(records: &[AuditRecord], id: &str) -> Vec<AuditPhase> {
    records.iter().filter(|record| record.operation_id == id).map(AuditRecord::phase).collect()
}

#[tokio::test]
async fn each_change_is_recorded_when_it_comes_and_when_it_is_answered_with_the_callers_certificate() {
    let mut rig = Rig::new().await;
    let identity = rig.ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap();
    let pem = rustls_pki_types::pem::PemObject::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let certificate = Certificate::parse(&pem).unwrap();
    let mut alice = rig.connect(&identity).await.unwrap();
    alice.restart(order("good"), UNIT, &rig.invocation).await.unwrap();
    let end = alice.end_of("good").await;
    assert!(succeeded(&end));
    assert_eq!(end.caller_fingerprint, certificate.fingerprint.to_string());
    let bad = Order { requester: "mallory@elsewhere".to_owned(), epoch: 2, ..order("bad") };
    alice.restart(bad, OTHER, &rig.invocation).await.unwrap_err();

    for _ in 0..2 {
        let mut alice = rig.connect(&identity).await.unwrap();
        let told = records(&mut alice).await;
        let seen: Vec<_> =
            told.iter().map(|record| (record.number, record.phase(), record.operation_id.as_str())).collect();
        use AuditPhase::{Answered, Received};
        assert_eq!(seen, [(4, Answered, "bad"), (3, Received, "bad"), (2, Answered, "good"), (1, Received, "good")]);
        let bad = &told[0];
        assert!(bad.outcome.starts_with("UNIT_NOT_ALLOWED: "), "{}", bad.outcome);
        assert_eq!((bad.unit.as_str(), bad.requester.as_str(), bad.epoch), (OTHER, "mallory@elsewhere", 2));
        assert_eq!((bad.reason.as_str(), bad.task_id.as_str()), ("new CA", "T1"));
        assert_eq!(bad.caller, ["CN=alice"]);
        assert_eq!(bad.caller_fingerprint, certificate.fingerprint.to_string());
        assert_eq!((bad.caller_serial.as_str(), bad.caller_issuer.as_str()), (certificate.serial.as_str(), "CN=rig"));
        assert!(bad.address.starts_with("127.0.0.1:"), "{}", bad.address);
        assert_eq!((told[2].outcome.as_str(), told[3].outcome.as_str()), ("accepted", ""));
        rig.kill();
        rig.start().await;
    }
    let text = fs::read_to_string(rig.path().join("state/audit.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&line["phase"], &line["caller"]), (&"received".into(), &serde_json::json!(["CN=alice"])));
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_escape_the_trail() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    // A caller that gives up sooner and sooner before the answer: at some time the call has come in and is not answered.
    let mut carried_out = 0;
    for patience in (1..40).map(|step| Duration::from_micros(step * 150)) {
        let id = format!("op{}", patience.as_micros());
        let now = rig.systemd.unit(UNIT).invocation_id;
        let call = alice.restart(order(&id), UNIT, &now);
        let answered = timeout(patience, call).await.is_ok();
        tokio::time::sleep(Duration::from_millis(50)).await;
        if !answered && alice.operation(&id).await.is_ok() {
            carried_out += 1;
            alice.end_of(&id).await;
            let phases = phases(&records(&mut alice).await, &id);
            assert_eq!(phases, [AuditPhase::Answered, AuditPhase::Received], "{id}");
        }
    }
    assert!(carried_out > 0, "no call was given up between its coming and its answer");
}

#[tokio::test]
async fn calls_refused_at_the_door_are_recorded_and_not_more_than_five_of_one_address_in_a_minute() {
    let rig = Rig::new().await;
    let mallory = Names { common_name: "mallory, O=sre", ..Names::default() };
    for _ in 0..8 {
        let mut mallory = rig.caller(&mallory).await;
        let status = mallory.info.get_node(GetNodeRequest {}).await.unwrap_err();
        assert_eq!(refused(&status, "").1, reason::NOT_LISTED);
    }
    let mut alice = rig.operator().await;
    let told = timeout(Duration::from_secs(10), async {
        loop {
            let told = records(&mut alice).await;
            if told.len() >= 5 {
                return told;
            }
        }
    });
    let told = told.await.unwrap();
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told.iter().all(|record| record.phase() == AuditPhase::Refused), "{told:?}");
    assert_eq!(told[0].method, "usher.agent.v1.NodeInfo/GetNode");
    assert_eq!(told[0].caller, ["CN=mallory, O=sre"], "one name, whatever is in it");
    assert!(told[0].outcome.starts_with("NOT_LISTED: ") && !told[0].caller_fingerprint.is_empty());

    // What a listed caller tries is not hidden by them.
    let status = rig.viewer().await.restart(order("a"), UNIT, &rig.invocation).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::ROLE_TOO_LOW);
    let told = timeout(Duration::from_secs(10), async {
        loop {
            if let Some(told) = records(&mut alice).await.into_iter().find(|told| told.method.ends_with("RestartUnit"))
            {
                return told;
            }
        }
    });
    assert!(told.await.unwrap().caller.contains(&"CN=bob".to_owned()));
}

#[tokio::test]
async fn the_trail_is_for_operators() {
    let rig = Rig::new().await;
    let status = rig.viewer().await.info.list_audit_records(ListAuditRecordsRequest::default()).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::ROLE_TOO_LOW);
}

#[tokio::test]
async fn a_trail_that_cannot_be_written_is_told_of_and_keeps_nobody_from_starting_a_unit() {
    let rig = Rig::new().await;
    fs::create_dir(rig.path().join("state/audit.jsonl")).unwrap();
    let mut alice = rig.operator().await;
    alice.start(order("a"), UNIT).await.unwrap();
    assert!(succeeded(&alice.end_of("a").await));
    let warnings = alice.node().await.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("the audit trail")), "{warnings:?}");
}

#[tokio::test]
async fn who_runs_the_operation_that_is_in_the_way_is_told_by_the_certificate_too() {
    let rig = Rig::new().await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(60));
    let mut alice = rig.operator().await;
    let order_by_bob = Order { requester: "bob@cumin1001".to_owned(), ..order("first") };
    alice.restart(order_by_bob, UNIT, &rig.invocation).await.unwrap();
    let status = alice.reboot(order("second"), "boot-1", &[]).await.unwrap_err();
    assert_eq!(refused(&status, "").1, reason::BUSY);
    assert!(status.message().contains("by bob@cumin1001 (CN=alice)"), "{}", status.message());
}

#[tokio::test]
async fn a_request_id_comes_back_and_stands_with_the_trace_in_the_records() {
    let rig = Rig::new().await;
    let mut alice = rig.operator().await;
    let unit = UNIT.to_owned();
    let expected_invocation_id = rig.invocation.clone();
    let mut request = tonic::Request::new(RestartUnitRequest { order: Some(order("a")), unit, expected_invocation_id });
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    request.metadata_mut().insert("x-request-id", "4f7k2.3".parse().unwrap());
    request.metadata_mut().insert("traceparent", format!("00-{trace}-00f067aa0ba902b7-01").parse().unwrap());
    let answer = alice.control.restart_unit(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "4f7k2.3");
    assert!(succeeded(&alice.end_of("a").await));

    // A call that is refused at the door has it too.
    let mut carol = rig.caller(&Names { common_name: "carol", ..Names::default() }).await;
    let mut request = tonic::Request::new(GetNodeRequest {});
    request.metadata_mut().insert("x-request-id", "carols".parse().unwrap());
    let refused = carol.info.get_node(request).await.unwrap_err();
    assert_eq!(refused.metadata().get("x-request-id").unwrap(), "carols");

    let text = fs::read_to_string(rig.path().join("state/audit.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_alice: Vec<_> = lines.iter().filter(|line| line["operation_id"] == "a").collect();
    assert_eq!(of_alice.len(), 2, "{text}");
    for line in of_alice {
        assert_eq!((&line["request_id"], &line["trace"]), (&"4f7k2.3".into(), &trace.into()));
    }
}
