//! Bytes as text.

use anyhow::Context as _;

/// The bytes of an even number of hexadecimal digits, with nothing between them.
///
/// # Errors
///
/// If it is something else.
pub fn bytes(digits: &str) -> anyhow::Result<Vec<u8>> {
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2).context("half a byte"));
    pairs.map(|pair| Ok(u8::from_str_radix(pair?, 16)?)).collect()
}
