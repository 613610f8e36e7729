//! Kinds of values: TOML in, checked value out, or what is wrong with it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{Spanned, de::DeValue};

use super::value::Value;

/// What a value looks like in TOML, for the JSON schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A boolean.
    Flag,
    /// An integer between two bounds, both included.
    Number {
        /// The least.
        least: u32,
        /// The greatest.
        greatest: u32,
    },
    /// A string that is not empty.
    Text,
    /// A string with units of time.
    Duration,
    /// An array of strings.
    Texts,
    /// An array of strings and of tables with these keys, the first of which is required.
    TextsOrTables(&'static [Entry]),
}

/// A key of the tables in a [`Shape::TextsOrTables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// What it means, in whole sentences.
    pub says: &'static str,
}

/// How the value of a key is read.
pub trait Kind {
    /// What the program makes of it.
    type Value: Clone;

    /// The kind as the reference page names it: "duration".
    fn name(&self) -> String;

    /// What it looks like in TOML.
    fn shape(&self) -> Shape;

    /// Makes the value. Relative paths begin at `folder`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with the byte of the text at which it stands.
    fn read(&self, value: &Spanned<DeValue<'_>>, folder: &Path) -> Result<Self::Value, Vec<(usize, String)>>;

    /// The value as a file would have it.
    fn write(&self, value: &Self::Value) -> Value;
}

/// A kind that is read as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Scalar<T> {
    /// The kind as the reference page names it: "duration".
    pub name: &'static str,
    /// What it looks like in TOML.
    pub shape: Shape,
    /// Makes the value; relative paths begin at the folder.
    pub read: fn(&DeValue<'_>, &Path) -> Result<T, String>,
    /// The value as a file would have it.
    pub write: fn(&T) -> Value,
}

impl Scalar<String> {
    /// A string of which there is more to check.
    pub const fn text(name: &'static str, read: fn(&DeValue<'_>, &Path) -> Result<String, String>) -> Self {
        Self { name, shape: Shape::Text, read, write: |text| Value::Text(text.clone()) }
    }
}

impl Scalar<Duration> {
    const fn duration(read: fn(&DeValue<'_>, &Path) -> Result<Duration, String>) -> Self {
        Self { name: "duration", shape: Shape::Duration, read, write: |duration| Value::Duration(*duration) }
    }
}

impl Scalar<u32> {
    const fn number(least: u32, read: fn(&DeValue<'_>, &Path) -> Result<u32, String>) -> Self {
        let shape = Shape::Number { least, greatest: u32::MAX };
        Self { name: "number", shape, read, write: |number| Value::Number(*number) }
    }
}

impl<T: Clone> Kind for Scalar<T> {
    type Value = T;

    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, folder: &Path) -> Result<T, Vec<(usize, String)>> {
        (self.read)(value.get_ref(), folder).map_err(|message| vec![(value.span().start, message)])
    }

    fn write(&self, value: &T) -> Value {
        (self.write)(value)
    }
}

/// An array of strings, each read as this kind. All wrong ones are reported.
#[derive(Debug, Clone, Copy)]
pub struct ListOf<T>(pub Scalar<T>);

impl<T: Clone> Kind for ListOf<T> {
    type Value = Vec<T>;

    fn name(&self) -> String {
        format!("list of {}s", self.0.name)
    }

    fn shape(&self) -> Shape {
        Shape::Texts
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, folder: &Path) -> Result<Vec<T>, Vec<(usize, String)>> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(vec![(value.span().start, expected("a list of strings", value.get_ref()))]);
        };
        let (mut good, mut wrong) = (Vec::new(), Vec::new());
        for (number, item) in items.iter().enumerate() {
            match (self.0.read)(item.get_ref(), folder) {
                Ok(item) => good.push(item),
                Err(message) if items.len() == 1 => wrong.push((item.span().start, message)),
                Err(message) => wrong.push((item.span().start, format!("item {}: {message}", number + 1))),
            }
        }
        if wrong.is_empty() { Ok(good) } else { Err(wrong) }
    }

    fn write(&self, items: &Vec<T>) -> Value {
        Value::List(items.iter().map(|item| self.0.write(item)).collect())
    }
}

/// A string that is not empty.
pub const TEXT: Scalar<String> = Scalar::text("string", |value, _| text(value));

/// `true` or `false`.
pub const FLAG: Scalar<bool> = Scalar {
    name: "boolean",
    shape: Shape::Flag,
    read: |value, _| value.as_bool().ok_or_else(|| expected("true or false", value)),
    write: |flag| Value::Flag(*flag),
};

/// A path; a relative one begins at the file's folder.
pub const PATH: Scalar<PathBuf> = Scalar {
    name: "path",
    shape: Shape::Text,
    read: |value, folder| Ok(folder.join(text(value)?)),
    write: |path| Value::Text(path.display().to_string()),
};

/// A duration in words, zero allowed: `10s`, `1m 30s`.
pub const DURATION: Scalar<Duration> = Scalar::duration(|value, _| duration(value));

/// A duration that limits something: zero would forbid it.
pub const LIMIT: Scalar<Duration> = Scalar::duration(|value, _| match duration(value)? {
    Duration::ZERO => Err("a time limit must be longer than 0s".into()),
    limit => Ok(limit),
});

/// A TCP port.
pub const PORT: Scalar<u16> = Scalar {
    name: "port",
    shape: Shape::Number { least: 1, greatest: 65535 },
    read: |value, _| match number(value, "a port number")?.try_into() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{} is no port (1 to 65535)", shown(value))),
    },
    write: |port| Value::Number((*port).into()),
};

/// A whole number from 0.
pub const COUNT: Scalar<u32> = Scalar::number(0, |value, _| {
    number(value, "a number")?.try_into().map_err(|_| format!("{} is not between 0 and {}", shown(value), u32::MAX))
});

/// A whole number from 1.
pub const POSITIVE: Scalar<u32> = Scalar::number(1, |value, folder| match (COUNT.read)(value, folder)? {
    0 => Err("must be at least 1".into()),
    number => Ok(number),
});

/// Says that a value has the wrong type.
pub fn expected(what: &str, found: &DeValue<'_>) -> String {
    let kind = found.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("expected {what}, found {article} {kind}")
}

/// The string, if the value is one and is not empty.
///
/// # Errors
///
/// What the value is instead.
pub fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => Err("must not be empty".into()),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(expected("a string", other)),
    }
}

/// Longer than usher or an agent waits for anything, and short enough that adding it to a time cannot overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    match value {
        DeValue::String(text) => match humantime::parse_duration(text) {
            Ok(duration) if duration <= LONGEST => Ok(duration),
            Ok(_) => Err(format!("\"{text}\" is longer than a year")),
            Err(_) => Err(format!("\"{text}\" is no duration (examples: 10s, 5m)")),
        },
        DeValue::Integer(number) => Err(format!(
            "{} is no duration: a string with a unit is wanted (examples: \"10s\", \"5m\")",
            number.as_str()
        )),
        other => Err(expected("a duration as a string (examples: \"10s\", \"5m\")", other)),
    }
}

/// The integer; beyond what an `i128` holds, one that no caller's range has.
///
/// # Errors
///
/// What the value is instead of `what`.
pub fn number(value: &DeValue<'_>, what: &str) -> Result<i128, String> {
    let DeValue::Integer(number) = value else { return Err(expected(what, value)) };
    Ok(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
}

fn shown<'v>(value: &'v DeValue<'_>) -> &'v str {
    value.as_integer().map_or("", |number| number.as_str())
}
