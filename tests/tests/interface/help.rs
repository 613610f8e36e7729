//! `--help` of both programs and of every command.

use clap::{Command, CommandFactory};

/// As wide as a terminal of today; help is wrapped no wider.
const WIDTH: usize = 100;

/// The long help of a command and of all below it, by their names with underscores between.
fn helps(program: Command) -> Vec<(String, String)> {
    let mut program = program.term_width(WIDTH);
    program.build();
    let mut helps = Vec::new();
    add(&mut program, &mut Vec::new(), &mut helps);
    helps
}

fn add(command: &mut Command, above: &mut Vec<String>, helps: &mut Vec<(String, String)>) {
    above.push(command.get_name().to_owned());
    // A variable's value is the reader's own.
    let mut shown = command.clone().mut_args(|argument| argument.hide_env_values(true));
    helps.push((above.join("_"), shown.render_long_help().to_string()));
    for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
        add(below, above, helps);
    }
    above.pop();
}

fn assert_as_written_down(program: Command) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/help");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (name, help) in helps(program) {
        settings.bind(|| insta::assert_snapshot!(name, help));
    }
}

#[test]
fn the_help_of_usher_and_each_of_its_commands_is_as_written_down() {
    assert_as_written_down(usher_coordinator::cli::Cli::command());
}

#[test]
fn the_help_of_the_agent_is_as_written_down() {
    assert_as_written_down(usher_agent::arguments::Arguments::command());
}
