//! The state directory: damage, age, number.

use std::fs;

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

#[tokio::test]
async fn operations_beyond_the_number_kept_are_forgotten() {
    let rig = Rig::with("[operations]\nkeep_count = 2\n").await;
    for id in ["a", "b", "c", "d"] {
        restarted(&rig, id).await;
    }
    let mut bob = rig.viewer().await;
    while fs::read_dir(rig.path().join("state/operations")).unwrap().count() > 2 {
        tokio::task::yield_now().await;
    }
    assert!(bob.operation("c").await.is_ok() && bob.operation("d").await.is_ok());
    assert_eq!(bob.operation("a").await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn operations_beyond_their_age_are_forgotten_at_the_next_start() {
    let mut rig = Rig::with("[operations]\nkeep = '1h'\n").await;
    restarted(&rig, "new").await;
    rig.kill();
    let folder = rig.path().join("state/operations");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::copy(&file, folder.join("1700000000000.unit.old.json")).unwrap();
    rig.start().await;
    while folder.join("1700000000000.unit.old.json").exists() {
        tokio::task::yield_now().await;
    }
    assert!(rig.viewer().await.operation("new").await.is_ok());
}
