//! Logs: to the journal, with structured fields, if systemd started the agent; otherwise to stderr.

use std::io::stderr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The environment variable that sets another level than `info`: `debug`, `usher_agent=trace,zbus=debug`.
const LEVEL: &str = "USHER_LOG";

/// Starts logging for the process. In the journal, fields are `USHER_OPERATION`, `USHER_UNIT`, `USHER_CALLER`, …
pub fn init() {
    let levels = std::env::var(LEVEL).ok().and_then(|levels| levels.parse::<Targets>().ok());
    let levels = levels.unwrap_or_else(|| {
        Targets::new().with_default(LevelFilter::WARN).with_target("usher_agent", LevelFilter::INFO)
    });
    // systemd sets it if stderr is the journal already.
    if std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journal) = tracing_journald::layer()
    {
        let journal =
            journal.with_field_prefix(Some("USHER".to_owned())).with_syslog_identifier("usher-agent".to_owned());
        tracing_subscriber::registry().with(journal.with_filter(levels)).init();
    } else {
        let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(false).with_ansi(false);
        tracing_subscriber::registry().with(lines.with_filter(levels)).init();
    }
}
