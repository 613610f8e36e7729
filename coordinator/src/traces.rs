//! A change as a trace of OpenTelemetry: a span for the operation, one for each machine's turn, and one for each step. Built with
//! the feature `otel`; sent only where `OTEL_EXPORTER_OTLP_ENDPOINT` says where to, over gRPC.
//!
//! It is sent once, when the change has ended: a trace of a roll is worth nothing in halves, and a collector that does not answer
//! can hold nothing up but the command's very end, for a moment. A span ends where its machine reboots like any other. The ids of the
//! trace and of its first span are chosen at the beginning: each call to an agent names them, and the agent writes the trace's into its
//! records of the call.

mod export;
mod spans;
#[cfg(test)]
mod tests;

use std::num::{NonZeroU64, NonZeroU128};

use usher_common::trace::TraceParent;

use crate::{event::Event, story::Story};

/// The trace of a change under way.
#[derive(Debug)]
pub struct Traces {
    story: Story,
    settings: export::Settings,
    parent: TraceParent,
}

impl Traces {
    /// None where the environment names no collector.
    ///
    /// # Errors
    ///
    /// If it names one that cannot be one, in words.
    pub fn wanted() -> Result<Option<Self>, String> {
        let settings = export::Settings::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        Ok(settings.map(|settings| Self { story: Story::default(), settings, parent: by_chance() }))
    }

    /// The trace, and its span of the whole operation.
    pub fn parent(&self) -> &TraceParent {
        &self.parent
    }

    /// Takes an event into account.
    pub fn heard(&mut self, event: &Event) {
        self.story.add(event.clone());
    }

    /// Sends the trace, if the change had begun.
    ///
    /// # Errors
    ///
    /// If the collector does not take it in time, in words.
    pub async fn end(self) -> Result<(), String> {
        match spans::request(&self.story, &self.parent, &self.settings.resource) {
            Some(request) => self.settings.send(request).await,
            None => Ok(()),
        }
    }
}

/// New ids.
fn by_chance() -> TraceParent {
    let trace = NonZeroU128::new(fastrand::u128(1..)).unwrap_or(NonZeroU128::MIN);
    let span = NonZeroU64::new(fastrand::u64(1..)).unwrap_or(NonZeroU64::MIN);
    TraceParent { trace, span }
}
