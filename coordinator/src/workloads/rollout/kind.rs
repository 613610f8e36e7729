//! The kinds of workloads that roll, and how operators name them.

use std::{fmt, str::FromStr};

use kube::api::ApiResource;
use serde::Serialize;
use usher_common::config_file::nearest;

/// A kind whose controller replaces pods bit by bit when the template changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

/// The names that kubectl takes: the singular first, then the plural and the abbreviation.
const NAMES: [(Kind, [&str; 3]); 3] = [
    (Kind::Deployment, ["deployment", "deployments", "deploy"]),
    (Kind::StatefulSet, ["statefulset", "statefulsets", "sts"]),
    (Kind::DaemonSet, ["daemonset", "daemonsets", "ds"]),
];

/// Kinds that operators try as well, and what to do instead.
const OTHERS: [(&[&str], &str); 5] = [
    (
        &["replicaset", "replicasets", "rs"],
        "a ReplicaSet does not roll; name the Deployment that owns it: deployment/NAME",
    ),
    (&["pod", "pods", "po"], "a pod does not roll; name the workload that owns it: deployment/NAME"),
    (&["job", "jobs"], "a Job runs once and does not roll"),
    (&["cronjob", "cronjobs", "cj"], "a CronJob does not roll; its next Job is made from its present template"),
    (
        &["replicationcontroller", "replicationcontrollers", "rc"],
        "a ReplicationController does not roll; delete its pods one by one, or move to a Deployment",
    ),
];

impl Kind {
    /// All of them, in the order in which a scope is gone through.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// In lower case, as in `deployment/web`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// As in the API's paths.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        ApiResource {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            api_version: "apps/v1".to_owned(),
            kind: format!("{self:?}"),
            plural: self.plural().to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        // kubectl also takes `deployments.apps` and `deployments.v1.apps`.
        let word = [".v1.apps", ".apps"].iter().find_map(|group| lower.strip_suffix(group)).unwrap_or(&lower);
        if let Some((kind, _)) = NAMES.iter().find(|(_, names)| names.contains(&word)) {
            return Ok(*kind);
        }
        if let Some((_, why)) = OTHERS.iter().find(|(names, _)| names.contains(&word)) {
            return Err((*why).to_owned());
        }
        let known = NAMES.iter().flat_map(|(_, names)| names.iter().copied());
        Err(match nearest(word, known) {
            Some(meant) => format!("{text:?} is no kind that rolls; did you mean {meant}?"),
            None => format!("{text:?} is no kind that rolls; these do: deployment, statefulset, daemonset"),
        })
    }
}

/// What an operator named: all workloads of a kind, or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub kind: Kind,
    /// None: all that there are in the scope.
    pub name: Option<String>,
}

impl Wanted {
    /// Reads the words of a command line as kubectl does: `KIND[,KIND...]`, `KIND NAME...` or `KIND/NAME...`.
    ///
    /// # Errors
    ///
    /// A sentence about the word that does not fit.
    pub fn read(words: &[String]) -> Result<Vec<Self>, String> {
        let mut wanted: Vec<Self> = Vec::new();
        let mut add = |kind, name| {
            let new = Self { kind, name };
            if !wanted.contains(&new) {
                wanted.push(new);
            }
        };
        let Some((first, names)) = words.split_first() else { return Ok(wanted) };
        if words.iter().any(|word| word.contains('/')) {
            for word in words {
                let (kind, name) = word
                    .split_once('/')
                    .ok_or_else(|| format!("{word:?} has no name; write KIND/NAME for each, or KIND NAME..."))?;
                let kind = kind.parse()?;
                if name.is_empty() || name.contains('/') {
                    return Err(format!("{word:?} is not KIND/NAME; the namespace goes into -n NAMESPACE"));
                }
                add(kind, Some(name.to_owned()));
            }
            return Ok(wanted);
        }
        let kinds: Vec<Kind> = first.split(',').map(str::parse).collect::<Result<_, _>>()?;
        for kind in kinds {
            match names {
                [] => add(kind, None),
                names => names.iter().for_each(|name| add(kind, Some(name.clone()))),
            }
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<String>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let shown = |wanted: &Wanted| format!("{}/{}", wanted.kind, wanted.name.as_deref().unwrap_or("*"));
        Wanted::read(&words).map(|wanted| wanted.iter().map(shown).collect())
    }

    #[test]
    fn workloads_are_named_as_kubectl_names_them() {
        for (line, expected) in [
            ("", vec![]),
            ("deploy", vec!["deployment/*"]),
            ("Deployments.apps web api", vec!["deployment/web", "deployment/api"]),
            ("ds,sts", vec!["daemonset/*", "statefulset/*"]),
            ("deploy/web ds/agent deployment/web", vec!["deployment/web", "daemonset/agent"]),
            ("deploy ds", vec!["deployment/ds"]),
        ] {
            assert_eq!(read(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_does_not_roll_is_refused_with_a_way_on() {
        for (line, expected) in [
            ("rs/web-5d", "a ReplicaSet does not roll; name the Deployment that owns it: deployment/NAME"),
            ("pods", "a pod does not roll; name the workload that owns it: deployment/NAME"),
            ("deplyoment/web", "\"deplyoment\" is no kind that rolls; did you mean deployment?"),
            ("service/web", "\"service\" is no kind that rolls; these do: deployment, statefulset, daemonset"),
            ("deploy/web agent", "\"agent\" has no name; write KIND/NAME for each, or KIND NAME..."),
            ("deploy/", "\"deploy/\" is not KIND/NAME; the namespace goes into -n NAMESPACE"),
            ("deploy/shop/web", "\"deploy/shop/web\" is not KIND/NAME; the namespace goes into -n NAMESPACE"),
        ] {
            assert_eq!(read(line).unwrap_err(), expected, "{line}");
        }
    }
}
