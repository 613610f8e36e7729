//! A JSON schema, for editors and for checks in a site's own pipeline.

use anyhow::Context as _;
use serde_json::{Map, Value as Json, json};
use usher_common::config_file::{Default, Entry, KeyRecord, Name, Record, Section, Shape, Value};

use super::example::children;

/// What humantime reads: `10s`, `1h 30m`.
const DURATION: &str = r"^\s*([0-9]+\s*[A-Za-zµ]+\s*)+$";

pub(super) fn schema(title: &str, record: &Record) -> anyhow::Result<String> {
    let root = record.sections.first().context("a file without tables")?;
    let mut schema = table(record, root);
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(title));
    let mut text = serde_json::to_string_pretty(&schema)?;
    text.push('\n');
    Ok(text)
}

fn table(record: &Record, section: &Section) -> Map<String, Json> {
    let mut properties = Map::new();
    // What keys with names of the site's choice have.
    let mut others = json!(false);
    let mut required = Vec::new();
    let keys = section.keys.iter().map(|entry| (&entry.name, Json::Object(key(entry))));
    let tables = children(record, section).filter_map(|(_, child)| Some((child.path.last()?, child)));
    for (name, schema) in keys.chain(tables.map(|(name, child)| (name, Json::Object(table(record, child))))) {
        match name {
            Name::Known(name) => {
                properties.insert((*name).to_owned(), schema);
            }
            Name::Given { .. } => others = schema,
        }
    }
    for key in section.keys.iter().filter(|key| key.default == Default::Required) {
        required.push(key.name.as_str());
    }
    let needs = |child: &Section| child.keys.iter().any(|key| key.default == Default::Required);
    for (_, child) in children(record, section).filter(|(_, child)| needs(child)) {
        if let (usher_common::config_file::Presence::Assumed, Some(Name::Known(name))) =
            (child.presence, child.path.last())
        {
            required.push(name);
        }
    }
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Json::Object(properties)),
        ("additionalProperties".to_owned(), others),
    ]);
    if !section.says.is_empty() {
        schema.insert("description".to_owned(), json!(section.says));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn shape(of: Shape) -> Json {
    match of {
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Number { least, greatest } => json!({ "type": "integer", "minimum": least, "maximum": greatest }),
        Shape::Text => json!({ "type": "string", "pattern": r"\S" }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string", "pattern": r"\S" } }),
        Shape::TextsOrTables(entries) => {
            json!({ "type": "array", "items": { "anyOf": [shape(Shape::Text), table_of(entries)] } })
        }
    }
}

fn table_of(entries: &[Entry]) -> Json {
    let mut properties = Map::new();
    for Entry { name, shape: of, says } in entries {
        let mut property = shape(*of);
        property["description"] = json!(says);
        properties.insert((*name).to_owned(), property);
    }
    let required: Vec<_> = entries.iter().take(1).map(|entry| entry.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn key(key: &KeyRecord) -> Map<String, Json> {
    let mut schema = match shape(key.shape) {
        Json::Object(schema) => schema,
        _ => Map::new(),
    };
    schema.insert("description".to_owned(), json!(key.says));
    if let Default::Is(value) = &key.default {
        schema.insert("default".to_owned(), json_of(value));
    }
    if let Some(example) = &key.example {
        schema.insert("examples".to_owned(), json!([json_of(example)]));
    }
    schema
}

/// A value as the file's JSON has it: a duration is a string there, too.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Flag(flag) => json!(flag),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Duration(_) => json!(value.to_string().trim_matches('"')),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Table(entries) => {
            entries.iter().map(|(key, value)| ((*key).to_owned(), json_of(value))).collect::<Map<_, _>>().into()
        }
        Value::Time(time) => json!(time),
    }
}
