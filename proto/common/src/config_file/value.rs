//! Values as a configuration file has them.

use std::{fmt, time::Duration};

/// A value of a key. Displayed as TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(u32),
    /// A string.
    Text(String),
    /// A string like `10s` or `1h 30m`.
    Duration(Duration),
    /// An array.
    List(Vec<Self>),
    /// A table in one line.
    Table(Vec<(&'static str, Self)>),
    /// A date with a time, as TOML writes it without quotes.
    Time(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", toml::Value::from(text.as_str())),
            Self::Duration(duration) => write!(f, "\"{}\"", in_units(*duration)),
            Self::List(items) => {
                f.write_str("[")?;
                for (number, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if number == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Table(entries) => {
                f.write_str("{")?;
                for (number, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{} {key} = {value}", if number == 0 { "" } else { "," })?;
                }
                f.write_str(" }")
            }
            Self::Time(time) => f.write_str(time),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<const N: usize> From<[&str; N]> for Value {
    fn from(items: [&str; N]) -> Self {
        Self::List(items.map(Into::into).to_vec())
    }
}

/// A duration as people type it: `1h30m`, `90d`. Units that depend on the calendar are left out.
fn in_units(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, nanos) in UNITS {
        if rest >= nanos {
            text.push_str(&format!("{}{unit}", rest / nanos));
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
