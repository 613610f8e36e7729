//! The page of `usher report`. `tests/page.sh` opens the same pages in a browser.

use std::{fs, path::Path};

use usher_coordinator::report_page;

/// The page without its style, which is for eyes.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interface/report_page").join(name);
    let page = report_page::page(&fs::read_to_string(path).unwrap(), None).unwrap();
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    format!("{head}{body}")
}

#[test]
fn the_page_of_a_reboot_that_stopped_is_as_written_down() {
    insta::assert_snapshot!("report_page_reboot", page("reboot.jsonl"));
}

#[test]
fn the_page_of_a_restart_that_went_well_is_as_written_down() {
    insta::assert_snapshot!("report_page_restart", page("restart.jsonl"));
}
