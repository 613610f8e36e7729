//! `usher report`: an operation as one HTML page. Nobody is asked.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    cli::{Global, ReportPage},
    exit::Exit,
    files::{self, AS_UMASK, Existing},
    output,
    problem::Problem,
    report_page::{self, MAX_INPUT},
    show::{self, Kind},
};

/// What stands for standard input and standard output.
const STANDARD: &str = "-";

#[derive(Serialize)]
struct Written {
    /// Where the page is.
    file: String,
}

pub(super) fn report_page(global: &Global, arguments: &ReportPage) -> Result<Exit, Problem> {
    let ReportPage { file, to, operation } = arguments;
    let called = if is_standard(file) { "standard input".to_owned() } else { file.display().to_string() };
    let text = read(file).map_err(|error| Problem::usage(format!("cannot read {called}: {error}")))?;
    let page = report_page::page(&text, operation.as_deref()).map_err(|error| {
        Problem::usage(format!("{called}: {error}"))
            .hint("its events are written by a change with --progress=json, to standard error: 2> FILE")
    })?;
    let to = match to {
        Some(to) => to.clone(),
        None if is_standard(file) => PathBuf::from(STANDARD),
        None => beside(file),
    };
    if is_standard(&to) {
        output::result(&page);
        return Ok(Exit::Done);
    }
    files::put(&to, &page, AS_UMASK, Existing::Replaced)
        .map_err(|error| Problem::failed(format!("cannot write {}: {error}", to.display())))?;
    let file = to.display().to_string();
    show::show(Kind::ReportPage, &Written { file: file.clone() }, global.output, || file)?;
    Ok(Exit::Done)
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == STANDARD
}

/// `FILE.html`: never the file itself, whatever it is called.
fn beside(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".html");
    PathBuf::from(name)
}

#[allow(clippy::disallowed_methods)] // the one place that reads what a change has printed
fn read(file: &Path) -> io::Result<String> {
    let limit = MAX_INPUT as u64 + 1;
    let mut bytes = Vec::new();
    match is_standard(file) {
        true => io::stdin().lock().take(limit).read_to_end(&mut bytes)?,
        false => std::fs::File::open(file)?.take(limit).read_to_end(&mut bytes)?,
    };
    if bytes.len() > MAX_INPUT {
        return Err(io::Error::other(format!("it is longer than {} MiB", MAX_INPUT >> 20)));
    }
    // Output of other programs may be in it.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
