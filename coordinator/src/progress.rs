//! Progress: shows the stream of events on standard error, to people or programs.

mod backlog;
mod lines;
mod terminal;

use std::{io::IsTerminal as _, sync::Arc};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use self::backlog::Backlog;
#[cfg(feature = "otel")]
use crate::traces::Traces;
use crate::{
    event::Event,
    metrics::Textfile,
    output,
    problem::Problem,
    report::{Digest, Report},
};

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// `terminal` on a terminal, else `plain`.
    #[default]
    Auto,
    /// Lines that change while things happen.
    Terminal,
    /// A line for each event, with its time.
    Plain,
    /// A JSON object for each event, a line each.
    Json,
    /// Nothing.
    None,
}

impl Progress {
    /// Shows one event of a command that has no stream of them: as an object for programs, as a line for people.
    pub fn event(self, event: &impl Serialize, line: impl FnOnce() -> String) {
        match self {
            Self::None => {}
            Self::Json => output::event(event),
            Self::Auto | Self::Terminal | Self::Plain => output::progress(&line()),
        }
    }
}

/// Who hears of a change besides its operator. None of them can hold it up.
#[derive(Debug, Default)]
pub struct Listeners {
    pub metrics: Option<Textfile>,
    #[cfg(feature = "otel")]
    pub traces: Option<Traces>,
}

impl Listeners {
    fn heard(&mut self, event: &Event) {
        if let Some(metrics) = &mut self.metrics {
            metrics.heard(event);
        }
        #[cfg(feature = "otel")]
        if let Some(traces) = &mut self.traces {
            traces.heard(event);
        }
    }

    /// Tells how the change ended, and waits a moment until they know. Returns what went wrong, in words.
    pub async fn end(self, result: Result<&Report, &Problem>) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(metrics) = self.metrics
            && let Err(error) = metrics.end(result).await
        {
            wrong.push(format!("the file of metrics was not written: {error}"));
        }
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces
            && let Err(error) = traces.end().await
        {
            wrong.push(format!("the trace was not sent: {error}"));
        }
        wrong
    }
}

/// Shows the stream until it ends, and returns a digest of it for the report.
pub async fn show(
    progress: Progress,
    mut stream: mpsc::UnboundedReceiver<Event>,
    mut listeners: Listeners,
) -> (Digest, Listeners) {
    let screen = Screen::open(progress);
    let mut digest = Digest::default();
    while let Some(event) = stream.recv().await {
        digest.add(&event);
        listeners.heard(&event);
        if let Some(screen) = &screen {
            screen.show(event);
        }
    }
    if let Some(screen) = screen {
        screen.close().await;
    }
    (digest, listeners)
}

/// A thread that writes events. A terminal that takes no more, after ^S or while its connection is dying, blocks every write
/// to it; on the runtime's one thread that would hold up the renewal of the lock as well.
struct Screen {
    events: Arc<Backlog>,
    done: oneshot::Receiver<()>,
}

impl Screen {
    /// None if nothing is to be shown.
    fn open(progress: Progress) -> Option<Self> {
        let mut reader = reader(progress)?;
        let events = Arc::new(Backlog::default());
        let (stream, (ended, done)) = (Arc::clone(&events), oneshot::channel());
        let show = move || {
            while let Some(event) = stream.pop() {
                // A reader of a dead standard error would only go on failing.
                if !output::stderr_is_gone() {
                    reader.read(&event);
                }
            }
            drop(reader);
            // Nobody may wait for it any more.
            let _ = ended.send(());
        };
        std::thread::Builder::new().name("progress".to_owned()).spawn(show).ok()?;
        Some(Self { events, done })
    }

    fn show(&self, event: Event) {
        self.events.push(event);
    }

    /// Waits until all is written.
    async fn close(mut self) {
        self.events.close();
        let _ = (&mut self.done).await;
    }
}

/// The future that shows events may be dropped before their end; the thread ends all the same.
impl Drop for Screen {
    fn drop(&mut self) {
        self.events.close();
    }
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
