//! `make bench`: five thousand nodes, without machines and without root.
//!
//! The API server in memory and the agents of all nodes run in a process of their own; the shipped `usher` shows the status of
//! everything and the plan of a roll, over loopback and TLS. Then a roll of 300 machines runs in this process on paused time, and
//! its requests and calls are counted. Results stand beside those of the machines in `target/bench/results.json`.
//! With words behind `--`, as in `cargo bench … -- roll`, only the parts that contain one of them are measured.

#[path = "machines/results.rs"]
mod results;
mod scale {
    pub(crate) mod cluster;
    pub(crate) mod program;
    pub(crate) mod roll;
    pub(crate) mod serve;
}

use std::path::PathBuf;

use anyhow::ensure;
use results::Results;
use scale::{program, roll, serve};

const PARTS: [&str; 2] = ["program", "roll"];

fn main() -> anyhow::Result<()> {
    // A second provider cannot be installed; that one is there is all that matters.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // cargo adds an option of its own.
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [serve, folder] = words.as_slice()
        && serve == serve::WORD
    {
        return serve::serve(&PathBuf::from(folder));
    }
    let mut results = Results::default();
    let mut failed = Vec::new();
    for part in PARTS {
        if !words.is_empty() && !words.iter().any(|word| part.contains(word.as_str())) {
            continue;
        }
        results.say(&format!("measuring: {part}"));
        let measured = match part {
            "program" => program::measure(&mut results),
            _ => roll::measure(&mut results),
        };
        if let Err(error) = measured {
            results.say(&format!("{part} failed: {error:#}"));
            failed.push(part);
        }
        results.write()?;
    }
    results.print();
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}
