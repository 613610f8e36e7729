//! Progress: the event stream, read for people or programs, on standard error.

mod lines;
mod terminal;

use std::io::IsTerminal as _;

use tokio::sync::mpsc;

use crate::event::Event;

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// `terminal` on a terminal, else `plain`.
    #[default]
    Auto,
    /// Lines that change while things happen.
    Terminal,
    /// A line an event, with its time.
    Plain,
    /// A JSON object an event, a line each.
    Json,
    /// Nothing.
    None,
}

/// Reads the stream to its end while showing it, and gives back what it read, for the report.
pub async fn show(progress: Progress, mut stream: mpsc::UnboundedReceiver<Event>) -> Vec<Event> {
    let mut reader = reader(progress);
    let mut events = Vec::new();
    while let Some(event) = stream.recv().await {
        if let Some(reader) = &mut reader {
            reader.read(&event);
        }
        events.push(event);
    }
    events
}

/// Something that shows events as they come.
trait Reader: Send {
    fn read(&mut self, event: &Event);
}

fn reader(progress: Progress) -> Option<Box<dyn Reader>> {
    match progress {
        Progress::Auto if std::io::stderr().is_terminal() && !is_dumb() => Some(Box::new(terminal::Terminal::new())),
        Progress::Terminal => Some(Box::new(terminal::Terminal::new())),
        Progress::Auto | Progress::Plain => Some(Box::new(lines::Plain::default())),
        Progress::Json => Some(Box::new(lines::Json)),
        Progress::None => None,
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
