//! What happens during a switch, for people and for programs.

use std::fmt;

use serde::Serialize;
use usher_core::staging::State;

/// Something that happened on the way. `Display` is its line for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A step is looked at and done, or taken back.
    StepBegan { step: String, number: usize, of: usize, takes_back: bool, says: String },
    /// What a step waits for.
    StepWaits { step: String, what: String },
    /// A step came to an end; `facts` say what was brought about, and `problem` why not.
    StepEnded {
        step: String,
        state: State,
        facts: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// About the switch as a whole.
    Note { message: String },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StepBegan { step, number, of, takes_back, says } => {
                let back = if *takes_back { "take back: " } else { "" };
                write!(f, "{number}/{of} {step}: {back}{says}")
            }
            Self::StepWaits { step: _, what } => write!(f, "  {what}"),
            Self::StepEnded { step: _, state: _, facts, problem } => {
                let lines: Vec<_> = facts.iter().chain(problem).map(|line| format!("  {line}")).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Note { message } => f.write_str(message),
        }
    }
}
