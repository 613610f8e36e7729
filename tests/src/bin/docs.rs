//! `docs`: writes the generated pages, or checks that they are current.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use clap::Parser;
use usher_testkit::docs;

/// Write the examples, references, schemas and man pages that are generated from the code.
#[derive(Debug, Parser)]
#[command(name = "docs")]
struct Arguments {
    /// Write nothing; fail if a page is stale, and name it.
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let tree = docs::work_tree();
    if !Arguments::parse().check {
        for path in docs::write(&tree)? {
            writeln!(stderr(), "{path}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stale = docs::stale(&tree, &docs::pages()?)?;
    for path in &stale {
        writeln!(stderr(), "stale: {path}")?;
    }
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(stderr(), "write them again: make docs")?;
    Ok(ExitCode::FAILURE)
}
