//! Reads a TOML table key by key, remembers what was asked for, and collects every mistake with its place.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    kind::{Kind, expected},
    nearest::nearest,
    problem::Mistake,
    record::{Default, KeyRecord, Name, Presence, Record, Section, dotted},
    source::Sources,
    value::Value,
};

/// One pass over a file: where the readers of all tables leave what they find.
#[derive(Debug)]
pub(super) struct Reading {
    folder: PathBuf,
    /// Nothing is read, but every key described.
    describing: bool,
    mistakes: RefCell<Vec<Mistake>>,
    sections: RefCell<Vec<Section>>,
    /// The bytes at which values stand: section, key, offset.
    places: RefCell<Vec<(usize, usize, usize)>>,
}

impl Reading {
    pub(super) fn new(folder: &Path, describing: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            describing,
            mistakes: RefCell::default(),
            sections: RefCell::default(),
            places: RefCell::default(),
        }
    }

    pub(super) fn mistake(&self, offset: Option<usize>, key: String, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake { offset, key, message: message.into() });
    }

    pub(super) fn read<'d, T>(&'d self, entries: Option<&'d DeTable<'d>>, root: impl FnOnce(&mut Table<'d>) -> T) -> T {
        let table = Table::new(self, Vec::new(), entries, None, ("", Presence::Assumed));
        table.read(root)
    }

    /// The mistakes in the order of the texts, and the record.
    pub(super) fn finish(self, sources: &Sources<'_>) -> (Vec<Mistake>, Record) {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| mistake.offset);
        let mut sections = self.sections.into_inner();
        for (section, key, offset) in self.places.into_inner() {
            sections[section].keys[key].place = Some(sources.place(offset));
        }
        (mistakes, Record { sections })
    }
}

/// One table of the file. A table that is not in the file reads as an empty one.
#[derive(Debug)]
pub struct Table<'d> {
    reading: &'d Reading,
    path: Vec<Name>,
    /// Its place in the record.
    section: usize,
    /// `None` for the root, and for a table that is not in the file.
    offset: Option<usize>,
    entries: Option<&'d DeTable<'d>>,
    asked: Vec<&'static str>,
    /// All keys have been asked for, whatever their names.
    open_ended: bool,
    /// Its keys are not worth a complaint, as its name is wrong already.
    misnamed: bool,
}

impl<'d> Table<'d> {
    fn new(
        reading: &'d Reading,
        path: Vec<Name>,
        entries: Option<&'d DeTable<'d>>,
        offset: Option<usize>,
        (says, presence): (&'static str, Presence),
    ) -> Self {
        let mut sections = reading.sections.borrow_mut();
        let section = sections.len();
        sections.push(Section { path: path.clone(), says, presence, keys: Vec::new(), shows: None });
        Self { reading, path, section, offset, entries, asked: Vec::new(), open_ended: false, misnamed: false }
    }

    /// Reads the table with `reader`, then records every key that it did not ask for.
    fn read<T>(mut self, reader: impl FnOnce(&mut Self) -> T) -> T {
        let made = reader(&mut self);
        let complete = self.open_ended || self.misnamed;
        for (key, _) in self.entries.into_iter().flatten().filter(|_| !complete) {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let message = match nearest(name, self.asked.iter().copied()) {
                    Some(meant) => format!("unknown key; did you mean \"{meant}\"?"),
                    None => format!("unknown key (known here: {})", self.asked.join(", ")),
                };
                self.reading.mistake(Some(key.span().start), self.key_path(name), message);
            }
        }
        made
    }

    /// Whether the file has this key, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Whether the file has this table, and as a table.
    pub fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// A key of this table, to be said what it is.
    pub fn key<K: Kind>(&mut self, name: &'static str, kind: K) -> Key<'_, 'd, K> {
        Key { table: self, name, kind, says: "", example: None }
    }

    /// A table in this table, to be said what it is.
    pub fn table(&mut self, name: &'static str) -> Open<'_, 'd> {
        Open { table: self, name, says: "" }
    }

    /// All keys of this table that nobody has asked for yet: names that the site gives. `stands_for` says what they name,
    /// `example` is such a name.
    pub fn others(&mut self, stands_for: &'static str, example: &'static str) -> Others<'_, 'd> {
        Others { table: self, stands_for, example, says: "" }
    }

    /// Adds TOML that shows more of the table to its description.
    pub fn shows(&mut self, toml: &'static str) {
        self.with_section(|section| section.shows = Some(toml));
    }

    /// Records a mistake in the value of `key`, or in the table itself if the key is absent.
    pub fn mistake(&self, key: &str, message: impl Into<String>) {
        let offset = self.value(key).map(|value| value.span().start).or(self.offset);
        self.reading.mistake(offset, self.key_path(key), message);
    }

    /// Records a mistake in the table as a whole.
    pub fn wrong(&self, message: impl Into<String>) {
        self.reading.mistake(self.offset, self.own_path(), message);
    }

    /// Records a mistake in the table's own name, and leaves its keys alone.
    pub fn misnamed(&mut self, message: impl Into<String>) {
        self.misnamed = true;
        self.wrong(message);
    }

    fn value(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.entries.and_then(|entries| entries.get(key))
    }

    fn get<K: Kind>(&self, name: &str, kind: &K) -> Option<K::Value> {
        let value = self.value(name)?;
        kind.read(value, &self.reading.folder)
            .map_err(|wrong| {
                for (offset, message) in wrong {
                    self.reading.mistake(Some(offset), self.key_path(name), message);
                }
            })
            .ok()
    }

    fn record(&self, key: KeyRecord) {
        let offset = self.value(key.name.as_str()).map(|value| value.span().start);
        let index = self.with_section(|section| {
            section.keys.push(key);
            section.keys.len() - 1
        });
        if let Some(offset) = offset {
            self.reading.places.borrow_mut().push((self.section, index, offset));
        }
    }

    fn with_section<T>(&self, change: impl FnOnce(&mut Section) -> T) -> T {
        change(&mut self.reading.sections.borrow_mut()[self.section])
    }

    fn open(&self, name: Name, about: (&'static str, Presence)) -> Self {
        let entry = self.entries.and_then(|entries| entries.get_key_value(name.as_str()));
        let entries = entry.and_then(|(_, value)| match value.get_ref() {
            DeValue::Table(entries) => Some(entries),
            other => {
                let path = self.key_path(name.as_str());
                self.reading.mistake(Some(value.span().start), path, expected("a table", other));
                None
            }
        });
        let offset = entry.map(|(key, _)| key.span().start);
        let mut path = self.path.clone();
        path.push(name);
        Self::new(self.reading, path, entries, offset, about)
    }

    /// The names of all keys that nobody has asked for, in the order of the file.
    fn other_names(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.entries.into_iter().flatten().map(|(key, _)| key).collect();
        keys.sort_by_key(|key| key.span().start);
        let names = keys.into_iter().map(|key| key.get_ref().to_string());
        names.filter(|name| !self.asked.contains(&name.as_str())).collect()
    }

    fn own_path(&self) -> String {
        dotted(self.path.iter().map(Name::as_str))
    }

    fn key_path(&self, name: &str) -> String {
        dotted(self.path.iter().map(Name::as_str).chain([name]))
    }
}

/// A key that is about to be read: say what it is, then how its absence is taken.
#[derive(Debug)]
#[must_use]
pub struct Key<'t, 'd, K: Kind> {
    table: &'t mut Table<'d>,
    name: &'static str,
    kind: K,
    says: &'static str,
    example: Option<Value>,
}

impl<K: Kind> Key<'_, '_, K> {
    /// What the key means, in whole sentences.
    pub fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// A value that makes sense, for the example.
    pub fn example(self, example: impl Into<Value>) -> Self {
        Self { example: Some(example.into()), ..self }
    }

    /// The value; `default` if it is absent, or wrong, which is recorded.
    pub fn or(self, default: impl Into<K::Value>) -> K::Value {
        let default = default.into();
        let written = Default::Is(self.kind.write(&default));
        self.read(written, Some(default.clone())).unwrap_or(default)
    }

    /// The value, if it is there and right. `unset` says what applies if it is absent.
    pub fn optional(self, unset: &'static str) -> Option<K::Value> {
        self.read(Default::Unset(unset), None)
    }

    /// The value, if it is there and right; its absence is recorded as a mistake.
    pub fn required(self) -> Option<K::Value> {
        if !self.table.has(self.name) {
            self.table.mistake(self.name, format!("is missing ({})", self.says.trim_end_matches('.')));
        }
        self.read(Default::Required, None)
    }

    fn read(self, default: Default, otherwise: Option<K::Value>) -> Option<K::Value> {
        let Self { table, name, kind, says, example } = self;
        table.asked.push(name);
        let value = table.get(name, &kind).or(otherwise);
        table.record(KeyRecord {
            name: Name::Known(name),
            kind: kind.name(),
            shape: kind.shape(),
            says,
            default,
            example,
            value: value.as_ref().map(|value| kind.write(value)),
            place: None,
        });
        value
    }
}

/// A table that is about to be read.
#[derive(Debug)]
#[must_use]
pub struct Open<'t, 'd> {
    table: &'t mut Table<'d>,
    name: &'static str,
    says: &'static str,
}

impl<'d> Open<'_, 'd> {
    /// What the table is about, in whole sentences.
    pub fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// Reads it: one that is absent as one that is empty.
    pub fn read<T>(self, reader: impl FnOnce(&mut Table<'d>) -> T) -> T {
        self.open(Presence::Assumed).read(reader)
    }

    /// Reads it if the file has it.
    pub fn read_if_present<T>(self, reader: impl FnOnce(&mut Table<'d>) -> T) -> Option<T> {
        let wanted = self.table.has(self.name) || self.table.reading.describing;
        if !wanted {
            self.table.asked.push(self.name);
            return None;
        }
        Some(self.open(Presence::Chosen).read(reader))
    }

    fn open(self, presence: Presence) -> Table<'d> {
        self.table.asked.push(self.name);
        self.table.open(Name::Known(self.name), (self.says, presence))
    }
}

/// Keys whose names the site gives, about to be read.
#[derive(Debug)]
#[must_use]
pub struct Others<'t, 'd> {
    table: &'t mut Table<'d>,
    stands_for: &'static str,
    example: &'static str,
    says: &'static str,
}

impl<'d> Others<'_, 'd> {
    /// What each of them is, in whole sentences.
    pub fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// Reads each as a table, in the order of the file.
    pub fn tables<T>(mut self, mut reader: impl FnMut(&str, &mut Table<'d>) -> T) -> Vec<T> {
        let mut made = Vec::new();
        for name in self.names() {
            let given = Name::Given { name: name.clone(), stands_for: self.stands_for };
            let table = self.table.open(given, (self.says, Presence::Chosen));
            made.push(table.read(|table| reader(&name, table)));
        }
        made
    }

    /// Reads each as a value of this kind, in the order of the file, if `check` approves of its name.
    pub fn values<K: Kind>(
        mut self,
        kind: &K,
        example: impl Into<Value>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<(String, K::Value)> {
        let example = example.into();
        let mut values = Vec::new();
        for name in self.names() {
            let value = match check(&name) {
                Ok(()) => self.table.get(&name, kind),
                Err(message) => {
                    self.table.mistake(&name, message);
                    None
                }
            };
            self.table.record(KeyRecord {
                name: Name::Given { name: name.clone(), stands_for: self.stands_for },
                kind: kind.name(),
                shape: kind.shape(),
                says: self.says,
                default: Default::Unset(""),
                example: Some(example.clone()),
                value: value.as_ref().map(|value| kind.write(value)),
                place: None,
            });
            values.extend(value.map(|value| (name, value)));
        }
        values
    }

    fn names(&mut self) -> Vec<String> {
        self.table.open_ended = true;
        if self.table.reading.describing { vec![self.example.to_owned()] } else { self.table.other_names() }
    }
}
