//! What the agent finds in its state directory: files that a bad disk, another version or a hand has changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use tokio::time::sleep;
use tonic_types::StatusExt as _;
use usher_agent::local::Exit;
use usher_proto::v1::ListOperationsRequest;
use usher_testkit::rig::{
    agent::{Caller, Rig, UNIT, order},
    until::until,
};

use super::{PANICS, assert_no_panic, count_panics, mutate, plain};

/// For each file. Each starts an agent, which takes some ten milliseconds.
const COUNT: usize = 60;

#[tokio::test(start_paused = true)]
async fn an_agent_starts_and_answers_whatever_is_in_its_files() {
    count_panics();
    let mut rig = Rig::new().await;
    rig.kill();
    let state = rig.path().join("state");
    let files = history(&mut rig).await;
    let corpus = mutate::corpus("stored");
    for (changed, content) in &files {
        let samples = [vec![content.clone(), b"{}".to_vec(), Vec::new()], corpus.clone()].concat();
        for input in mutate::inputs(samples, COUNT) {
            let before = PANICS.load(Ordering::Relaxed);
            // A thread of the agent before may still be writing.
            until("the folder is gone", async || fs::remove_dir_all(&state).is_ok()).await;
            for (file, content) in &files {
                write(file, if file == changed { &input } else { content });
            }
            let door = plain::start(&mut rig).await;
            let mut caller = Caller::over(door.connect().await.0);
            assert_eq!(caller.node().await.name, "node-1");
            caller.info.list_operations(ListOperationsRequest { limit: 0 }).await.unwrap();
            if let Err(status) = caller.start(order("next"), UNIT).await {
                assert!(status.get_details_error_info().is_some(), "{status:?} after {}", mutate::shown(&input));
            }
            // What the files have left to do begins.
            sleep(Duration::from_secs(30)).await;
            assert_eq!(caller.node().await.name, "node-1");
            rig.kill();
            assert_no_panic(before, &input);
        }
    }
}

/// The files of an agent that was killed in the middle of its second operation.
async fn history(rig: &mut Rig) -> BTreeMap<PathBuf, Vec<u8>> {
    let door = plain::start(rig).await;
    let mut alice = Caller::over(door.connect().await.0);
    alice.restart(order("first"), UNIT, &rig.invocation).await.unwrap();
    let ended = alice.end_of("first").await;
    rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(3600));
    let now = ended.evidence.unwrap().invocation_id_after;
    alice.restart(order("second"), UNIT, &now).await.unwrap();
    alice.until_step("second", "job").await;
    for words in [&["request-restart", UNIT, "-r", "x"][..], &["hold", "set", "--owner", "a", "-r", "x", "--for", "1h"]]
    {
        let told = rig.root(words).await;
        assert_eq!(told.exit, Exit::Done, "{told:?}");
    }
    rig.kill();
    let state = rig.path().join("state");
    // Nothing was stopped or rebooted.
    let mut files = BTreeMap::from(["stopped.json", "reboots.json"].map(|file| (state.join(file), b"{}".to_vec())));
    collect(&state, &mut files);
    assert!(files.len() >= 9, "{:?}", files.keys());
    files
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

fn write(file: &Path, content: &[u8]) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}
