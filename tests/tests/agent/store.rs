//! The state directory: damage, age, number.

use std::{fs, path::Path};

use jiff::SignedDuration;
use usher_common::clock;
use usher_proto::v1::ListOperationsRequest;
use usher_testkit::rig::agent::{Rig, UNIT, order, succeeded};

async fn restarted(rig: &Rig, id: &str) {
    let mut alice = rig.operator().await;
    let now = rig.systemd.unit(UNIT).invocation_id;
    alice.restart(order(id), UNIT, &now).await.unwrap();
    assert!(succeeded(&alice.end_of(id).await));
}

#[tokio::test]
async fn damaged_files_are_told_of_and_stop_nobody() {
    let mut rig = Rig::new().await;
    restarted(&rig, "good").await;
    restarted(&rig, "bad").await;
    rig.kill();
    let state = rig.path().join("state");
    for entry in fs::read_dir(state.join("operations")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".bad.") {
            fs::write(path, "{").unwrap();
        }
    }
    fs::write(state.join("epoch.json"), "{").unwrap();
    fs::write(state.join("running.json"), "{").unwrap();
    fs::write(state.join("operations/1.unit.x.json.unfinished"), "{").unwrap();
    rig.start().await;

    let mut bob = rig.viewer().await;
    assert!(bob.operation("good").await.is_ok());
    assert_eq!(bob.operation("bad").await.unwrap_err().code(), tonic::Code::Unavailable);
    let node = bob.node().await;
    assert_eq!(node.highest_epoch, 1, "the operations tell the epoch that the damaged file does not");
    for part in ["epoch.damaged", "running.damaged"] {
        assert!(node.warnings.iter().any(|warning| warning.contains(part)), "{:?}", node.warnings);
    }
    assert!(!state.join("operations/1.unit.x.json.unfinished").exists());
    restarted(&rig, "more").await;
}

/// Renames stored operations, so that they began eight days earlier.
fn make_older(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (sequence, rest) = name.split_once('.').unwrap();
        let (started, rest) = rest.split_once('.').unwrap();
        let eight_days = 8 * 24 * 60 * 60 * 1000;
        let older = started.parse::<i64>().unwrap() - eight_days;
        fs::rename(folder.join(&name), folder.join(format!("{sequence}.{older}.{rest}"))).unwrap();
    }
}

#[tokio::test]
async fn operations_beyond_the_number_kept_are_forgotten_after_a_week() {
    let mut rig = Rig::with("[operations]\nkeep_count = 2\n").await;
    for id in ["a", "b", "c", "d"] {
        restarted(&rig, id).await;
    }
    rig.kill();
    let folder = rig.path().join("state/operations");
    let count = || fs::read_dir(&folder).unwrap().count();
    assert_eq!(count(), 4, "none of them is a week old");
    make_older(&folder);
    rig.start().await;
    while count() > 2 {
        tokio::task::yield_now().await;
    }
    let mut bob = rig.viewer().await;
    assert!(bob.operation("c").await.is_ok() && bob.operation("d").await.is_ok());
    assert_eq!(bob.operation("a").await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn how_many_operations_are_kept_follows_the_file_without_a_restart() {
    let mut rig = Rig::with("[operations]\nkeep_count = 900\n").await;
    for id in ["a", "b", "c"] {
        restarted(&rig, id).await;
    }
    rig.kill();
    let folder = rig.path().join("state/operations");
    make_older(&folder);
    rig.start().await;
    restarted(&rig, "d").await;
    assert!(rig.viewer().await.operation("a").await.is_ok());

    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("keep_count = 900", "keep_count = 2")).unwrap();
    rig.agent().live().reload();
    let warnings = rig.viewer().await.node().await.warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("restart the agent")), "{warnings:?}");
    // Each operation that ends is a look at what may be forgotten.
    restarted(&rig, "e").await;
    while fs::read_dir(&folder).unwrap().count() > 2 {
        tokio::task::yield_now().await;
    }
    let mut bob = rig.viewer().await;
    assert!(bob.operation("d").await.is_ok() && bob.operation("e").await.is_ok());
    assert_eq!(bob.operation("a").await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_clock_that_was_wrong_loses_no_operation_and_changes_no_order() {
    let mut rig = Rig::new().await;
    let now = clock::now();
    for (id, days) in [("a", 0), ("ahead", 100), ("behind", -20_000), ("z", 0)] {
        clock::follow_tokio(now + SignedDuration::from_hours(24 * days));
        rig.kill();
        rig.start().await;
        restarted(&rig, id).await;
    }
    let mut bob = rig.viewer().await;
    for _ in 0..2 {
        let listed = bob.info.list_operations(ListOperationsRequest { limit: 0 }).await.unwrap().into_inner();
        let ids: Vec<_> = listed.operations.iter().map(|operation| operation.id.as_str()).collect();
        assert_eq!(ids, ["z", "behind", "ahead", "a"]);
        rig.kill();
        rig.start().await;
        bob = rig.viewer().await;
    }
}

#[tokio::test]
async fn a_list_stops_before_it_is_too_long_for_its_reader() {
    let rig = Rig::without_agent("");
    let folder = rig.path().join("state/operations");
    fs::create_dir_all(&folder).unwrap();
    for number in 1..=60 {
        let step = serde_json::json!({"at": "2025-10-09T00:00:00Z", "name": "failed", "message": "x".repeat(50_000)});
        let record = serde_json::json!({
            "id": format!("op{number}"), "sequence": number, "change": {"kind": "start_unit", "unit": UNIT},
            "order": {"epoch": 1, "reason": "r", "task_id": "", "requester": ""}, "caller": [], "boot_id": "b",
            "started_at": "2025-10-09T00:00:00Z", "ended_at": "2025-10-09T00:00:01Z", "progress": {"phase": "accepted"},
            "state": {"state": "succeeded"}, "steps": [step], "evidence": {"invocation_id_before": "",
            "invocation_id_after": "", "boot_id_before": "", "boot_id_after": "", "unit_took": null},
        });
        fs::write(folder.join(format!("{number:010}.1760000000000.unit.op{number}.json")), record.to_string()).unwrap();
    }
    let mut rig = rig;
    rig.start().await;
    let mut bob = rig.viewer().await;
    let listed = bob.info.list_operations(ListOperationsRequest { limit: 0 }).await.unwrap().into_inner().operations;
    assert!((10..=21).contains(&listed.len()), "{}", listed.len());
    assert_eq!(listed[0].id, "op60");
}

#[tokio::test]
async fn operations_beyond_their_age_are_forgotten_at_the_next_start() {
    let mut rig = Rig::with("[operations]\nkeep = '1h'\n").await;
    restarted(&rig, "new").await;
    rig.kill();
    let folder = rig.path().join("state/operations");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::copy(&file, folder.join("1700000000000.unit.old.json")).unwrap();
    let now = clock::now().as_millisecond();
    for number in 2..=100 {
        fs::copy(&file, folder.join(format!("{number:010}.{now}.unit.copy{number}.json"))).unwrap();
    }
    rig.start().await;
    while folder.join("1700000000000.unit.old.json").exists() {
        tokio::task::yield_now().await;
    }
    assert!(rig.viewer().await.operation("new").await.is_ok());
}
