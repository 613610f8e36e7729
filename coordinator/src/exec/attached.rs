//! A command of the operator's at usher's own terminal.

use std::os::unix::process::ExitStatusExt as _;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::signal::unix::{SignalKind, signal};

/// What shells add to the number of the signal that ended a command.
const BY_SIGNAL: i32 = 128;

/// Runs a command with usher's input and output and with these variables, to its end. It is in usher's process group: a ^C at the
/// terminal reaches it without usher, which waits for what it makes of it. SIGTERM and SIGHUP are passed on to it.
///
/// Returns its exit code; 128 and the number of the signal if one ended it, as a shell does.
///
/// # Errors
///
/// Why it could not be run, in words that go on from its name.
pub async fn attached(argv: &[String], variables: &[(&str, String)]) -> Result<u8, String> {
    let listen = |kind| signal(kind).map_err(|error| format!("cannot be run: no signals can be listened for: {error}"));
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    let mut command = super::command(argv)?;
    for (name, value) in variables {
        command.env(name, value);
    }
    let mut child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    // It may have ended a moment ago.
    let pass_on = |signal| pid.map(|pid| kill(pid, signal));
    loop {
        tokio::select! {
            biased;
            ended = child.wait() => {
                let status = ended.map_err(|error| format!("cannot be waited for: {error}"))?;
                let code = status.code().or_else(|| status.signal().map(|signal| BY_SIGNAL + signal));
                return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => drop(pass_on(Signal::SIGTERM)),
            _ = hangup.recv() => drop(pass_on(Signal::SIGHUP)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<u8, String> {
        attached(&["sh", "-c", script].map(str::to_owned), &[("USHER_EPOCH", "7".to_owned())]).await
    }

    #[tokio::test]
    async fn a_command_gives_its_own_exit_code_and_finds_what_it_is_told() {
        assert_eq!(shell("exit $USHER_EPOCH").await, Ok(7));
        assert_eq!(shell("kill -9 $$").await, Ok(137));
        let missing = attached(&["/nonexistent/tool".to_owned()], &[]).await;
        assert!(missing.unwrap_err().starts_with("cannot be run: "));
    }
}
