//! The agent's completions. `usher` prints its own; the agent is too small for such a command.

use std::str;

use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::{Shell, generate};
use usher_agent::arguments::Arguments;

use super::Page;

pub(super) fn pages() -> anyhow::Result<Vec<Page>> {
    let shells = Shell::value_variants().iter().filter(|shell| matches!(shell, Shell::Bash | Shell::Fish | Shell::Zsh));
    let page = |shell: &Shell| {
        let mut text = Vec::new();
        generate(*shell, &mut Arguments::command(), "usher-agent", &mut text);
        Ok(Page { path: format!("packaging/completions/usher-agent.{shell}"), text: str::from_utf8(&text)?.to_owned() })
    };
    shells.map(page).collect()
}
