//! `usher reboot`.

use clap::Args;

use super::{change::ChangeFlags, eviction::Eviction, nodes::Targets};
use crate::request;

pub(super) const EXAMPLES: &str = "\
Examples:
  usher reboot w1 -r 'kernel 6.1.0-31'
  usher reboot -l rack=b7 -r 'firmware' -t T400123 --yes
  usher reboot w2 -r kernel --keep-cordoned
  usher reboot w1 w2 -r kernel --rebalance";

#[derive(Debug, Args)]
pub(crate) struct Reboot {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Neither cordon nor drain: the pods die with the machine.
    #[arg(long)]
    pub(crate) impolite: bool,
    /// Reboot a node that somebody else cordoned, and leave it cordoned.
    #[arg(long)]
    pub(crate) keep_cordoned: bool,
    /// Reboot in spite of this inhibitor (by name) or logged-in user (user:NAME); may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) override_blocker: Vec<String>,
    /// Hand over a lease that its holder would keep, instead of waiting for its expiry.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) handover: Option<bool>,
    /// When all machines have rebooted, move pods back to them, as `usher rebalance` does.
    #[arg(long)]
    pub(crate) rebalance: bool,
    // Before the flags that have a heading of their own.
    #[command(flatten)]
    pub(crate) change: ChangeFlags,
    #[command(flatten)]
    pub(crate) eviction: Eviction,
}

impl Reboot {
    /// The request that the flags make for these machines.
    pub(crate) fn to_request(&self, machines: Vec<String>) -> request::Kind {
        let Self { targets: _, impolite, keep_cordoned, override_blocker, handover, rebalance, change: _, eviction } =
            self;
        request::Kind::Reboot(request::Reboot {
            machines,
            impolite: *impolite,
            keep_cordoned: *keep_cordoned,
            handover: *handover,
            override_blockers: override_blocker.clone(),
            rebalance: *rebalance,
            eviction: eviction.to_request(),
        })
    }
}
