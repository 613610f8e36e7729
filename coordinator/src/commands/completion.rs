//! What a shell completes: commands and flags by themselves, nodes, components and clusters by asking.
//!
//! The script of `usher completion` asks usher at each TAB, through [`VARIABLE`]; kubectl asks `kubectl_complete-usher`. An answer
//! takes less than a second, whatever is dead.

use std::{
    ffi::{OsStr, OsString},
    io,
    sync::Arc,
    time::Duration,
};

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Parser as _};
use clap_complete::{
    Shell,
    engine::{ArgValueCompleter, CompletionCandidate, complete},
    env::Shells,
};
use tokio::time::timeout;

use super::choose;
use crate::{
    cli::{Cli, Global},
    cluster::Cluster,
    exit::Exit,
    output,
    problem::Problem,
};

/// Set by the script to the shell's name when it asks.
pub const VARIABLE: &str = "USHER_COMPLETE";

/// Who presses TAB does not wait longer.
const ANSWER: Duration = Duration::from_millis(800);

/// kubectl's word for candidates that are complete and no files (cobra's `ShellCompDirectiveNoFileComp`).
const NO_FILES: &str = ":4";

/// Prints the script by which a shell asks usher.
pub(super) fn script(shell: Shell) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    let name = shell.to_string();
    let shells = Shells::builtins();
    let known =
        shells.completer(&name).ok_or_else(|| Problem::usage(format!("nothing is known of the shell {name}")))?;
    known
        .write_registration(VARIABLE, "usher", "usher", "usher", &mut script)
        .map_err(|error| Problem::failed(format!("cannot write the script: {error}")))?;
    output::result(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

/// Answers a shell's script. `words` are its arguments: what is typed stands after `--`.
///
/// # Errors
///
/// If the shell is none that the script is for, or did not say where the cursor is.
pub fn answer(shell: &OsStr, words: Vec<OsString>) -> io::Result<Vec<u8>> {
    let typed: Vec<_> = words.into_iter().skip_while(|word| word != "--").skip(1).collect();
    let shells = Shells::builtins();
    let name = shell.to_string_lossy();
    let known =
        shells.completer(&name).ok_or_else(|| io::Error::other(format!("nothing is known of the shell {name}")))?;
    let mut answer = Vec::new();
    known.write_complete(&mut command(&typed), typed, std::env::current_dir().ok().as_deref(), &mut answer)?;
    Ok(answer)
}

/// Answers kubectl: a candidate on each line with its help behind a tab, and at last how to go on. `words` are those after
/// `kubectl usher`; the last one is to be completed.
pub fn answer_kubectl(words: Vec<OsString>) -> String {
    let typed: Vec<_> = std::iter::once(OsString::from("usher")).chain(words).collect();
    let last = typed.len().saturating_sub(1).max(1);
    let begun = typed.last().is_some_and(|word| !word.is_empty());
    let found = complete(&mut command(&typed), typed, last, None).unwrap_or_default();
    let is_flag = |candidate: &CompletionCandidate| candidate.get_value().to_string_lossy().starts_with('-');
    // Where nothing is typed yet, names come without all the flags that could stand there too.
    let names_alone = !begun && !found.iter().all(is_flag);
    let line = |candidate: &CompletionCandidate| {
        let value = candidate.get_value().to_string_lossy().into_owned();
        match candidate.get_help() {
            Some(help) => format!("{value}\t{}", help.to_string().lines().next().unwrap_or_default()),
            None => value,
        }
    };
    found
        .iter()
        .filter(|candidate| !(candidate.is_hide_set() || names_alone && is_flag(candidate)))
        .map(line)
        .chain([NO_FILES.to_owned()])
        .collect::<Vec<_>>()
        .join("\n")
}

/// What stands for something that only the site or the cluster knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Node,
    Component,
    Cluster,
}

impl Kind {
    /// What an argument takes, by the name of its value in the help.
    fn of(command: &str, argument: &Arg) -> Option<Self> {
        if argument.get_id() == "cluster" {
            return Some(Self::Cluster);
        }
        let names = argument.get_value_names()?;
        match (names.first()?.as_str(), command) {
            ("NODE", _) => Some(Self::Node),
            ("COMPONENT", _) => Some(Self::Component),
            ("NAME", "show" | "use" | "env" | "switch") => Some(Self::Cluster),
            _ => None,
        }
    }
}

/// The command line, in which arguments know what they take. `typed` has the flags that lead to the cluster.
fn command(typed: &[OsString]) -> Command {
    let typed: Arc<[OsString]> = typed.into();
    // Builds the names of values.
    let mut command = Cli::command();
    command.build();
    completing(command, &typed)
}

fn completing(command: Command, typed: &Arc<[OsString]>) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|argument| {
        let Some(kind) = Kind::of(&name, &argument) else { return argument };
        let typed = Arc::clone(typed);
        argument.add(ArgValueCompleter::new(move |current: &OsStr| candidates(kind, &typed, current)))
    });
    command.mut_subcommands(|below| completing(below, typed))
}

/// The names that go on with what is typed. Of a list between commas, its last name is completed.
fn candidates(kind: Kind, typed: &[OsString], current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let (before, last) = match current.rfind(',') {
        Some(at) if kind == Kind::Node => current.split_at(at + 1),
        _ => ("", current),
    };
    // A set is not completed: nobody can tell which name is meant.
    if last.contains('[') {
        return Vec::new();
    }
    let names = global(typed).map(|global| names(kind, &global)).unwrap_or_default();
    let fitting = names.into_iter().filter(|name| name.starts_with(last));
    fitting.map(|name| CompletionCandidate::new(format!("{before}{name}"))).collect()
}

/// The global flags that are typed, whatever else is still missing or wrong.
fn global(typed: &[OsString]) -> Option<Global> {
    let parsed = Cli::command().ignore_errors(true).try_get_matches_from(typed);
    let global = parsed.ok().and_then(|matches| Global::from_arg_matches(&matches).ok());
    global.or_else(|| Some(Cli::try_parse_from(["usher", "status"]).ok()?.global))
}

/// The names there are; none if nobody tells in time.
fn names(kind: Kind, global: &Global) -> Vec<String> {
    match kind {
        Kind::Cluster => {
            let sites = choose::sites(global).map(|sites| sites.known()).unwrap_or_default();
            sites.into_iter().flat_map(|site| site.name.into_iter().chain(site.aliases)).collect()
        }
        Kind::Component => {
            let site = choose::site(global);
            site.map(|site| site.components.into_iter().map(|component| component.name).collect()).unwrap_or_default()
        }
        Kind::Node => nodes(global),
    }
}

/// The machines that the cluster file names, and the cluster's Nodes if it answers.
fn nodes(global: &Global) -> Vec<String> {
    let Ok(site) = choose::site(global) else { return Vec::new() };
    let mut names = site.control_plane.clone();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return names };
    let ask = async {
        let access = choose::access(global, &site).ok()?;
        let cluster = Cluster::connect(site.name.as_deref(), &access).await.ok()?;
        cluster.node_names().await.ok()
    };
    // The clock of the time limit is the runtime's.
    let asked = runtime.block_on(async { timeout(ANSWER, ask).await });
    // A look-up of a name that hangs in the system's resolver must not hold up the answer.
    runtime.shutdown_background();
    for name in asked.ok().flatten().unwrap_or_default() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests;
