//! Man pages: usher with all of its commands in section 1, the agent in section 8.

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::Page;

pub(super) fn pages() -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    let mut usher = usher_coordinator::cli::Cli::command().disable_help_subcommand(true);
    usher.build();
    subtree(&usher, USER, &mut pages)?;
    // usher-agent-status(1) is `usher agent status`, usher-agent-status(8) what root types on the node.
    let mut agent = usher_agent::arguments::Arguments::command().disable_help_subcommand(true);
    agent.build();
    subtree(&agent, ADMIN, &mut pages)?;
    Ok(pages)
}

/// A section of the manual, and its name.
type Section = (&'static str, &'static str);

const USER: Section = ("1", "User Commands");
const ADMIN: Section = ("8", "System Administration");

fn subtree(command: &Command, section: Section, pages: &mut Vec<Page>) -> anyhow::Result<()> {
    pages.push(page(command.clone(), section)?);
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.into_iter().try_for_each(|command| subtree(command, section, pages))
}

fn page(command: Command, (section, manual): Section) -> anyhow::Result<Page> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let source = format!("usher {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).section(section).source(source).manual(manual);
    let mut text = Vec::new();
    man.render(&mut text).with_context(|| format!("render {name}({section})"))?;
    Ok(Page { path: format!("packaging/man/{name}.{section}"), text: String::from_utf8(text)? })
}
