//! Comparing kernel releases.

use std::cmp::Ordering;

/// The newest of `releases`, compared as versions: `6.1.0-9` is older than `6.1.0-31`.
pub(super) fn newest(releases: impl Iterator<Item = String>) -> Option<String> {
    releases.filter(|release| release.starts_with(|c: char| c.is_ascii_digit())).max_by(|a, b| compare(a, b))
}

fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            // A release candidate comes before its release: "6.12~rc1", "6.12-rc1".
            (None, Some(Part::Text(text))) if text.contains("rc") || text.starts_with('~') => {
                return Ordering::Greater;
            }
            (Some(Part::Text(text)), None) if text.contains("rc") || text.starts_with('~') => {
                return Ordering::Less;
            }
            (a, b) if a == b => {}
            (a, b) => return a.cmp(&b),
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Text(&'a str),
    Number(u64),
}

/// Numbers and what is between them.
fn parts(mut release: &str) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let is_digit = release.chars().next()?.is_ascii_digit();
        let end = release.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(release.len());
        let (part, rest) = release.split_at(end);
        release = rest;
        Some(if is_digit { Part::Number(part.parse().unwrap_or(u64::MAX)) } else { Part::Text(part) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_as_versions() {
        for (releases, expected) in [
            (vec!["6.1.0-9-amd64", "6.1.0-31-amd64", "6.1.0-28-amd64"], Some("6.1.0-31-amd64")),
            (vec!["5.10.0-33-amd64", "6.1.0-1-amd64"], Some("6.1.0-1-amd64")),
            (vec!["6.12~rc1", "6.12"], Some("6.12")),
            (vec!["6.12-rc1", "6.12-rc2"], Some("6.12-rc2")),
            (vec!["6.12.9", "6.12.10"], Some("6.12.10")),
            (vec!["6.12", "6.12.1"], Some("6.12.1")),
            (vec!["lost+found"], None),
            (vec![], None),
        ] {
            assert_eq!(newest(releases.into_iter().map(str::to_owned)).as_deref(), expected);
        }
    }
}
