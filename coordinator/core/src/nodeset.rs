//! Sets of names in the notation of ClusterShell: `w[1-20,23]` for w1 to w20 and w23.
//!
//! What is read: lists between commas, any number of brackets in a name, in each numbers and ranges between commas, a step
//! (`[0-8/2]`), and zeros in front that all numbers of a range keep (`[001-020]`). Several brackets mean every combination.
//!
//! What is written keeps the order of the names, in which usher goes from one to the next: `cp2, cp3, cp1` is `cp[2-3,1]`. So
//! what is written and read again is the same list. ClusterShell reads it too; it sorts. (The crate `nodeset` sorts as well,
//! and comes with ClusterShell's groups and their configuration files, which usher does not want.)

mod fold;
mod number;

use std::{fmt, str::FromStr};

pub use self::fold::fold;
use self::number::{has_zeros, number};
use crate::text;

/// More names than this are a mistake in typing.
const MOST: usize = 100_000;

/// Names, in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSet(pub Vec<String>);

/// Why a text is no set of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{set:?} is no set of names: {why} (examples: w1,w2  w[1-20,23]  db[001-012].example.org)")]
pub struct BadNodeSet {
    set: String,
    why: String,
}

impl FromStr for NodeSet {
    type Err = BadNodeSet;

    fn from_str(text: &str) -> Result<Self, BadNodeSet> {
        expand(text).map(Self).map_err(|why| BadNodeSet { set: text.to_owned(), why })
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fold(&self.0))
    }
}

/// Up to this many names are spelled out.
pub const FEW: usize = 3;

/// Names as one argument of a command, unquoted: a few between commas, more of them folded.
pub fn argument(names: &[impl AsRef<str>]) -> String {
    let spelled_out = || names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",");
    if names.len() > FEW { fold(names) } else { spelled_out() }
}

/// Names in a sentence: `w1, w2 and w3`, more of them folded.
pub fn words(names: &[impl AsRef<str>]) -> String {
    if names.len() > FEW { fold(names) } else { text::list(names) }
}

/// Names after a colon: `w1, w2, w3`, more of them folded.
pub fn listed(names: &[impl AsRef<str>]) -> String {
    let spelled_out = || names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > FEW { fold(names) } else { spelled_out() }
}

fn expand(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for part in split(text)? {
        if part.is_empty() {
            return Err("a name is missing beside a comma".to_owned());
        }
        let mut found = vec![String::new()];
        let mut rest = part;
        while let Some((before, bracket)) = rest.split_once('[') {
            let Some((inside, after)) = bracket.split_once(']') else { return Err("a ']' is missing".to_owned()) };
            let numbers = numbers(inside)?;
            if names.len() + found.len() * numbers.len() > MOST {
                return Err(format!("it has more than {MOST} names"));
            }
            let each =
                |name: &String| numbers.iter().map(|number| format!("{name}{before}{number}")).collect::<Vec<_>>();
            found = found.iter().flat_map(each).collect();
            rest = after;
        }
        names.extend(found.into_iter().map(|name| name + rest));
    }
    Ok(names)
}

/// The parts between the commas that are in no bracket.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut from, mut inside) = (Vec::new(), 0, false);
    for (at, char) in text.char_indices() {
        match char {
            '[' if inside => return Err("a '[' is within brackets".to_owned()),
            ']' if !inside => return Err("a '[' is missing".to_owned()),
            '[' | ']' => inside = char == '[',
            ',' if !inside => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    Ok(parts)
}

/// The numbers in a bracket, as they are written.
fn numbers(text: &str) -> Result<Vec<String>, String> {
    let mut numbers = Vec::new();
    for range in text.split(',') {
        let (ends, step) = range.split_once('/').unwrap_or((range, "1"));
        let (first, last) = ends.split_once('-').unwrap_or((ends, ends));
        let (from, to, step) = (number(first)?, number(last)?, number(step)?);
        if to < from || step == 0 {
            return Err(format!("{range:?} is no range"));
        }
        let padded = has_zeros(first) || has_zeros(last);
        if padded && first.len() != last.len() {
            return Err(format!("{range:?} has zeros in front, so both numbers need as many digits"));
        }
        if (to - from) / step >= MOST as u64 {
            return Err(format!("it has more than {MOST} names"));
        }
        let width = if padded { first.len() } else { 0 };
        let mut next = from;
        while next <= to {
            numbers.push(format!("{next:0width$}"));
            next += step;
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests;
