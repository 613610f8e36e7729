//! How usher writes times, identities and lists: one way for every table, line and report.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A duration for people: `0.4s`, `9s`, `1m12s`, `4d2h`.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How far a clock is ahead of another one, in words that the other's owner follows, as in `45s behind`; None if that is `borne`.
pub fn apart(ahead: SignedDuration, borne: SignedDuration) -> Option<String> {
    let by = took(ahead.unsigned_abs());
    let word = if ahead.is_negative() { "behind" } else { "ahead of" };
    (ahead.abs() > borne).then(|| format!("{by} {word}"))
}

/// An age in its largest unit, as kubectl shows it: `5s`, `3m`, `9h`, `12d`. Never negative, whatever the clocks say.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - since.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The first digits of a boot id or InvocationID, enough to compare by eye.
pub fn short_id(id: &str) -> String {
    match id.char_indices().nth(4) {
        Some((end, _)) if id.len() > 8 => format!("{}…", &id[..end]),
        _ => id.to_owned(),
    }
}

/// A size in the unit in which it has up to four digits: `512 B`, `20 KiB`, `2047 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let step = (0..UNITS.len() - 1).find(|step| bytes >> (10 * step) < 10_000).unwrap_or(UNITS.len() - 1);
    format!("{} {}", bytes >> (10 * step), UNITS[step])
}

/// `1 pod`, `3 pods`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}

/// The names of a few, and how many more there are: `w1, w2, w3 and 4997 more`.
pub fn few(items: &[impl AsRef<str>]) -> String {
    const NAMED: usize = 3;
    match items.len().checked_sub(NAMED) {
        Some(more) if more > 1 => {
            let named: Vec<_> = items[..NAMED].iter().map(AsRef::as_ref).collect();
            format!("{} and {more} more", named.join(", "))
        }
        _ => list(items),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(items: &[impl AsRef<str>]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// A command as it can be pasted into a POSIX shell.
pub fn command(argv: &[impl AsRef<str>]) -> String {
    argv.iter().map(|word| shell_words::quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_person_would_say_them() {
        for (milliseconds, expected) in
            [(0, "0.0s"), (432, "0.4s"), (9_400, "9.4s"), (41_900, "41s"), (72_000, "1m12s"), (3_720_000, "1h2m")]
        {
            assert_eq!(took(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn an_age_is_never_negative() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |seconds: i64| Timestamp::from_second(1_000_000 - seconds).unwrap();
        for (seconds, expected) in
            [(-5, "0s"), (3, "3s"), (119, "119s"), (180, "3m"), (32_400, "9h"), (1_036_800, "12d")]
        {
            assert_eq!(age(at(seconds), now), expected);
        }
    }

    #[test]
    fn lists_end_with_and() {
        assert_eq!(list(&["cp1"]), "cp1");
        assert_eq!(list(&["cp1", "cp2", "cp3"]), "cp1, cp2 and cp3");
    }
}
