//! As what the program was called: by its own name, or by kubectl.

use std::{ffi::OsStr, path::Path};

use clap::{Command, CommandFactory as _};

use super::Cli;

/// kubectl calls a program of this name for `kubectl usher`, and of the other one to complete what follows it.
const PLUGIN: &str = "kubectl-usher";
const COMPLETION: &str = "kubectl_complete-usher";

/// As what the program was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledAs {
    /// `usher`, or any other name.
    Usher,
    /// `kubectl usher`.
    Plugin,
    /// What kubectl asks at a TAB.
    PluginCompletion,
}

impl CalledAs {
    /// By the name or path that the program was started with.
    pub fn of(program: &OsStr) -> Self {
        match Path::new(program).file_name().and_then(OsStr::to_str) {
            Some(PLUGIN) => Self::Plugin,
            Some(COMPLETION) => Self::PluginCompletion,
            _ => Self::Usher,
        }
    }

    /// The command line; its usage names what was typed.
    pub fn command(self) -> Command {
        match self {
            Self::Usher => Cli::command(),
            Self::Plugin | Self::PluginCompletion => Cli::command().bin_name("kubectl usher"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_says_who_calls() {
        for (program, expected) in [
            ("usher", CalledAs::Usher),
            ("/usr/bin/usher", CalledAs::Usher),
            ("/usr/bin/kubectl-usher", CalledAs::Plugin),
            ("kubectl_complete-usher", CalledAs::PluginCompletion),
        ] {
            assert_eq!(CalledAs::of(OsStr::new(program)), expected, "{program}");
        }
    }

    #[test]
    fn the_usage_of_the_plugin_is_kubectls() {
        let usage =
            |called: CalledAs, words: &[&str]| called.command().try_get_matches_from(words).unwrap_err().to_string();
        let plugin = usage(CalledAs::Plugin, &["/usr/bin/kubectl-usher", "drain"]);
        assert!(plugin.contains("Usage: kubectl usher drain"), "{plugin}");
        let own = usage(CalledAs::Usher, &["/usr/bin/usher", "drain"]);
        assert!(own.contains("Usage: usher drain"), "{own}");
    }
}
