//! An operation as one HTML page for people: `usher report`. From the events that `--progress=json` writes, from a report of
//! `-o json`, or from both in one file; pure, so that a page can be compared in a test.
//!
//! The page needs nothing but itself: no scripts, no fonts and no pictures from elsewhere, and its policy forbids a browser to
//! fetch any. Its size is bounded whatever the file holds: the command reads no more than [`MAX_INPUT`] bytes, and `story`
//! keeps a limited number of lines of each kind and counts what it leaves out.

mod document;
mod html;
mod input;
mod machines;
mod page;
#[cfg(test)]
mod tests;
mod timeline;

pub use self::input::{MAX_INPUT, Unreadable};

/// The page of the operation in `text`: of the one with this id, or of the last one.
///
/// # Errors
///
/// If there is none.
pub fn page(text: &str, operation: Option<&str>) -> Result<String, Unreadable> {
    let input = input::read(text, operation)?;
    Ok(page::page(&input))
}
