//! `usher certificates`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{
    exits::{FILES, exits},
    values::duration,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  usher certificates init
  usher certificates issue agent w1 --address 10.64.0.7
  usher certificates issue operator ann
  usher certificates renew ~/.config/usher/pki/agents/*.pem";

#[derive(Debug, Subcommand)]
pub(crate) enum CertificatesCommand {
    /// Make a certificate authority: a key and a certificate that is valid for ten years.
    #[command(after_long_help = exits(&FILES, ""))]
    Init(Init),
    /// Issue a certificate with a new key.
    #[command(subcommand)]
    Issue(Issue),
    /// Issue certificates anew, with the same names and keys, so that the key stays where it is.
    #[command(after_long_help = exits(&FILES, ""))]
    Renew(Renew),
}

/// Which authority.
#[derive(Debug, Args)]
pub(crate) struct AuthorityOf {
    /// The authority's folder; by default ~/.config/usher/pki. The key in it, ca-key.pem, lets its reader call every agent.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

/// `usher certificates init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) authority: AuthorityOf,
    /// Name of the authority, as certificates have it for their issuer.
    #[arg(long, value_name = "NAME", default_value = "usher")]
    pub(crate) name: String,
    /// Replace an authority that is there. Everything that it has issued must be issued anew then.
    #[arg(long)]
    pub(crate) force: bool,
}

/// `usher certificates issue`.
#[derive(Debug, Subcommand)]
pub(crate) enum Issue {
    /// For the agent of a machine. It is for servers alone: with it nobody can call an agent.
    #[command(after_long_help = exits(&FILES, ""))]
    Agent {
        /// The machine, as usher calls it.
        node: String,
        /// Another DNS name or address under which usher reaches it; may be repeated.
        #[arg(long, value_name = "NAME")]
        address: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// For somebody who looks at machines and changes them.
    #[command(after_long_help = exits(&FILES, ""))]
    Operator {
        /// The name, as the agents' lists will have it.
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// For somebody who only looks.
    #[command(after_long_help = exits(&FILES, ""))]
    Viewer {
        /// The name, as the agents' lists will have it.
        name: String,
        #[command(flatten)]
        how: How,
    },
}

/// How a certificate is issued.
#[derive(Debug, Args)]
pub(crate) struct How {
    #[command(flatten)]
    pub(crate) authority: AuthorityOf,
    /// For how long it is valid. It ends with its authority at the latest.
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = life)]
    pub(crate) valid_for: Duration,
    /// Replace files that are there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// `usher certificates renew`.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Certificates of this authority. Each is replaced where it is.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) authority: AuthorityOf,
    /// For how long they are valid. They end with their authority at the latest.
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = life)]
    pub(crate) valid_for: Duration,
}

/// Certificates of less than an hour are expired before they are copied.
fn life(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_secs(3600);
    match duration(text)? {
        life if life < SHORTEST => Err("at least 1h is wanted (examples: 90d, 1year)".to_owned()),
        life => Ok(life),
    }
}
