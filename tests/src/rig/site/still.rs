//! Paused time and real commands: while one runs, time stands still.
//!
//! Tokio moves paused time on whenever everything waits. It cannot know that a command is about to end, and would run into
//! the command's time limit first. It does not move it while blocking work goes on; so there is some for as long as this
//! thread has a child.

use std::{
    pin::pin,
    sync::mpsc::{Sender, channel},
};

use nix::{
    errno::Errno,
    sys::wait::{Id, WaitPidFlag, waitid},
};

/// Runs `future`; time stands still while a command that it has started runs.
pub(super) async fn still_during_commands<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut hold: Option<Sender<()>> = None;
    std::future::poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        match has_children() {
            true if hold.is_none() => hold = Some(hold_time()),
            true => {}
            false => hold = None,
        }
        polled
    })
    .await
}

/// Time stands still until the sender is dropped.
fn hold_time() -> Sender<()> {
    let (sender, held) = channel::<()>();
    tokio::task::spawn_blocking(move || held.recv());
    sender
}

/// Whether this thread has started a command that nobody has waited for. Other threads run other tests.
fn has_children() -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::__WNOTHREAD;
    waitid(Id::All, look) != Err(Errno::ECHILD)
}
