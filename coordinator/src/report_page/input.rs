//! Reads a file line by line: events, a report, and whatever else was written to the same place.
//!
//! A log of a night is read as it is. Its last line may be cut off, usher writes lines for people between the events (the
//! cluster, the plan), and later versions may know events and fields that this one does not.

use serde::Deserialize as _;
use serde_json::{Deserializer, Value};

use super::document::{Report, is_report};
use crate::{
    event::{Event, Kind},
    story::{Story, Unknown},
    text,
};

/// A file may be this long, in bytes: a roll of a thousand machines writes a few MiB.
pub const MAX_INPUT: usize = 64 << 20;

/// The page shows at most this many lines that are neither events nor a report.
const MOST_NOTES: usize = 200;

/// Why there is no page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it holds neither events of --progress=json nor a report of -o json")]
    Nothing,
    /// The file has other operations.
    #[error("it does not hold operation {wanted}, but {}", text::few(found))]
    OtherOperations { wanted: String, found: Vec<String> },
}

/// What was found of one operation.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) story: Story,
    pub(super) report: Option<Report>,
    /// Lines for people, in their order: what usher said before and between the events.
    pub(super) notes: Vec<String>,
    /// The same after its last event. If another operation follows in the file, they are about that one.
    pub(super) afterwards: Vec<String>,
    /// How many more of them there are.
    pub(super) more_notes: usize,
    /// The last line ends in the middle of an event.
    pub(super) is_cut_off: bool,
    /// Other operations in the same file.
    pub(super) others: Vec<String>,
}

impl Input {
    /// Its id, as far as that is known.
    pub(super) fn operation(&self) -> Option<&str> {
        let began = self.story.began.as_ref().map(|began| began.operation.as_str());
        began.or(self.report.as_ref().map(|report| report.operation.as_str()))
    }

    fn is_empty(&self) -> bool {
        self.story.is_empty() && self.report.is_none()
    }

    fn note(&mut self, line: &str) {
        let notes = if self.story.ended.is_some() { &mut self.afterwards } else { &mut self.notes };
        if notes.len() < MOST_NOTES {
            notes.push(line.to_owned());
        } else {
            self.more_notes += 1;
        }
    }
}

/// Reads the operation with this id, or the last one.
pub(super) fn read(text: &str, operation: Option<&str>) -> Result<Input, Unreadable> {
    let mut found = Split::of(text);
    found.retain(|input| !input.is_empty());
    let ids: Vec<_> = found.iter().map(|input| input.operation().unwrap_or("without an id").to_owned()).collect();
    let last = ids.len().checked_sub(1).ok_or(Unreadable::Nothing)?;
    let at = match operation {
        None => last,
        Some(wanted) => ids
            .iter()
            .rposition(|id| id == wanted)
            .ok_or_else(|| Unreadable::OtherOperations { wanted: wanted.to_owned(), found: ids.clone() })?,
    };
    let mut input = found.swap_remove(at);
    input.others = ids.into_iter().enumerate().filter(|(other, _)| *other != at).map(|(_, id)| id).collect();
    Ok(input)
}

/// A file that is being split into its operations.
#[derive(Default)]
struct Split {
    before: Vec<Input>,
    current: Input,
}

impl Split {
    /// One input for each operation; what stands before the first event of one belongs to it, as its plan does.
    fn of(text: &str) -> Vec<Input> {
        let mut split = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find('\n').unwrap_or(rest.len());
            let line = rest[..end].trim_end();
            let mut next = (end + 1).min(rest.len());
            if line.trim_start().starts_with('{') {
                let mut values = Deserializer::from_str(rest).into_iter::<Value>();
                match values.next() {
                    Some(Ok(value)) => {
                        // A report spans several lines.
                        next = values.byte_offset();
                        split.add(value, line);
                    }
                    // Nothing follows that could complete it.
                    Some(Err(error)) if error.is_eof() && next == rest.len() => split.current.is_cut_off = true,
                    _ => split.current.note(line),
                }
            } else if !line.is_empty() {
                split.current.note(line);
            }
            rest = &rest[next..];
        }
        split.before.push(split.current);
        split.before
    }

    fn add(&mut self, value: Value, line: &str) {
        if is_report(&value) {
            let Ok(report) = serde_json::from_value::<Report>(value) else { return self.current.note(line) };
            if self.current.operation().is_some_and(|operation| operation != report.operation) {
                self.next_operation();
            }
            self.current.report = Some(report);
            return;
        }
        match Event::deserialize(&value) {
            Ok(event) => {
                if let Some(lines) = self.beside_the_operation(&event.kind) {
                    lines.iter().for_each(|line| self.current.note(line));
                    return;
                }
                if matches!(event.kind, Kind::Began { .. }) && !self.current.is_empty() {
                    self.next_operation();
                }
                self.current.story.add(event);
            }
            Err(_) => match Unknown::of(&value) {
                Some(event) => self.current.story.add_unknown(event),
                // A document of another kind, as a plan.
                None if value["kind"].is_string() => {}
                None => self.current.note(line),
            },
        }
    }

    /// What is said outside of an operation, in lines; None if the event belongs to one.
    fn beside_the_operation(&self, kind: &Kind) -> Option<Vec<String>> {
        let lines = |text: &str| Some(text.lines().map(str::to_owned).collect());
        let story = &self.current.story;
        let is_under_way = !story.is_empty() && story.ended.is_none();
        match kind {
            Kind::Notice { message } | Kind::Logged { message } => lines(message),
            Kind::Asked { question } => lines(question),
            Kind::Planned { text, .. } => Some(text.clone()),
            Kind::Warned { message } if !is_under_way => lines(&format!("Warning: {message}")),
            // A command that did not begin.
            Kind::Ended { message, .. } if !is_under_way => lines(message),
            _ => None,
        }
    }

    fn next_operation(&mut self) {
        let notes = std::mem::take(&mut self.current.afterwards);
        self.before.push(std::mem::replace(&mut self.current, Input { notes, ..Input::default() }));
    }
}
