//! Values of flags.

use std::time::Duration;

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // kubectl takes a bare 0 for "no limit".
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| format!("{error} (examples: 30s, 5m, 1h30m)"))
}
