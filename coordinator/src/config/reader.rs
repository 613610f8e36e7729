//! Reads a TOML table key by key, remembers which keys were asked for, and collects every mistake with its place.

use std::cell::RefCell;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;

/// A mistake and the byte of the text at which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) offset: usize,
    pub(super) key: String,
    pub(super) message: String,
}

/// Where the readers of all tables leave what they find wrong.
#[derive(Debug, Default)]
pub(super) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    pub(super) fn add(&self, offset: usize, key: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(Mistake { offset, key: key.into(), message: message.into() });
    }

    /// All of them in the order of the text.
    pub(super) fn into_sorted(self) -> Vec<Mistake> {
        let mut mistakes = self.0.into_inner();
        mistakes.sort_by_key(|mistake| mistake.offset);
        mistakes
    }
}

/// One table of the file. A table that is not in the file reads as an empty one.
pub(super) struct Table<'d> {
    path: String,
    offset: usize,
    entries: Option<&'d DeTable<'d>>,
    asked: Vec<&'static str>,
    mistakes: &'d Mistakes,
}

impl<'d> Table<'d> {
    pub(super) fn root(entries: &'d DeTable<'d>, mistakes: &'d Mistakes) -> Self {
        Self { path: String::new(), offset: 0, entries: Some(entries), asked: Vec::new(), mistakes }
    }

    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// Whether the file has this key, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// The value of `key`, made by `read`. `None` if it is absent or wrong; the latter is recorded.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Result<T, String>,
    ) -> Option<T> {
        self.asked.push(key);
        let value = self.entries?.get(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistakes.add(value.span().start, self.key(key), message);
                None
            }
        }
    }

    /// The table under `key`.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        self.asked.push(key);
        self.open(key)
    }

    /// The values of all keys of this table, which are names of the site's choice, in the order of the file.
    pub(super) fn each<T>(self, mut read: impl FnMut(&str, &DeValue<'d>) -> Result<T, String>) -> Vec<(String, T)> {
        let mut values = Vec::new();
        for name in self.names() {
            let Some(value) = self.entries.and_then(|entries| entries.get(name.as_str())) else { continue };
            match read(&name, value.get_ref()) {
                Ok(value) => values.push((name, value)),
                Err(message) => self.mistakes.add(value.span().start, self.key(&name), message),
            }
        }
        values
    }

    /// The tables under all keys that nobody has asked for yet, which are names of the site's choice, in the order of the
    /// file.
    pub(super) fn other_tables(self) -> Vec<(String, Self)> {
        let others = self.names().into_iter().filter(|name| !self.asked.contains(&name.as_str()));
        others.map(|name| (name.clone(), self.open(&name))).collect()
    }

    /// Records a mistake in the value of `key`, or in the table itself if the key is absent.
    pub(super) fn mistake(&self, key: &str, message: impl Into<String>) {
        let value = self.entries.and_then(|entries| entries.get(key));
        self.mistakes.add(value.map_or(self.offset, |value| value.span().start), self.key(key), message);
    }

    /// Records a mistake in the table's own name.
    pub(super) fn misnamed(&self, message: impl Into<String>) {
        self.mistakes.add(self.offset, self.path.as_str(), message);
    }

    /// Records every key that nobody has asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.entries.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let message = match nearest(name, self.asked.iter().copied()) {
                    Some(meant) => format!("unknown key; did you mean \"{meant}\"?"),
                    None => format!("unknown key (known here: {})", self.asked.join(", ")),
                };
                self.mistakes.add(key.span().start, self.key(name), message);
            }
        }
    }

    fn open(&self, key: &str) -> Self {
        let entry = self.entries.and_then(|entries| entries.get_key_value(key));
        let entries = entry.and_then(|(_, value)| match value.get_ref() {
            DeValue::Table(entries) => Some(entries),
            other => {
                self.mistakes.add(value.span().start, self.key(key), super::values::expected("a table", other));
                None
            }
        });
        Self {
            path: self.key(key),
            offset: entry.map_or(self.offset, |(key, _)| key.span().start),
            entries,
            asked: Vec::new(),
            mistakes: self.mistakes,
        }
    }

    /// The names of all keys in the order of the file.
    fn names(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.entries.into_iter().flatten().map(|(key, _)| key).collect();
        keys.sort_by_key(|key| key.span().start);
        keys.into_iter().map(|key| key.get_ref().to_string()).collect()
    }

    fn key(&self, name: &str) -> String {
        let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let name = if bare { name.to_owned() } else { format!("{name:?}") };
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }
}
