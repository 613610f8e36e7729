//! The shipped programs on the sandbox: what `make demo` shows, and what a terminal does to usher when it goes away, what an
//! upgrade does to an agent.

mod api;
mod clusters;
mod documents;
mod first;
mod limits;
mod node;
mod staging;
mod terminal;
mod upgrade;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::{sleep, timeout},
};

/// The kernel ends them at once; the rest is for a busy machine.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The programs under test: those that were told, else the newest build, this test's or the release.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("USHER_BIN_DIR") {
        return folder.into();
    }
    let own = PathBuf::from(env!("CARGO_BIN_EXE_sandbox")).parent().unwrap().to_owned();
    let release = own.with_file_name("release");
    let built = |folder: &PathBuf| {
        let built = |program| folder.join(program).metadata().and_then(|it| it.modified()).ok();
        built("usher").min(built("usher-agent"))
    };
    [own, release].into_iter().max_by_key(built).unwrap()
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
    assert_eq!(out.matches("[exit 0]").count(), 17, "{out}\n{err}");
    assert_eq!(out.matches("[exit 3]").count(), 1, "{out}\n{err}");
    let left: Vec<_> = folder.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Processes that were started with a file of this folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let lines = fs::read_dir("/proc").unwrap().filter_map(|process| {
        // A process that has ended in the meantime, or is only waiting to be reaped, has no command line.
        let line = fs::read_to_string(process.ok()?.path().join("cmdline")).ok()?;
        line.contains(folder).then(|| line.replace('\0', " "))
    });
    lines.collect()
}

#[tokio::test]
async fn a_sandbox_that_is_killed_takes_its_agents_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut sandbox = tokio::process::Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .arg("up")
        .env("USHER_BIN_DIR", programs())
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sandbox.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().is_some_and(|line| line.contains("up after")));
    let agents = processes_of(folder.path());
    assert_eq!(agents.len(), 5, "{agents:#?}");

    let pid = sandbox.id().and_then(|pid| pid.try_into().ok()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    sandbox.wait().await.unwrap();
    let gone = timeout(GONE_WITHIN, async {
        while !processes_of(folder.path()).is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    gone.await.unwrap_or_else(|_| panic!("{:#?} live on", processes_of(folder.path())));
}
