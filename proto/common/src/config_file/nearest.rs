//! The known word that a misspelt one was probably meant to be.

/// Beyond this edit distance it is another word, however long: cloud-controller-manager is not a misspelt
/// kube-controller-manager.
const FARTHEST: usize = 3;

/// The candidate nearest to `word`, if it is near enough to suggest: one edit for every three letters.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).clamp(1, FARTHEST);
    candidates
        .into_iter()
        // Two letters that changed places are one edit.
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
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
}
