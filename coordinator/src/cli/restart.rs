//! `usher restart`.

use std::time::Duration;

use clap::Args;
use usher_core::nodeset::NodeSet;

use super::{change::ChangeFlags, nodes::names, values::duration};
use crate::request::{self, AssumedLeader};

pub(super) const EXAMPLES: &str = "\
Examples:
  usher restart kube-scheduler -r 'new CA' --dry-run
  usher restart kube-apiserver kube-controller-manager kube-scheduler -r T400123 --yes
  usher restart kube-scheduler --nodes cp3,cp2 -r T400123
  usher restart --wanted -r 'renewed certificates'";

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Components, restarted in this order.
    #[arg(required_unless_present = "wanted", value_name = "COMPONENT")]
    pub(crate) components: Vec<String>,
    /// Only where somebody on the machine has asked for it; without components, all of them.
    ///
    /// `usher status` shows what is wanted. On the machine: usher-agent request-restart.
    #[arg(long)]
    pub(crate) wanted: bool,
    /// Only on these control-plane machines: names between commas, or sets such as cp[1-3].
    #[arg(long, value_name = "NODE")]
    pub(crate) nodes: Vec<NodeSet>,
    /// Wait between an apiserver that is ready again and the next one.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) gap: Option<Duration>,
    /// Hand over a lease that its holder would keep, instead of waiting for its expiry.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) handover: Option<bool>,
    /// Who leads a component whose leader is unknown or dead: COMPONENT=MACHINE, or COMPONENT=none.
    #[arg(long, value_name = "COMPONENT=MACHINE", value_parser = assumed_leader)]
    pub(crate) assume_leader: Vec<AssumedLeader>,
    #[command(flatten)]
    pub(crate) change: ChangeFlags,
}

impl Restart {
    /// The request that the flags make.
    pub(crate) fn to_request(&self) -> request::Kind {
        let Self { components, wanted, nodes, gap, handover, assume_leader, change: _ } = self;
        request::Kind::Restart(request::Restart {
            components: components.clone(),
            wanted: *wanted,
            machines: names(nodes),
            gap: *gap,
            handover: *handover,
            assumed_leaders: assume_leader.clone(),
        })
    }
}

fn assumed_leader(text: &str) -> Result<AssumedLeader, String> {
    match text.split_once('=') {
        Some((component, machine)) if !component.is_empty() && !machine.is_empty() => Ok(AssumedLeader {
            component: component.to_owned(),
            machine: (machine != "none").then(|| machine.to_owned()),
        }),
        _ => Err("write COMPONENT=MACHINE, or COMPONENT=none if none leads".to_owned()),
    }
}
