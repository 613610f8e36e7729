//! Everything that `usher` writes: the only module that touches standard output and standard error.
//!
//! Results go to standard output, progress and diagnostics to standard error. Colour never says anything that words do not.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::problem::Problem;

/// The shape of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A mark before a line; the words after it say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

/// The mark, in colour where colour is wanted.
pub fn mark(mark: Mark) -> String {
    let (sign, color) = match mark {
        Mark::Done => ("✓", AnsiColor::Green),
        Mark::Failed => ("✗", AnsiColor::Red),
    };
    painted(sign, color)
}

fn painted(text: &str, color: AnsiColor) -> String {
    let style = Style::new().fg_color(Some(color.into()));
    format!("{style}{text}{style:#}")
}

/// A line of a result, to standard output.
pub fn result(text: &str) {
    anstream::println!("{}", text.trim_end_matches('\n'));
}

/// A line of progress or a diagnostic, to standard error.
pub fn progress(text: &str) {
    anstream::eprintln!("{}", text.trim_end_matches('\n'));
}

/// Asks for a line, the prompt on standard error; None if there is no more input.
pub fn ask(prompt: &str) -> Option<String> {
    anstream::eprint!("{prompt}");
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(read) if read > 0 => Some(line.trim().to_owned()),
        _ => None,
    }
}

/// A value as JSON or YAML.
///
/// # Errors
///
/// If it cannot be written so, which would be a mistake of ours.
pub fn structured<T: Serialize>(value: &T, format: Format) -> Result<String, Problem> {
    let failed = |error: &dyn std::error::Error| Problem::failed(format!("cannot write the result: {error}"));
    match format {
        Format::Yaml => serde_saphyr::to_string(value).map_err(|error| failed(&error)),
        _ => serde_json::to_string_pretty(value).map_err(|error| failed(&error)),
    }
}

/// A table without lines, as kubectl draws them.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(header.iter().map(|&name| name.to_owned()).collect()).chain(rows).collect();
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
