//! Templates of `-o jsonpath=…` in kubectl's form: text as it is, and in braces a path, a literal, or a range over what a path finds.
//! The paths themselves are the business of the crate that kube brings.

use jsonpath_rust::{JsonPath as _, parser::parse_json_path};
use serde_json::Value;

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} (examples: {{.items[*].name}}  {{range .items[*]}}{{.name}}{{\"\\n\"}}{{end}})")]
pub(crate) struct BadTemplate(String);

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Path(Path),
    Range(Path, Vec<Self>),
}

/// A path, and whether it begins at the top of the document or at the element of the range around it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    from_the_top: bool,
    /// By RFC 9535.
    query: String,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, BadTemplate> {
        if !text.contains('{') {
            return Err(BadTemplate(format!("{text:?} has no path in braces")));
        }
        let mut rest = text;
        let pieces = pieces(&mut rest, false)?;
        Ok(Self(pieces))
    }

    /// What it makes of a document. A path that finds nothing leaves nothing, as with kubectl.
    pub(crate) fn render(&self, document: &Value) -> String {
        let mut text = String::new();
        self.0.iter().for_each(|piece| piece.render(document, document, &mut text));
        text
    }
}

impl Piece {
    fn render(&self, top: &Value, here: &Value, text: &mut String) {
        match self {
            Self::Text(literal) => text.push_str(literal),
            Self::Path(path) => {
                let found: Vec<_> = path.find(top, here).into_iter().map(said).collect();
                text.push_str(&found.join(" "));
            }
            Self::Range(path, inner) => {
                for element in path.find(top, here) {
                    inner.iter().for_each(|piece| piece.render(top, element, text));
                }
            }
        }
    }
}

impl Path {
    fn find<'a>(&self, top: &'a Value, here: &'a Value) -> Vec<&'a Value> {
        let from = if self.from_the_top { top } else { here };
        // It was read once before; a comparison that fits no value finds nothing.
        from.query(&self.query).unwrap_or_default()
    }

    fn parse(text: &str) -> Result<Self, BadTemplate> {
        let (from_the_top, rest) = match text.strip_prefix('$') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('@').unwrap_or(text)),
        };
        let is_path = rest.is_empty() || rest.starts_with(['.', '[']);
        let query = format!("${}", segments(if rest == "." { "" } else { rest }));
        if !is_path || parse_json_path(&query).is_err() {
            return Err(BadTemplate(format!("{text:?} is no JSONPath")));
        }
        Ok(Self { from_the_top, query })
    }
}

/// Values as kubectl prints them: texts without quotes, everything else as JSON.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The pieces up to the end, or up to `{end}` inside a range.
fn pieces(rest: &mut &str, in_range: bool) -> Result<Vec<Piece>, BadTemplate> {
    let mut found = Vec::new();
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            found.push(Piece::Text(before.to_owned()));
        }
        let Some((inside, after)) = split_at_brace(after) else {
            return Err(BadTemplate("a '}' is missing".to_owned()));
        };
        *rest = after;
        let inside = inside.trim();
        match (inside, inside.strip_prefix("range ")) {
            ("end", _) if in_range => return Ok(found),
            ("end", _) => return Err(BadTemplate("{end} ends no {range}".to_owned())),
            (_, Some(path)) => {
                let path = Path::parse(path.trim())?;
                found.push(Piece::Range(path, pieces(rest, true)?));
            }
            _ => found.push(match literal(inside) {
                Some(literal) => Piece::Text(literal?),
                None => Piece::Path(Path::parse(inside)?),
            }),
        }
    }
    if in_range {
        return Err(BadTemplate("{end} is missing after {range}".to_owned()));
    }
    if !rest.is_empty() {
        found.push(Piece::Text((*rest).to_owned()));
        *rest = "";
    }
    Ok(found)
}

/// Splits at the first closing brace outside quotes.
fn split_at_brace(text: &str) -> Option<(&str, &str)> {
    let (mut quote, mut escaped) = (None, false);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '}') => return Some((&text[..at], &text[at + 1..])),
            (None, _) => {}
        }
    }
    None
}

/// A text in quotes, with the escapes of JSON; None if it is not in quotes.
fn literal(inside: &str) -> Option<Result<String, BadTemplate>> {
    let quote = inside.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let bad = || BadTemplate(format!("{inside} is no text in quotes"));
    let text = inside.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    Some(text.ok_or_else(bad).and_then(|text| {
        let text = if quote == '\'' { text.replace('"', "\\\"") } else { text.to_owned() };
        serde_json::from_str(&format!("\"{text}\"")).map_err(|_| bad())
    }))
}

/// Segments by RFC 9535: kubectl lets names have dashes and slashes, and dots after a backslash.
fn segments(path: &str) -> String {
    let mut query = String::new();
    let mut chars = path.chars().peekable();
    let mut depth = 0_usize;
    while let Some(character) = chars.next() {
        query.push(character);
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 && !matches!(chars.peek(), Some('.' | '[' | '*') | None) => {
                let mut name = String::new();
                while let Some(next) = chars.next_if(|next| !matches!(next, '.' | '[')) {
                    let is_escape = next == '\\';
                    name.extend(if is_escape { chars.next() } else { Some(next) });
                }
                if name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
                    query.push_str(&name);
                } else {
                    if !query.ends_with("..") {
                        query.pop();
                    }
                    query.push_str(&format!("['{}']", name.replace('\'', "\\'")));
                }
            }
            _ => {}
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> String {
        let document = json!({
            "kind": "NodeList",
            "items": [
                {"name": "w1", "ready": true, "node": {"labels": {"kubernetes.io/os": "linux"}}, "taints": ["a", "b"]},
                {"name": "w2", "ready": false, "restarts": 3},
            ],
        });
        Template::parse(template).unwrap().render(&document)
    }

    #[test]
    fn templates_mean_what_they_mean_to_kubectl() {
        for (template, expected) in [
            ("{.items[*].name}", "w1 w2"),
            ("{.items[0].name}", "w1"),
            ("{.items[-1:].name}", "w2"),
            ("{$.kind}: {.items[1].restarts}", "NodeList: 3"),
            ("{range .items[*]}{.name}{\"\\t\"}{.ready}{\"\\n\"}{end}", "w1\ttrue\nw2\tfalse\n"),
            ("{range .items[*]}{@.name}@{$.kind} {end}!", "w1@NodeList w2@NodeList !"),
            ("{.items[?(@.name==\"w2\")].restarts}", "3"),
            ("{.items[?(@.ready)].name}", "w1 w2"),
            ("{.items[?(@.ready==true)].name}", "w1"),
            ("{.items[0].node.labels.kubernetes\\.io/os}", "linux"),
            ("{.items[0].node.labels['kubernetes.io/os']}", "linux"),
            ("{..name}", "w1 w2"),
            ("{.items[0].taints}", "[\"a\",\"b\"]"),
            ("{.items[*].nowhere}{'}'}", "}"),
        ] {
            assert_eq!(render(template), expected, "{template}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused_before_anybody_is_asked() {
        for (template, why) in [
            (".items[*].name", "has no path in braces"),
            ("{.items[*.name}", "is no JSONPath"),
            ("{items}", "is no JSONPath"),
            ("{.name", "a '}' is missing"),
            ("{range .items[*]}{.name}", "{end} is missing"),
            ("{end}", "ends no {range}"),
        ] {
            let error = Template::parse(template).unwrap_err().to_string();
            assert!(error.contains(why), "{template}: {error}");
        }
    }
}
