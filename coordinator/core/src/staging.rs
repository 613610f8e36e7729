//! Switching the active one of two staging clusters: what the site says of it, where it stands, and what comes next.
//!
//! Nothing remembers how far a switch is. The site's own checks tell of each step whether it is done for a cluster, so that a switch
//! that was cut off goes on where they say, and so that going back is a switch to the other one.

mod examine;
mod progress;

use std::{fmt, time::Duration};

use serde::Serialize;

pub use self::{
    examine::{Finding, Side, Workload, WorkloadId, Workloads, examine},
    progress::{Next, Position, Said, State, next, position},
};

/// How the active cluster is switched, as the site's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staging {
    /// The two, by the names of their sites.
    pub clusters: [String; 2],
    pub preflight: Preflight,
    /// In the order in which they are done.
    pub steps: Vec<Step>,
}

/// What must be true of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Looks whose findings forbid nothing.
    pub ignore: Vec<Look>,
    /// Namespaces that are not looked into.
    pub ignore_namespaces: Vec<String>,
}

/// One step of the switch. Its commands are arguments, run without a shell, in which [`Direction::values`] are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One word.
    pub name: String,
    /// What is true once it is done.
    pub says: String,
    /// Ends with 0 if it is done and with 1 if it is not; anything else is no answer.
    pub check: Vec<String>,
    /// Brings it about.
    pub apply: Vec<String>,
    /// Ends with 0 once it has its effect; unset, the check says so.
    pub verify: Option<Vec<String>>,
    /// Takes it back; unset, it stays.
    pub undo: Option<Vec<String>>,
    /// Whether the operator is asked before it.
    pub confirm: bool,
    /// For one command.
    pub timeout: Duration,
    /// From the end of `apply`, or of `undo`, until it must have its effect.
    pub verify_timeout: Duration,
    /// How long to wait once it has.
    pub settle: Duration,
}

/// What is looked at before anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Look {
    /// Every Node of the target is Ready and schedulable.
    Nodes,
    /// Every apiserver of the target is ready, its etcd included.
    Apiservers,
    /// Every agent of the target answers.
    Agents,
    /// Everything in the target is rolled out.
    Workloads,
    /// Both have the same version.
    Versions,
    /// The target has everything that the source has.
    Missing,
    /// It has the same images.
    Images,
}

impl Look {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 7] =
        [Self::Nodes, Self::Apiservers, Self::Agents, Self::Workloads, Self::Versions, Self::Missing, Self::Images];

    /// Its name in the file and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Apiservers => "apiservers",
            Self::Agents => "agents",
            Self::Workloads => "workloads",
            Self::Versions => "versions",
            Self::Missing => "missing",
            Self::Images => "images",
        }
    }

    /// The one of this name.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|look| look.word() == word)
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// From which cluster to which, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direction {
    pub from: End,
    pub to: End,
    /// Empty where none is given.
    pub reason: String,
}

/// One of the two clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Its site's name.
    pub name: String,
    /// Unset where its site does not say.
    pub data_centre: Option<String>,
}

impl Direction {
    /// The names that may stand in a step's commands.
    pub const PLACEHOLDERS: [&str; 5] = ["from", "to", "from_data_centre", "to_data_centre", "reason"];

    /// What is filled in for them. A site without a data centre leaves its own empty.
    pub fn values(&self) -> [(&'static str, &str); 5] {
        [
            ("from", &self.from.name),
            ("to", &self.to.name),
            ("from_data_centre", self.from.data_centre.as_deref().unwrap_or_default()),
            ("to_data_centre", self.to.data_centre.as_deref().unwrap_or_default()),
            ("reason", &self.reason),
        ]
    }

    /// The other way round.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone(), reason: self.reason.clone() }
    }

    /// The text with everything filled in. What is filled in is not looked at again.
    pub fn fill(&self, template: &str) -> String {
        let (mut text, mut rest) = (String::new(), template);
        while let Some(open) = rest.find('{') {
            text.push_str(&rest[..open]);
            rest = &rest[open..];
            let value = self.values().into_iter().find_map(|(name, value)| {
                let after = rest.strip_prefix('{')?.strip_prefix(name)?.strip_prefix('}')?;
                Some((value, after))
            });
            match value {
                Some((value, after)) => {
                    text.push_str(value);
                    rest = after;
                }
                None => {
                    text.push('{');
                    rest = &rest[1..];
                }
            }
        }
        text + rest
    }

    /// A command with everything filled in.
    pub fn filled(&self, argv: &[String]) -> Vec<String> {
        argv.iter().map(|word| self.fill(word)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_once_and_other_braces_are_left_alone() {
        let end = |name: &str, data_centre: Option<&str>| End {
            name: name.to_owned(),
            data_centre: data_centre.map(str::to_owned),
        };
        let direction =
            Direction { from: end("a", None), to: end("b", Some("codfw")), reason: "{from} `x`".to_owned() };
        for (template, expected) in [
            ("name={to},dc={to_data_centre}/{from_data_centre}", "name=b,dc=codfw/"),
            ("{reason}", "{from} `x`"),
            ("{\"a\": {}} ${HOME} {other} {to", "{\"a\": {}} ${HOME} {other} {to"),
        ] {
            assert_eq!(direction.fill(template), expected);
        }
        assert_eq!(direction.reversed().fill("{from}{to}"), "ba");
    }
}
