//! What an operator wants.

use usher_coordinator::{exit::Exit, site::Site};

use crate::rig::site::{Change, drain, reboot, restart};

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `usher reboot w1`
    RebootWorker,
    /// `usher reboot w2`
    RebootOtherWorker,
    /// `usher reboot cp3`: kube-controller-manager leads there.
    RebootControlPlane,
    /// `usher reboot cp2`: kube-scheduler leads there.
    RebootOtherControlPlane,
    /// `usher reboot cp3` with a cluster file that does not list it. usher refuses it, and that is well.
    RebootUnlisted,
    /// `usher restart` of all three components.
    RestartThree,
    /// `usher drain w1 w2`
    DrainTwo,
}

impl Command {
    /// All that sweeps go through.
    pub const SWEPT: [Self; 4] = [Self::RebootWorker, Self::RebootControlPlane, Self::RestartThree, Self::DrainTwo];

    /// The machines that it reboots.
    pub(super) fn reboots(self) -> &'static [&'static str] {
        match self {
            Self::RebootWorker => &["w1"],
            Self::RebootOtherWorker => &["w2"],
            Self::RebootControlPlane | Self::RebootUnlisted => &["cp3"],
            Self::RebootOtherControlPlane => &["cp2"],
            Self::RestartThree | Self::DrainTwo => &[],
        }
    }

    /// The Nodes that it leaves cordoned because that is what it is for.
    pub(super) fn leaves_cordoned(self) -> &'static [&'static str] {
        match self {
            Self::DrainTwo => &["w1", "w2"],
            _ => &[],
        }
    }

    /// How it ends if nothing goes wrong.
    pub(super) fn ends_with(self) -> Exit {
        if self == Self::RebootUnlisted { Exit::Refused } else { Exit::Done }
    }

    /// The settings that usher has for it.
    pub(super) fn settings(self, mut settings: Site) -> Site {
        if self == Self::RebootUnlisted {
            settings.control_plane.retain(|machine| machine != "cp3");
        }
        settings
    }

    pub(super) fn change(self) -> Change {
        match self {
            Self::RestartThree => restart(&["kube-apiserver", "kube-scheduler", "kube-controller-manager"]),
            Self::DrainTwo => drain(&["w1", "w2"]),
            _ => reboot(self.reboots()),
        }
    }
}
