//! Man pages: usher with all of its commands in section 1, the agent in section 8.

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::Page;

pub(super) fn pages() -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    let mut usher = usher_coordinator::cli::Cli::command().disable_help_subcommand(true);
    usher.build();
    subtree(&usher, &mut pages)?;
    // usher-agent(1) is `usher agent`.
    pages.push(page(usher_agent::arguments::Arguments::command(), "8", "System Administration")?);
    Ok(pages)
}

fn subtree(command: &Command, pages: &mut Vec<Page>) -> anyhow::Result<()> {
    pages.push(page(command.clone(), "1", "User Commands")?);
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|command| subtree(command, pages))
}

fn page(command: Command, section: &str, manual: &str) -> anyhow::Result<Page> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let source = format!("usher {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).section(section).source(source).manual(manual);
    let mut text = Vec::new();
    man.render(&mut text).with_context(|| format!("render {name}({section})"))?;
    Ok(Page { path: format!("packaging/man/{name}.{section}"), text: String::from_utf8(text)? })
}
