//! Following the files: when they are read again.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::Live;
use crate::config::Config;

/// How often the files are read. Certificates are renewed hours before they expire, but somebody who has edited the
/// allow-list waits for it.
pub const POLL_INTERVAL: Duration = Duration::from_secs(3);

impl Live {
    /// Reloads the files whenever they change and whenever [`Live::reload_soon`] says so. Returns only when the runtime shuts down.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Some(self.read_first);
        loop {
            tokio::select! {
                biased;
                // Read in any case: the administrator may have mended what no file shows, such as the clock or the right to read one.
                () = self.asked.notified() => seen = None,
                _ = ticks.tick() => {}
            }
            let live = Arc::clone(&self);
            // Off the runtime: a disk that hangs must not keep the agent from answering.
            match spawn_blocking(move || live.reload_if_changed(seen)).await {
                Ok(now) => seen = Some(now),
                Err(_) => return,
            }
        }
    }

    /// Reads the files, puts them into force if they are not those of the digest `seen`, and returns their digest.
    fn reload_if_changed(&self, seen: Option<u64>) -> u64 {
        let now = digest(&self.file, &self.settings.load());
        if seen == Some(now) {
            // A changed mode leaves the content as it is.
            self.look_at_modes();
            self.looks.send_replace(());
        } else {
            self.reload();
        }
        now
    }
}

/// A digest of the files' content. An unreadable file counts as empty, so that its return is a change.
#[allow(clippy::disallowed_methods)] // configuration and certificates are always the machine's
pub(super) fn digest(file: &Path, config: &Config) -> u64 {
    let tls = &config.tls;
    let mut hasher = DefaultHasher::new();
    let always = [&tls.certificate, &tls.key, &tls.client_ca].map(PathBuf::as_path);
    for path in always.into_iter().chain(tls.client_crl.as_deref()).chain([file]) {
        fs::read(path).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}
