//! The known word that a misspelt one was probably meant to be.

/// More slips than this make another word, however long it is: cloud-controller-manager is no kube-controller-manager.
const MOST_SLIPS: usize = 3;

/// The candidate nearest to `word`, if it is near enough to be worth a suggestion: one slip for each three letters.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).clamp(1, MOST_SLIPS);
    candidates
        .into_iter()
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|(slips, _)| *slips <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour to make one word of the other.
fn slips(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Row i holds the distance of from's first i letters to each beginning of `to`.
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_and_another_word_does_not() {
        let keys = ["gap", "settle", "lease_timeout", "drain_timeout"];
        assert_eq!(nearest("gpa", keys), Some("gap"));
        assert_eq!(nearest("setle", keys), Some("settle"));
        assert_eq!(nearest("drain-timeout", keys), Some("drain_timeout"));
        assert_eq!(nearest("certificate", keys), None);
        assert_eq!(nearest("x", keys), None);
        assert_eq!(nearest("cloud-controller-manager", ["kube-controller-manager"]), None);
    }

    #[test]
    fn slips_are_counted_in_letters() {
        for (from, to, expected) in [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("ab", "ba", 1), ("ä", "a", 1)] {
            assert_eq!(slips(from, to), expected, "{from} {to}");
            assert_eq!(slips(to, from), expected, "{to} {from}");
        }
    }
}
