//! Waiting for a configuration that configuration management brings later than the package.
//!
//! The agent waits by itself rather than by a condition of its unit: systemd would look at that once, at the boot, and leave
//! the unit inactive when the file comes a minute later. Nor does it end and let itself be restarted, which would fill the
//! journal. Certificates may come later still: without them the agent serves the node's own root.

use std::{io, path::Path, time::Duration};

use tokio::time::sleep;
use tracing::{info, warn};
use usher_common::config_file::FileError;

use crate::{config::Config, notify};

/// Between two looks. Below any watchdog that makes sense.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The configuration, as soon as it is there. Meanwhile systemd is told what is missing.
///
/// # Errors
///
/// If the configuration is there and has mistakes.
pub async fn for_configuration(file: &Path) -> Result<Config, FileError> {
    let mut told = false;
    while is_missing(file) {
        if !told {
            warn!("{} is not there yet; the agent serves nobody until it is", file.display());
        }
        notify::waiting(file);
        told = true;
        sleep(LOOK_EVERY).await;
    }
    if told {
        info!("{} is there now", file.display());
    }
    Config::load(file)
}

/// Whether there is no such file. One that may not be looked at is there: reading it will say what is wrong.
fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_agent_starts_by_itself_once_its_configuration_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        let waiting = tokio::spawn({
            let file = file.clone();
            async move { for_configuration(&file).await }
        });
        let waits = async || {
            sleep(LOOK_EVERY * 2).await;
            !waiting.is_finished()
        };
        assert!(waits().await);
        #[allow(clippy::disallowed_methods)] // what configuration management does
        std::fs::write(&file, "[tls]\ncertificate = 'a.pem'\nkey = 'a-key.pem'\nclient_ca = 'ca.pem'\n").unwrap();
        assert!(!waits().await);
        let config = waiting.await.unwrap().unwrap();
        assert_eq!(config.tls.key, folder.path().join("a-key.pem"), "the key need not be there yet");
    }

    #[tokio::test(start_paused = true)]
    async fn mistakes_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        #[allow(clippy::disallowed_methods)] // the test's own file
        std::fs::write(&file, "nonsense = 1").unwrap();
        assert!(for_configuration(&file).await.is_err());
    }
}
