//! `usher config view`: the configuration that applies, and where each value comes from.

use std::{env, path::Path};

use serde_json::{Map, Value as Json, json};
use usher_common::config_file::{Default, KeyRecord, Name, Record, Section, Value, dotted};

use crate::{
    cli::Global,
    commands::{choose, display},
    exit::Exit,
    metrics,
    problem::Problem,
    show::{self, Kind},
    site_file::{self, Entry},
};

pub(super) fn view(global: &Global, show_origin: bool) -> Result<Exit, Problem> {
    let (record, path) = match choose::entry(global)? {
        Some(Entry { path, read, .. }) => (read?.record, Some(path)),
        None => (site_file::defaults(), None),
    };
    let mut overrides = overrides(global, &record, env::var("KUBECONFIG").ok());
    if let Ok(value) = env::var(metrics::VARIABLE) {
        overrides.push(Override { key: "metrics.textfile", value, origin: "environment USHER_METRICS_TEXTFILE" });
    }
    let view = View { record: &record, overrides, path: path.as_deref(), show_origin };
    show::show(Kind::ConfigView, &view.json(), global.output, || view.toml())?;
    Ok(Exit::Done)
}

/// A value that wins over the file's.
struct Override {
    /// With its tables.
    key: &'static str,
    value: String,
    origin: &'static str,
}

/// What flags and variables say of the file's keys, as all commands take it.
fn overrides(global: &Global, record: &Record, kubeconfig_variable: Option<String>) -> Vec<Override> {
    let mut overrides = Vec::new();
    let in_file = |wanted: &str| keys(record).any(|(path, key)| path == wanted && key.value.is_some());
    match (&global.kubeconfig, kubeconfig_variable) {
        (Some(path), _) => {
            let value = path.display().to_string();
            overrides.push(Override { key: "api.kubeconfig", value, origin: "flag --kubeconfig" });
        }
        (None, Some(value)) if !value.is_empty() && !in_file("api.kubeconfig") => {
            overrides.push(Override { key: "api.kubeconfig", value, origin: "environment KUBECONFIG" });
        }
        _ => {}
    }
    if let Some(value) = global.context.clone() {
        overrides.push(Override { key: "api.context", value, origin: "flag --context" });
    }
    overrides
}

struct View<'r> {
    record: &'r Record,
    overrides: Vec<Override>,
    path: Option<&'r Path>,
    show_origin: bool,
}

impl View<'_> {
    /// A cluster file that means the same.
    fn toml(&self) -> String {
        let mut text = format!("# {}\n", display(self.path));
        for section in &self.record.sections {
            let lines: Vec<_> = section.keys.iter().filter_map(|key| self.line(section, key)).collect();
            if lines.is_empty() {
                continue;
            }
            if !section.path.is_empty() {
                text.push_str(&format!("\n[{}]\n", dotted(section.path.iter().map(Name::as_str))));
            }
            let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
            for (line, origin) in lines {
                let line = if self.show_origin { format!("{line:<width$}  # {origin}") } else { line };
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    /// The key as a line of the file, and where it comes from. `None` if there is nothing to say of it.
    fn line(&self, section: &Section, key: &KeyRecord) -> Option<(String, String)> {
        let name = dotted([key.name.as_str()]);
        match (self.effective(section, key), &key.default) {
            (Some((value, origin)), _) => Some((format!("{name} = {value}"), origin)),
            (None, Default::Unset(unset)) if self.show_origin => Some((format!("# {name}"), format!("unset: {unset}"))),
            _ => None,
        }
    }

    fn json(&self) -> Json {
        let mut config = Json::Object(Map::new());
        let mut origins = Map::new();
        for section in &self.record.sections {
            for key in &section.keys {
                let Some((value, origin)) = self.effective(section, key) else { continue };
                let mut place = &mut config;
                for name in section.path.iter().chain([&key.name]) {
                    place = &mut place[camel_case(name)];
                }
                *place = as_json(&value);
                origins.insert(path_of(section, key), json!(origin));
            }
        }
        let mut view = json!({
            "clusterFile": self.path,
            "config": config,
        });
        if self.show_origin {
            view["origins"] = Json::Object(origins);
        }
        view
    }

    /// The value that applies, and where it comes from.
    fn effective(&self, section: &Section, key: &KeyRecord) -> Option<(Value, String)> {
        let path = path_of(section, key);
        if let Some(found) = self.overrides.iter().find(|found| found.key == path) {
            return Some((Value::Text(found.value.clone()), found.origin.to_owned()));
        }
        let origin = key.place.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string);
        Some((key.value.clone()?, origin))
    }
}

fn path_of(section: &Section, key: &KeyRecord) -> String {
    dotted(section.path.iter().chain([&key.name]).map(Name::as_str))
}

fn keys(record: &Record) -> impl Iterator<Item = (String, &KeyRecord)> {
    record.sections.iter().flat_map(|section| section.keys.iter().map(move |key| (path_of(section, key), key)))
}

/// The file's words in the style of usher's JSON. Names that the site gives stay as they are.
fn camel_case(name: &Name) -> String {
    let Name::Known(name) = name else { return name.as_str().to_owned() };
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        let (initial, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        camel + &initial.to_uppercase() + rest
    })
}

/// Durations are seconds, as in all of usher's JSON.
fn as_json(value: &Value) -> Json {
    match value {
        Value::Flag(flag) => json!(flag),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Duration(duration) => json!(duration.as_secs_f64()),
        Value::List(items) => items.iter().map(as_json).collect(),
        Value::Table(entries) => entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), as_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Time(time) => json!(time),
    }
}

#[cfg(test)]
mod tests;
