//! The command line in Markdown, and its exit codes.

use clap::{Arg, Command, CommandFactory as _};
use usher_agent::arguments::Arguments;
use usher_coordinator::{cli::Cli, exit::Exit};

use super::page::{GENERATED, cell};

pub(super) fn page() -> String {
    let mut usher = Cli::command().disable_help_subcommand(true);
    usher.build();
    let mut text = format!(
        "# The command line\n\n{GENERATED}What `usher --help` and the man pages say, on one page. [Exit codes](exit-codes.md) \
         have a page of their own.\n"
    );
    command(&usher, true, &mut text);
    text
}

/// What root types on a node.
pub(super) fn agent_page() -> String {
    let mut agent = Arguments::command().disable_help_subcommand(true);
    agent.build();
    let mut text =
        format!("# The command line of usher-agent\n\n{GENERATED}What `usher-agent --help` says, on one page.\n");
    command(&agent, true, &mut text);
    text
}

pub(super) fn exit_codes() -> String {
    let mut text = format!("# Exit codes\n\n{GENERATED}| code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        text.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    text
}

fn command(command: &Command, root: bool, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    text.push_str(&format!("\n## `{name}`\n"));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        text.push_str(&format!("\n{about}\n"));
    }
    let usage = command.clone().render_usage().to_string();
    text.push_str(&format!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage:").trim()));
    for (heading, arguments) in groups(command, root) {
        text.push_str(&format!("\n{heading}:\n\n"));
        for argument in arguments {
            text.push_str(&line(argument));
        }
    }
    // The root's are the exit codes.
    if let Some(more) = command.get_after_long_help().or(command.get_after_help()).filter(|_| !root) {
        text.push_str(&format!("\n```text\n{more}\n```\n"));
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        self::command(sub, false, text);
    }
}

/// The arguments under their headings, in the order of the help. Global flags are listed with the root alone.
fn groups(command: &Command, root: bool) -> Vec<(String, Vec<&Arg>)> {
    let mut groups: Vec<(String, Vec<&Arg>)> = Vec::new();
    let shown = |arg: &&Arg| {
        !arg.is_hide_set()
            && (root || !arg.is_global_set())
            && (root || !["help", "version"].contains(&arg.get_id().as_str()))
    };
    for argument in command.get_arguments().filter(shown) {
        let fallback = if argument.is_positional() { "Arguments" } else { "Options" };
        let heading = argument.get_help_heading().unwrap_or(fallback);
        match groups.iter_mut().find(|(known, _)| known == heading) {
            Some((_, arguments)) => arguments.push(argument),
            None => groups.push((heading.to_owned(), vec![argument])),
        }
    }
    groups
}

/// - `--flag <VALUE>`: what it does. (values, default, environment)
fn line(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut notes = Vec::new();
    let flag = argument.get_action().takes_values();
    if flag && !argument.is_hide_possible_values_set() {
        let values: Vec<_> =
            argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !values.is_empty() {
            notes.push(format!("One of {}.", values.join(", ")));
        }
    }
    if flag && let [default] = argument.get_default_values() {
        notes.push(format!("Default: `{}`.", default.display()));
    }
    if let Some(variable) = argument.get_env() {
        notes.push(format!("Environment: `{}`.", variable.display()));
    }
    let notes: String = notes.iter().map(|note| format!(" {note}")).collect();
    let help = if help.ends_with(['.', ')']) { help } else { format!("{help}.") };
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    format!("- {short}`{argument}`: {}{}\n", cell(&help), notes)
}
