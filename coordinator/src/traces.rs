//! A change as a trace of OpenTelemetry: a span for the operation, one for each machine's turn, and one for each step. Built with
//! the feature `otel`; sent only where `OTEL_EXPORTER_OTLP_ENDPOINT` says where to, over gRPC.
//!
//! It is sent once, when the change has ended: a trace of a roll is worth nothing in halves, and a collector that does not answer
//! can hold nothing up but the command's very end, for a moment. A span ends where its machine reboots like any other; what the
//! agent says of the operation has the same id in its records.

mod export;
mod spans;
#[cfg(test)]
mod tests;

use crate::{event::Event, story::Story};

/// The trace of a change under way.
#[derive(Debug)]
pub struct Traces {
    story: Story,
    settings: export::Settings,
}

impl Traces {
    /// None where the environment names no collector.
    ///
    /// # Errors
    ///
    /// If it names one that cannot be one, in words.
    pub fn wanted() -> Result<Option<Self>, String> {
        let settings = export::Settings::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        Ok(settings.map(|settings| Self { story: Story::default(), settings }))
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
        match spans::request(&self.story, &self.settings.resource) {
            Some(request) => self.settings.send(request).await,
            None => Ok(()),
        }
    }
}
