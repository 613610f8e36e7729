//! The figures: a table for people, a flat object for programs.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;

/// What was measured so far, with the goal of each figure if it has one.
#[derive(Debug, Default)]
pub(crate) struct Results {
    figures: BTreeMap<String, (f64, Option<f64>)>,
}

impl Results {
    /// Records a figure; lower is better than `goal`.
    pub(crate) fn record(&mut self, name: impl Into<String>, value: f64, goal: Option<f64>) {
        self.figures.insert(name.into(), (value, goal));
    }

    /// A line of progress.
    #[expect(clippy::print_stderr, reason = "a benchmark talks to the terminal")]
    pub(crate) fn say(&self, line: &str) {
        eprintln!("bench: {line}");
    }

    /// Prints the table.
    #[expect(clippy::print_stdout, reason = "a benchmark talks to the terminal")]
    pub(crate) fn print(&self) {
        println!("{:<34} {:>12} {:>8}", "FIGURE", "VALUE", "GOAL");
        for (name, (value, goal)) in &self.figures {
            let goal = goal.map_or_else(|| "-".to_owned(), |goal| goal.to_string());
            println!("{name:<34} {value:>12.3} {goal:>8}");
        }
    }

    /// Writes what there is to `target/bench/results.json`, beside what other benchmarks have written there.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench/results.json");
        let folder = file.parent().context("a file in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // A file that is not there, or broken by a run that was killed, holds nothing that is worth keeping.
        let before = fs::read_to_string(&file).unwrap_or_default();
        let mut flat: BTreeMap<String, f64> = serde_json::from_str(&before).unwrap_or_default();
        flat.extend(self.figures.iter().map(|(name, (value, _))| (name.clone(), *value)));
        fs::write(&file, serde_json::to_string_pretty(&flat)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// The middle of some figures; 0 of none.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
