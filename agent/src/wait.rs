//! Waiting for the files that configuration management brings later than the package: the configuration, the certificates.
//!
//! The agent waits by itself rather than by a condition of its unit: systemd would look at that once, at the boot, and leave
//! the unit inactive when the key comes a minute later. Nor does it end and let itself be restarted, which would fill the
//! journal.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;
use tracing::{info, warn};
use usher_common::config_file::FileError;

use crate::{config::Config, notify};

/// Between two looks. Below any watchdog that makes sense.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The configuration, as soon as it and the agent's certificate, key and CAs are there. Meanwhile systemd is told what is
/// missing.
///
/// # Errors
///
/// If the configuration is there and has mistakes.
pub async fn for_files(file: &Path) -> Result<Config, FileError> {
    let mut told = None;
    loop {
        let (missing, config) = look(file)?;
        let Some(missing) = missing else {
            if told.is_some() {
                info!("all files are there now");
            }
            // Without a missing file there is a configuration.
            return config.map_or_else(|| Config::load(file), Ok);
        };
        if told.as_ref() != Some(&missing) {
            warn!("{} is not there yet; the agent serves nobody until it is", missing.display());
        }
        notify::waiting(&missing);
        told = Some(missing);
        sleep(LOOK_EVERY).await;
    }
}

/// The first file that is missing; the configuration if it is there.
fn look(file: &Path) -> Result<(Option<PathBuf>, Option<Config>), FileError> {
    if is_missing(file) {
        return Ok((Some(file.to_owned()), None));
    }
    let config = Config::load(file)?;
    let tls = &config.tls;
    let missing = [&tls.key, &tls.certificate, &tls.client_ca].into_iter().find(|path| is_missing(path)).cloned();
    Ok((missing, Some(config)))
}

/// Whether there is no such file. One that may not be looked at is there: reading it will say what is wrong.
fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_agent_starts_by_itself_once_every_file_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        #[allow(clippy::disallowed_methods)] // what configuration management does
        let bring = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let waiting = tokio::spawn({
            let file = file.clone();
            async move { for_files(&file).await }
        });
        let waits = async || {
            sleep(LOOK_EVERY * 2).await;
            !waiting.is_finished()
        };
        assert!(waits().await);
        bring("agent.toml", "[tls]\ncertificate = 'a.pem'\nkey = 'a-key.pem'\nclient_ca = 'ca.pem'\n");
        assert!(waits().await);
        bring("a.pem", "");
        bring("ca.pem", "");
        assert!(waits().await, "the key is not there");
        bring("a-key.pem", "");
        assert!(!waits().await);
        let config = waiting.await.unwrap().unwrap();
        assert_eq!(config.tls.key, folder.path().join("a-key.pem"));
    }

    #[tokio::test(start_paused = true)]
    async fn mistakes_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        #[allow(clippy::disallowed_methods)] // the test's own file
        std::fs::write(&file, "nonsense = 1").unwrap();
        assert!(for_files(&file).await.is_err());
    }
}
