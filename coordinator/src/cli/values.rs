//! Values of flags.

use std::time::Duration;

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // kubectl takes a bare 0 for "no limit".
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| format!("{error} (examples: 30s, 5m, 1h30m)"))
}

/// The name of a service or of an environment: one word, which is part of a path and no flag.
pub(super) fn service(text: &str) -> Result<String, String> {
    let good = |char: char| char.is_alphanumeric() || "-_.".contains(char);
    match text.is_empty() || text.starts_with(['-', '.']) || !text.chars().all(good) {
        true => Err("one word is wanted (letters, digits, '-', '_' and '.')".to_owned()),
        false => Ok(text.to_owned()),
    }
}
