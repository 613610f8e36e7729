//! The sandbox, as `make demo` shows it.
#![allow(clippy::unwrap_used, reason = "what the test's own function cannot do fails the test")]

use std::{path::PathBuf, process::Command};

/// The programs under test: those that were told, else the newest build, release or debug.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("USHER_BIN_DIR") {
        return folder.into();
    }
    let target = PathBuf::from(env!("CARGO_BIN_EXE_sandbox")).parent().unwrap().parent().unwrap().to_owned();
    let built = |folder: &PathBuf| {
        let built = |program| folder.join(program).metadata().and_then(|it| it.modified()).ok();
        built("usher").min(built("usher-agent"))
    };
    ["debug", "release"].map(|profile| target.join(profile)).into_iter().max_by_key(built).unwrap()
}

#[test]
fn the_demo_runs_to_its_end_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .arg("demo")
        .env("USHER_BIN_DIR", programs())
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    assert!(demo.status.success(), "{out}\n{err}");
    assert_eq!(out.matches("[exit 0]").count(), 5, "{out}\n{err}");
    assert_eq!(out.matches("[exit 3]").count(), 1, "{out}\n{err}");
    let left: Vec<_> = folder.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
