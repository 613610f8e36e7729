//! Everything that `usher` writes: the only module that touches standard output and standard error.
//!
//! Results go to standard output, progress and diagnostics to standard error. Colour never says anything that words do not.
//! Where programs read standard error, every line of it is an event: [`only_events`].
//!
//! Writing never panics and never stops an operation: the terminal may go away, and the disk behind a redirection may be
//! full, while a machine is half way through its turn. A result that could not be written changes the exit code at the end.

mod columns;

use std::{
    io::{self, ErrorKind, IsTerminal as _, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub use self::columns::columns;
use crate::{
    event::{Event, Kind},
    exit::Exit,
    problem::Problem,
};

/// Set where programs read standard error.
static ONLY_EVENTS: AtomicBool = AtomicBool::new(false);

/// Set once standard error took a line no more. Nobody sees any progress from then on.
static STDERR_IS_GONE: AtomicBool = AtomicBool::new(false);

/// Why a part of the result is missing. What follows it is left out too, so that a result never has a hole.
static RESULT_LOST: OnceLock<io::Error> = OnceLock::new();

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
    /// The names of what is listed, each with its kind; of what is no list, a table.
    Name,
    /// What a template, which was found to be one, makes of the JSON.
    #[value(skip)]
    JsonPath(&'static str),
}

impl Format {
    /// Whether it is meant for programs.
    pub fn is_structured(self) -> bool {
        matches!(self, Self::Json | Self::Yaml | Self::Name | Self::JsonPath(_))
    }
}

/// A mark before a line; the words after it say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Done,
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

/// Set where tables are to have no header.
static NO_HEADERS: AtomicBool = AtomicBool::new(false);

/// Leaves the header of every table out from now on, for scripts that take tables apart.
pub fn leave_out_headers() {
    NO_HEADERS.store(true, Ordering::Relaxed);
}

fn has_headers() -> bool {
    !NO_HEADERS.load(Ordering::Relaxed)
}

/// Bytes to standard output as they are: what a program on the other side takes apart.
pub fn verbatim(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // Only the first error matters.
        let _ = RESULT_LOST.set(error);
    }
}

/// Set where the next result takes the place of the one before.
static REDRAWN: AtomicBool = AtomicBool::new(false);

/// The cursor to the upper left corner, the screen and what was scrolled off it cleared (ECMA-48; the last one is xterm's).
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Lets the next result take the place of what is on the terminal. Where results go to no terminal, an empty line stands before it.
pub fn redraw() {
    REDRAWN.store(true, Ordering::Relaxed);
}

/// Whether nobody takes results any more.
pub fn result_is_lost() -> bool {
    RESULT_LOST.get().is_some()
}

/// A line of a result, to standard output.
pub fn result(text: &str) {
    if RESULT_LOST.get().is_some() {
        return;
    }
    let before = match (REDRAWN.swap(false, Ordering::Relaxed), io::stdout().is_terminal()) {
        (false, _) => "",
        (true, true) => CLEAR,
        (true, false) => "\n",
    };
    let mut stdout = anstream::stdout().lock();
    let written = write!(stdout, "{before}")
        .and_then(|()| writeln!(stdout, "{}", text.trim_end_matches('\n')))
        .and_then(|()| stdout.flush());
    if let Err(error) = written {
        // Only the first error matters.
        let _ = RESULT_LOST.set(error);
    }
}

/// How the process ends after everything is written: an operation that succeeded has failed its caller if the result could
/// not be written. A closed pipe is the reader's choice and no failure.
pub fn end(exit: Exit) -> Exit {
    match RESULT_LOST.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            progress(&format!("error: the result could not be written to standard output: {error}"));
            if exit == Exit::Done { Exit::Failed } else { exit }
        }
        _ => exit,
    }
}

/// Writes nothing but events to standard error from now on, a JSON object a line each, for programs.
pub fn only_events() {
    ONLY_EVENTS.store(true, Ordering::Relaxed);
}

/// Whether programs read standard error.
fn is_for_programs() -> bool {
    ONLY_EVENTS.load(Ordering::Relaxed)
}

/// A line of progress or a diagnostic, to standard error; for programs, a notice.
pub fn progress(text: &str) {
    let text = text.trim_end_matches('\n');
    match is_for_programs() {
        true => event(&Event::now(Kind::Notice { message: text.to_owned() })),
        false => diagnose(format_args!("{text}\n")),
    }
}

/// Something an operator should know, that stops nothing.
pub fn warning(message: &str) {
    match is_for_programs() {
        true => event(&Event::now(Kind::Warned { message: message.to_owned() })),
        false => progress(&format!("Warning: {message}")),
    }
}

/// What is told in `lines`; for programs, this event in their place.
pub fn told(kind: impl FnOnce() -> Kind, lines: &[String]) {
    match is_for_programs() {
        true => event(&Event::now(kind())),
        false => lines.iter().for_each(|line| progress(line)),
    }
}

/// How a command ends that has this problem.
pub fn problem(problem: &Problem) {
    let ended = || {
        let Problem { message, details, hints, .. } = problem.clone();
        Kind::Ended { exit: problem.exit(), message, details, next: hints }
    };
    told(ended, &[problem.to_text()]);
}

/// An event for programs, as a JSON object on a line of its own.
pub fn event(event: &impl Serialize) {
    // Written at once: the thread that shows progress writes too.
    if let Ok(line) = serde_json::to_string(event) {
        note(io::stderr().lock().write_all(format!("{line}\n").as_bytes()));
    }
}

/// Whether standard error took a line no more: its terminal was closed, its reader has ended, or its disk is full.
pub fn stderr_is_gone() -> bool {
    STDERR_IS_GONE.load(Ordering::Relaxed)
}

fn diagnose(text: std::fmt::Arguments<'_>) {
    note(anstream::stderr().write_fmt(text));
}

/// Notes whether standard error still takes what is written.
fn note(written: io::Result<()>) {
    if let Err(error) = written
        // Somebody made the terminal non-blocking, and it is slow: that loses a line and no more.
        && error.kind() != ErrorKind::WouldBlock
    {
        STDERR_IS_GONE.store(true, Ordering::Relaxed);
    }
}

/// Where log lines go: standard error, in colour if it takes colour.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The subscriber hands over a line at a time.
        let text = String::from_utf8_lossy(line);
        let plain = || anstream::adapter::strip_str(text.trim_end()).to_string();
        match is_for_programs() {
            true => event(&Event::now(Kind::Logged { message: plain() })),
            false => diagnose(format_args!("{text}")),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks for a line, the prompt on standard error; None if there is no more input.
pub fn ask(prompt: &str) -> Option<String> {
    match is_for_programs() {
        true => event(&Event::now(Kind::Asked { question: prompt.trim().to_owned() })),
        false => diagnose(format_args!("{prompt}")),
    }
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(read) if read > 0 => Some(line.trim().to_owned()),
        _ => None,
    }
}

/// A table without lines, as kubectl draws them.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let header = has_headers().then(|| header.iter().map(|&name| name.to_owned()).collect());
    let rows: Vec<Vec<String>> = header.into_iter().chain(rows).collect();
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
