//! Numbers as they are written in names.

/// Longer numbers fit in no u64.
pub(super) const DIGITS: usize = 18;

/// Its value, if it is one.
pub(super) fn number(text: &str) -> Result<u64, String> {
    let good = !text.is_empty() && text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if good { text.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("{text:?} is no number"))
}

/// Whether a number is written with zeros in front.
pub(super) fn has_zeros(number: &str) -> bool {
    number.len() > 1 && number.starts_with('0')
}
