//! The state directory: damage, age, number.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::SignedDuration;
use tonic::Code;
use usher_common::clock;
use usher_proto::v1::ListOperationsRequest;
use usher_testkit::rig::{
    agent::{Caller, Rig, UNIT, order, succeeded},
    stored,
    until::until,
};

async fn restarted(rig: &Rig, id: &str) {
    let mut alice = rig.operator().await;
    let now = rig.systemd.unit(UNIT).invocation_id;
    alice.restart(order(id), UNIT, &now).await.unwrap();
    assert!(succeeded(&alice.end_of(id).await));
}

/// Damages the file of a stored operation.
fn damage(folder: &Path, id: &str) {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|file| file.to_string_lossy().ends_with(&format!(".{id}.json"))).unwrap();
    fs::write(file, "{").unwrap();
}

#[tokio::test]
async fn damaged_files_are_told_of_and_stop_nobody() {
    let mut rig = Rig::new().await;
    restarted(&rig, "good").await;
    restarted(&rig, "bad").await;
    rig.kill();
    let state = rig.path().join("state");
    damage(&state.join("operations"), "bad");
    fs::write(state.join("epoch.json"), "{").unwrap();
    fs::write(state.join("running.json"), "{").unwrap();
    fs::write(state.join("operations/1.unit.x.json.unfinished"), "{").unwrap();
    rig.start().await;

    let mut bob = rig.viewer().await;
    assert!(bob.operation("good").await.is_ok());
    assert_eq!(bob.operation("bad").await.unwrap_err().code(), Code::Unavailable);
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
    until("the oldest are forgotten", async || count() <= 2).await;
    let mut bob = rig.viewer().await;
    assert!(bob.operation("c").await.is_ok() && bob.operation("d").await.is_ok());
    assert_eq!(bob.operation("a").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_damaged_operation_is_told_of_until_it_is_forgotten() {
    let mut rig = Rig::with("[operations]\nkeep_count = 2\n").await;
    for id in ["bad", "good"] {
        restarted(&rig, id).await;
    }
    rig.kill();
    let folder = rig.path().join("state/operations");
    make_older(&folder);
    damage(&folder, "bad");
    rig.start().await;
    let mut bob = rig.viewer().await;
    let listed = bob.info.list_operations(ListOperationsRequest { limit: 0 }).await.unwrap().into_inner().operations;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let told = async |bob: &mut Caller| {
        let warnings = bob.node().await.warnings;
        warnings.into_iter().filter(|warning| warning.contains(".bad.json")).collect::<Vec<_>>()
    };
    let warnings = told(&mut bob).await;
    assert!(warnings.len() == 1 && warnings[0].contains("is damaged"), "{warnings:?}");

    restarted(&rig, "more").await;
    // The end of the operation is a look at what may be forgotten, and the epoch is stored after that.
    rig.operator().await.fence(2).await.unwrap();
    assert_eq!(bob.operation("bad").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(told(&mut bob).await, [""; 0]);
    assert!(bob.operation("good").await.is_ok());
}

/// Puts the file into force.
fn reload(rig: &Rig, from: &str, to: &str) {
    let file = rig.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(from, to)).unwrap();
    rig.agent().live().reload();
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

    reload(&rig, "keep_count = 900", "keep_count = 2");
    let warnings = rig.viewer().await.node().await.warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("restart the agent")), "{warnings:?}");
    // Each operation that ends is a look at what may be forgotten.
    restarted(&rig, "e").await;
    until("the oldest are forgotten", async || fs::read_dir(&folder).unwrap().count() <= 2).await;
    let mut bob = rig.viewer().await;
    assert!(bob.operation("d").await.is_ok() && bob.operation("e").await.is_ok());
    assert_eq!(bob.operation("a").await.unwrap_err().code(), Code::NotFound);
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
async fn a_list_has_the_newest_150_operations_at_most_and_50_if_nobody_says_how_many() {
    let mut rig = Rig::without_agent("");
    stored::operations(&rig.path().join("state"), 160, 1);
    rig.start().await;
    let mut bob = rig.viewer().await;
    for (limit, expected) in [(0, 50), (1, 1), (150, 150), (151, 150), (u32::MAX, 150)] {
        let listed = bob.info.list_operations(ListOperationsRequest { limit }).await.unwrap().into_inner();
        assert_eq!((listed.operations.len(), listed.truncated), (expected, false), "limit {limit}");
        assert_eq!(listed.operations[0].id, "op160");
        assert_eq!(listed.operations[expected - 1].id, format!("op{}", 161 - expected));
    }
}

#[tokio::test]
async fn a_list_stops_before_it_is_too_long_for_its_reader_and_says_so() {
    let mut rig = Rig::without_agent("");
    stored::operations(&rig.path().join("state"), 60, 50_000);
    rig.start().await;
    let mut bob = rig.viewer().await;
    let listed = bob.info.list_operations(ListOperationsRequest { limit: 0 }).await.unwrap().into_inner();
    let operations = listed.operations;
    assert!((10..=21).contains(&operations.len()), "{}", operations.len());
    assert_eq!((operations[0].id.as_str(), listed.truncated), ("op60", true));
    let few = bob.info.list_operations(ListOperationsRequest { limit: 3 }).await.unwrap().into_inner();
    assert_eq!((few.operations.len(), few.truncated), (3, false));
}

/// A stored operation of 2023, and 100 of now: as many are kept whatever their age.
async fn an_old_operation(rig: &mut Rig) -> PathBuf {
    restarted(rig, "new").await;
    rig.kill();
    let folder = rig.path().join("state/operations");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let old = folder.join("1700000000000.unit.old.json");
    fs::copy(&file, &old).unwrap();
    let now = clock::now().as_millisecond();
    for number in 2..=100 {
        fs::copy(&file, folder.join(format!("{number:010}.{now}.unit.copy{number}.json"))).unwrap();
    }
    old
}

#[tokio::test]
async fn operations_beyond_their_age_are_forgotten_at_the_next_start() {
    let mut rig = Rig::with("[operations]\nkeep = '1h'\n").await;
    let old = an_old_operation(&mut rig).await;
    rig.start().await;
    until("it is forgotten", async || !old.exists()).await;
    assert!(rig.viewer().await.operation("new").await.is_ok());
}

#[tokio::test]
async fn how_long_operations_are_kept_follows_the_file_without_a_restart() {
    let mut rig = Rig::with("[operations]\nkeep = '90d'\n").await;
    let old = an_old_operation(&mut rig).await;
    let two_days_ago = clock::now().as_millisecond() - 2 * 24 * 60 * 60 * 1000;
    let two_days_old = old.with_file_name(format!("{two_days_ago}.unit.old.json"));
    fs::rename(&old, &two_days_old).unwrap();
    rig.start().await;
    for (keep, is_kept) in [("90d", true), ("1d", false)] {
        reload(&rig, "keep = '90d'", &format!("keep = '{keep}'"));
        // The end of the first one is a look at what may be forgotten, and the second one is stored after that.
        for number in 1..=2 {
            restarted(&rig, &format!("{keep}.{number}")).await;
        }
        assert_eq!(two_days_old.exists(), is_kept, "{keep}");
    }
    let mut bob = rig.viewer().await;
    assert!(bob.operation("new").await.is_ok());
    let warnings = bob.node().await.warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("restart the agent")), "{warnings:?}");
}
