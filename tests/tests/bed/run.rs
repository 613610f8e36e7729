//! One run of `usher`, read back from its report and its events.

use anyhow::Context;
use serde_json::Value;
use usher_testkit::bed::{Bed, Output};

/// Makes `usher` tell everything for programs, and never ask.
const FOR_PROGRAMS: [&str; 5] = ["--yes", "--output", "json", "--progress", "json"];

/// What a run of `usher` said.
#[derive(Debug)]
pub(crate) struct Run {
    /// All of it, for messages of failed tests.
    pub(crate) output: Output,
    /// The report; null if there was none.
    pub(crate) report: Value,
    /// The events, in order.
    pub(crate) events: Vec<Value>,
}

impl Run {
    /// Runs a changing command of `usher` with a reason.
    pub(crate) async fn of(bed: &Bed, words: &[&str]) -> anyhow::Result<Self> {
        let words: Vec<_> = words.iter().copied().chain(["--reason", "bed test"]).chain(FOR_PROGRAMS).collect();
        Ok(Self::read(bed.usher(&words).await?))
    }

    /// Reads what `usher` said.
    pub(crate) fn read(output: Output) -> Self {
        let report = serde_json::from_str(&output.stdout).unwrap_or_default();
        let events = output.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { output, report, events }
    }

    /// Fails the test unless the run ended with this code.
    #[track_caller]
    pub(crate) fn assert_exit(&self, code: i32) {
        assert_eq!(self.output.code, Some(code), "{}", self.output);
    }

    /// Fails the test unless the run said this somewhere.
    #[track_caller]
    pub(crate) fn assert_says(&self, text: &str) {
        assert!(self.output.says(text), "nothing about {text:?} in {}", self.output);
    }

    /// The machines whose turn began for `component`, in order.
    pub(crate) fn order(&self, component: &str) -> Vec<String> {
        let began = self.events.iter().filter(|event| event["event"] == "turnBegan" && event["component"] == component);
        began.filter_map(|event| Some(event["machine"].as_str()?.to_owned())).collect()
    }

    /// The first event of this kind whose text holds `words`, by its time.
    pub(crate) fn when(&self, event: &str, words: &str) -> anyhow::Result<jiff::Timestamp> {
        let found = self.events.iter().find(|found| found["event"] == event && found.to_string().contains(words));
        let found = found.with_context(|| format!("no {event} about {words:?} in {}", self.output))?;
        Ok(found["at"].as_str().context("an event without a time")?.parse()?)
    }

    /// Whether a step was taken back.
    pub(crate) fn undid(&self, step: &str) -> bool {
        self.events.iter().any(|event| event["event"] == "undone" && event["step"] == step)
    }
}
