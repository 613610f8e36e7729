//! A version as a number to compare.

use std::fmt;

/// Major, minor and patch of a version. What follows them (build, revision of a package) does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Number {
    /// Reads `v1.37.2`, `1.37`, `1.31.4-1`, `1:3.5.16-4+b1` or `2.0.0~rc1`. An epoch is skipped; None if no number begins it.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.split_once(':').map_or(text, |(_, rest)| rest);
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text[..end].split('.').map(str::parse::<u32>);
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let patch = parts.next().and_then(Result::ok).unwrap_or(0);
        Some(Self { major, minor, patch })
    }

    /// `1.37`: what is released and supported together.
    pub fn series(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// How many minor releases it is ahead of another one; negative if it is behind. None across major releases.
    pub fn minors_ahead_of(self, other: Self) -> Option<i64> {
        (self.major == other.major).then(|| i64::from(self.minor) - i64::from(other.minor))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
