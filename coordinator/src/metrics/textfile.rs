//! Writes the file, on a thread of its own: a disk that hangs must not hold up the renewal of the lock.

use std::{io, path::PathBuf, sync::mpsc, time::Duration};

use tokio::{sync::oneshot, time::timeout};
use usher_common::clock;

use super::Run;
use crate::{
    event::Event,
    files::{self, Existing, Mode},
    problem::Problem,
    report::Report,
};

/// The collector is another user.
const EVERYBODY_READS: Mode = Mode::Exactly(0o644);

/// How long the end of a command waits for the disk.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// The file of a change that is about to run.
#[derive(Debug)]
pub struct Textfile {
    run: Run,
    has_begun: bool,
    texts: mpsc::Sender<String>,
    /// The error of the last text, once no more follow.
    written: oneshot::Receiver<io::Result<()>>,
}

impl Textfile {
    /// The file at this path, written as soon as there is something to tell. None if the system gives no thread.
    pub fn at(path: PathBuf) -> Option<Self> {
        let (texts, receiver) = mpsc::channel::<String>();
        let (ended, written) = oneshot::channel();
        let write = move || {
            let mut last = Ok(());
            while let Ok(text) = receiver.recv() {
                last = files::put(&path, &text, EVERYBODY_READS, Existing::Replaced);
            }
            // Nobody may wait for it any more.
            let _ = ended.send(last);
        };
        std::thread::Builder::new().name("metrics".to_owned()).spawn(write).ok()?;
        Some(Self { run: Run::default(), has_begun: false, texts, written })
    }

    /// Takes an event into account.
    pub fn heard(&mut self, event: &Event) {
        if self.run.heard(event) {
            self.has_begun = true;
            self.write();
        }
    }

    /// Tells how the change ended, if it had begun, and waits a moment until that is on the disk.
    ///
    /// # Errors
    ///
    /// If the system cannot write the file, or does not do so in time.
    pub async fn end(mut self, result: Result<&Report, &Problem>) -> io::Result<()> {
        if self.has_begun {
            self.run.ended(clock::now(), result);
            self.write();
        }
        let Self { texts, written, .. } = self;
        drop(texts);
        match timeout(WRITTEN_WITHIN, written).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(io::Error::other("its thread has ended")),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn write(&self) {
        // The thread ends after this sender.
        let _ = self.texts.send(self.run.text());
    }
}
