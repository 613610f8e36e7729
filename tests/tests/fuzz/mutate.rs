//! Inputs: files of the corpus and samples, changed at random.
//!
//! A fuzzer that watches coverage would need a nightly compiler. This one needs none, and finds what hides behind a few changes of
//! a sample: lengths that lie, text that is cut, numbers at their limits.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use usher_testkit::hexadecimal;

/// Numbers at which code goes wrong.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "1e308",
];

/// Changes of one input, at most.
const CHANGES: usize = 6;

/// The files of a folder of the corpus, in the order of their names. Those that end in `.hex` are in hexadecimal, with comments
/// after `#`.
pub(super) fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let content = |file: &PathBuf| match file.extension() {
        Some(extension) if extension == "hex" => bytes(&fs::read_to_string(file).unwrap()),
        _ => fs::read(file).unwrap(),
    };
    files.iter().map(content).collect()
}

fn bytes(commented: &str) -> Vec<u8> {
    let lines = commented.lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: String = lines.flat_map(str::chars).filter(|letter| !letter.is_whitespace()).collect();
    hexadecimal::bytes(&digits).unwrap()
}

/// Each sample as it is, and then `count` changed ones.
pub(super) fn inputs(samples: Vec<Vec<u8>>, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let seed = number("USHER_FUZZ_SEED").unwrap_or(1);
    let runs = usize::try_from(number("USHER_FUZZ_RUNS").unwrap_or(1)).unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    let first = samples.clone();
    first.into_iter().chain((0..count * runs).map(move |_| changed(&samples, &mut random)))
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn changed(samples: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = samples[random.usize(..samples.len())].clone();
    for _ in 0..random.usize(1..=CHANGES) {
        change(&mut input, samples, random);
    }
    input
}

fn change(input: &mut Vec<u8>, samples: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let end = at + random.usize(..=(input.len() - at).min(64));
    match random.usize(..7) {
        0 if at < input.len() => input[at] ^= 1 << random.u32(..8),
        1 => input.insert(at, random.u8(..)),
        2 => drop(input.drain(at..end)),
        3 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        4 => {
            // A piece of another sample.
            let other = &samples[random.usize(..samples.len())];
            let from = random.usize(..=other.len());
            let piece = other[from..from + random.usize(..=(other.len() - from).min(64))].to_vec();
            input.splice(at..end, piece);
        }
        5 => {
            let digits = input[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = NUMBERS[random.usize(..NUMBERS.len())];
            input.splice(at..at + digits, number.bytes());
        }
        _ => input.truncate(at),
    }
}

/// An input for a message: text as it is, else in hexadecimal.
pub(super) fn shown(input: &[u8]) -> String {
    match std::str::from_utf8(input) {
        Ok(text) => format!("{text:?}"),
        Err(_) => input.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}
