//! `usher-agent COMMAND`: what root on the node asks of the agent that runs, over the agent's Unix socket.

mod client;
mod hold;
mod request;
mod status;

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use nix::unistd::{User, getuid};

pub use client::{Client, Failure};

use crate::{
    arguments::{Asker, Command, Hold},
    host,
};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It is done, or noted.
    Done = 0,
    /// The agent does not answer, or what was waited for did not go well.
    Failed = 1,
    /// Nothing was changed.
    Refused = 3,
    /// Time is over, and what was asked for is still wanted.
    TimedOut = 5,
}

/// What a command tells its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How it ended.
    pub exit: Exit,
    /// For standard output if all is done, else for standard error.
    pub text: String,
}

impl Told {
    fn done(text: impl Into<String>) -> Self {
        Self { exit: Exit::Done, text: text.into() }
    }
}

/// Runs a command to its end, prints what came of it, and says how the process ends.
pub fn main(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return print(&Told { exit: Exit::Failed, text: format!("cannot start: {error}") }),
    };
    print(&runtime.block_on(run(command)))
}

/// Runs a command to its end, and gives what it tells.
pub async fn run(command: Command) -> Told {
    ask(command).await.unwrap_or_else(Failure::into_told)
}

async fn ask(command: Command) -> Result<Told, Failure> {
    match command {
        Command::Status { socket, output } => status::show(&mut Client::connect(&socket.path).await?, output).await,
        Command::RequestRestart(request) => {
            let client = Client::connect(&request.asker.socket.path).await?;
            let progress = |line: &str| drop(writeln!(stderr(), "{line}"));
            request::ask(client, &request, &requester(&request.asker), progress).await
        }
        Command::WithdrawRestart { unit, reason, asker } => {
            let mut client = Client::connect(&asker.socket.path).await?;
            request::withdraw(&mut client, &unit, &reason, &requester(&asker)).await
        }
        Command::Hold(Hold::Set { owner, reason, lasts, until, asker }) => {
            let mut client = Client::connect(&asker.socket.path).await?;
            hold::set(&mut client, owner, reason, hold::End { lasts, until }, requester(&asker)).await
        }
        Command::Hold(Hold::Release { owner, asker }) => {
            let mut client = Client::connect(&asker.socket.path).await?;
            hold::release(&mut client, owner, requester(&asker)).await
        }
    }
}

fn print(told: &Told) -> ExitCode {
    // If nobody reads, the exit code still tells how it ended.
    let _ = match told.exit {
        Exit::Done => writeln!(stdout(), "{}", told.text),
        _ => writeln!(stderr(), "usher-agent: {}", told.text),
    };
    ExitCode::from(told.exit as u8)
}

/// The person, as user@host: who is named, else the one behind sudo, else the user of this process.
fn requester(asker: &Asker) -> String {
    if let Some(named) = &asker.requester {
        return named.clone();
    }
    let behind_sudo = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty());
    let own = || User::from_uid(getuid()).ok().flatten().map(|user| user.name);
    let user = behind_sudo.or_else(own).unwrap_or_else(|| format!("uid{}", getuid()));
    format!("{user}@{}", host::name())
}

/// A unit's name with its suffix: as for systemctl, a name without one is a service's.
fn unit_name(name: &str) -> String {
    let has_suffix = usher_common::unit::SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    if has_suffix { name.to_owned() } else { format!("{name}.service") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_without_a_suffix_is_a_service() {
        assert_eq!(unit_name("kube-apiserver"), "kube-apiserver.service");
        assert_eq!(unit_name("kube-apiserver.service"), "kube-apiserver.service");
        assert_eq!(unit_name("etcd@a"), "etcd@a.service");
    }
}
