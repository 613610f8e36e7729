//! Label selectors as kubectl takes them: `app=web,tier in (front,back),!canary`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A label selector. All of its requirements must be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSelector {
    text: String,
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    In(Vec<String>),
    /// Met by labels without the key, too.
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl PodSelector {
    /// Whether a pod with these labels is selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|Requirement { key, rule }| {
            let label = labels.get(key);
            match rule {
                Rule::In(values) => label.is_some_and(|label| values.contains(label)),
                Rule::NotIn(values) => !label.is_some_and(|label| values.contains(label)),
                Rule::Exists => label.is_some(),
                Rule::Absent => label.is_none(),
            }
        })
    }
}

impl fmt::Display for PodSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for PodSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'d> Deserialize<'d> for PodSelector {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for PodSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |part: &str| format!("\"{part}\" is no label selector (examples: app=web, tier in (front,back), !canary)");
        let parts = split(text);
        let requirements = parts.iter().map(|part| requirement(part.trim()).ok_or_else(|| wrong(part)));
        let requirements: Vec<_> = requirements.collect::<Result<_, _>>()?;
        Ok(Self { text: text.trim().to_owned(), requirements })
    }
}

/// At the commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    let (key, rule) = if let Some(key) = part.strip_prefix('!') {
        (key, Rule::Absent)
    } else if let Some((key, value)) = part.split_once("!=") {
        (key, Rule::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (key, Rule::In(vec![value.trim().to_owned()]))
    } else if let Some((head, values)) = part.split_once('(') {
        let values: Vec<_> = values.strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, word) = head.trim().rsplit_once(char::is_whitespace)?;
        match word {
            "in" => (key, Rule::In(values)),
            "notin" => (key, Rule::NotIn(values)),
            _ => return None,
        }
    } else {
        (part, Rule::Exists)
    };
    let values_are_words = match &rule {
        Rule::In(values) | Rule::NotIn(values) => values.iter().all(|value| value.is_empty() || is_word(value)),
        Rule::Exists | Rule::Absent => true,
    };
    // A key may have a prefix: `app.kubernetes.io/name`.
    let key = key.trim();
    let key_is_good = key.split('/').all(is_word) && key.split('/').count() <= 2;
    (key_is_good && values_are_words).then(|| Requirement { key: key.to_owned(), rule })
}

/// As label values are written: letters and digits at both ends.
fn is_word(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let at_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    at_end(text.bytes().next()) && at_end(text.bytes().last()) && text.bytes().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select_as_kubectls() {
        let labels = BTreeMap::from([("app", "web"), ("a.b/tier", "front")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        for (text, expected) in [
            ("app=web", true),
            ("app==web", true),
            ("app = db", false),
            ("app!=db", true),
            ("other!=db", true),
            ("app,!canary", true),
            ("app,canary", false),
            ("a.b/tier in (front, back), app=web", true),
            ("a.b/tier notin (front,back)", false),
            ("other notin (x)", true),
            ("app=", false),
        ] {
            assert_eq!(text.parse::<PodSelector>().unwrap().selects(&labels), expected, "{text}");
        }
    }

    #[test]
    fn a_malformed_selector_is_an_error() {
        for text in ["", "=web", "app=web,", "tier in front", "tier near (a)", "tier in (a", "a b", "-x"] {
            assert!(text.parse::<PodSelector>().is_err(), "{text}");
        }
    }
}
