//! A commented example: every key with its default or a value that makes sense, commented out unless it is required.

use std::collections::BTreeSet;

use usher_common::config_file::{Default, KeyRecord, Name, Presence, Record, Section, dotted};

/// Width of the comments.
const WIDTH: usize = 100;

/// The example. A line of TOML that is commented out begins with `#` and no blank, a line of prose with `# `.
pub(super) fn example(intro: &str, record: &Record) -> String {
    let mut example = Example { record, text: format!("{}\n", prose(intro)), said: BTreeSet::new() };
    example.subtree(0, false);
    example.text
}

struct Example<'r> {
    record: &'r Record,
    text: String,
    /// Keys and their meaning, for those that several tables have.
    said: BTreeSet<(String, &'static str)>,
}

impl Example<'_> {
    /// A table and all tables in it. `commented`: whether the tables around it are commented out.
    fn subtree(&mut self, index: usize, commented: bool) {
        let record = self.record;
        let section = &record.sections[index];
        let commented = commented || section.presence == Presence::Chosen;
        self.head(section, commented);
        for key in &section.keys {
            self.key(key, commented);
        }
        for (child, _) in children(record, section) {
            self.subtree(child, commented);
        }
        if let Some(more) = section.shows {
            self.text.push('\n');
            for line in more.lines() {
                let mark = if line.is_empty() || line.starts_with('#') { "" } else { "#" };
                self.text.push_str(&format!("{mark}{line}\n"));
            }
        }
    }

    fn head(&mut self, section: &Section, commented: bool) {
        if section.path.is_empty() {
            return;
        }
        self.text.push('\n');
        self.text.push_str(&prose(section.says));
        // A table without keys of its own is there as soon as one in it is.
        if !section.keys.is_empty() {
            let mark = if commented { "#" } else { "" };
            self.text.push_str(&format!("{mark}[{}]\n", dotted(section.path.iter().map(Name::as_str))));
        }
    }

    fn key(&mut self, key: &KeyRecord, commented: bool) {
        let name = dotted([key.name.as_str()]);
        let (value, more) = match (&key.example, &key.default) {
            (Some(example), Default::Is(default)) => (example.to_string(), format!(" Default: {default}.")),
            (Some(example), Default::Unset(unset)) if !unset.is_empty() => {
                (example.to_string(), format!(" Default: {unset}."))
            }
            (Some(example), _) => (example.to_string(), String::new()),
            (None, Default::Is(default)) => (default.to_string(), String::new()),
            (None, _) => return,
        };
        if self.said.insert((name.clone(), key.says)) {
            self.text.push_str(&prose(&format!("{}{more}", key.says)));
        }
        let mark = if commented || key.default != Default::Required { "#" } else { "" };
        self.text.push_str(&format!("{mark}{name} = {value}\n"));
    }
}

/// The tables directly in a table, with their places in the record.
pub(super) fn children<'r>(record: &'r Record, section: &'r Section) -> impl Iterator<Item = (usize, &'r Section)> {
    record
        .sections
        .iter()
        .enumerate()
        .filter(|(_, child)| child.path.len() == section.path.len() + 1 && child.path.starts_with(&section.path))
}

/// Text as comment lines.
fn prose(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}
