//! Configuration files of both programs.

use std::{fs, path::Path, sync::atomic::Ordering};

use super::{PANICS, assert_no_panic, count_panics, mutate};

/// Each takes some tenth of a millisecond.
const COUNT: usize = 3000;

fn fuzz(corpus: &str, example: &str, read: impl Fn(&Path) -> Result<(), String>) {
    count_panics();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.toml");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples").join(example);
    let mut samples = mutate::corpus(corpus);
    samples.push(fs::read(examples).unwrap());
    for input in mutate::inputs(samples, COUNT) {
        let before = PANICS.load(Ordering::Relaxed);
        fs::write(&file, &input).unwrap();
        if let Err(problem) = read(&file) {
            let shown = mutate::shown(&input);
            assert!(problem.contains("file.toml"), "the refusal names no file: {problem} of {shown}");
            assert!(!problem.chars().any(|letter| letter.is_control() && letter != '\n'), "{problem:?} of {shown}");
        }
        assert_no_panic(before, &input);
    }
}

#[test]
fn an_agents_configuration_is_read_or_refused_with_the_place() {
    fuzz("agent-configuration", "agent.toml", |file| {
        usher_agent::config::Config::load(file).map(drop).map_err(|error| error.to_string())
    });
}

#[test]
fn a_cluster_file_is_read_or_refused_with_the_place() {
    fuzz("cluster-file", "cluster.toml", |file| {
        usher_coordinator::site_file::load(file).map(drop).map_err(|error| error.to_string())
    });
}
