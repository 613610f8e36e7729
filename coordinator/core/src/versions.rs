//! Which version of what runs where, and what is wrong with that: Kubernetes' version skew policy, the site's own target, and
//! the ends of support.
//!
//! Pure: who reads the versions, and the table of ends of support, gives them in.

mod agents;
mod judge;
mod number;
mod support;

use serde::Serialize;

pub use self::{
    agents::{AgentSkew, agent_skew},
    judge::{Finding, Severity, Targets, judge},
    number::Number,
    support::Support,
};

/// A program whose version is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubelet,
    KubeProxy,
    Etcd,
    Containerd,
    #[serde(rename = "cri-o")]
    CriO,
    UsherAgent,
    Usher,
}

impl Program {
    /// Its name, as its project writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Etcd => "etcd",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::UsherAgent => "usher-agent",
            Self::Usher => "usher",
        }
    }

    /// The program of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::KubeApiserver,
            Self::KubeControllerManager,
            Self::KubeScheduler,
            Self::Kubelet,
            Self::KubeProxy,
            Self::Etcd,
            Self::Containerd,
            Self::CriO,
            Self::UsherAgent,
            Self::Usher,
        ];
        all.into_iter().find(|program| program.name() == name)
    }

    /// The project whose releases it belongs to.
    pub fn project(self) -> &'static str {
        match self {
            Self::KubeApiserver
            | Self::KubeControllerManager
            | Self::KubeScheduler
            | Self::Kubelet
            | Self::KubeProxy => "kubernetes",
            // They are released together.
            Self::UsherAgent | Self::Usher => "usher",
            Self::Etcd | Self::Containerd | Self::CriO => self.name(),
        }
    }
}

/// A program on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    pub program: Program,
    /// The machine or Node; empty for usher itself.
    pub machine: String,
    /// As the program or its package says it, such as `v1.37.2`; None if nobody told.
    pub version: Option<String>,
    /// Why nobody told.
    pub note: Option<String>,
    /// Somebody who should have told it did not answer. Otherwise there is nobody who could.
    pub silent: bool,
    /// Another version is installed than the one that runs, so `version` is that of the next start.
    pub replaced: bool,
}

impl Instance {
    /// A program that told its version.
    pub fn of(program: Program, machine: &str, version: impl Into<String>) -> Self {
        let machine = machine.to_owned();
        Self { program, machine, version: Some(version.into()), note: None, silent: false, replaced: false }
    }

    /// A program whose version nobody can tell, and why.
    pub fn untold(program: Program, machine: &str, why: impl Into<String>) -> Self {
        let machine = machine.to_owned();
        Self { program, machine, version: None, note: Some(why.into()), silent: false, replaced: false }
    }

    /// A program whose version was asked for in vain, and why.
    pub fn silent(program: Program, machine: &str, why: impl Into<String>) -> Self {
        Self { silent: true, ..Self::untold(program, machine, why) }
    }

    /// Its number, if it can be read as one.
    pub fn number(&self) -> Option<Number> {
        Number::read(self.version.as_deref()?)
    }
}

#[cfg(test)]
mod tests;
