//! Texts that any local user may have written, made fit for terminals, logs and lists.

/// Longer texts are cut, in characters.
const LONGEST: usize = 200;

/// The text without characters that steer a terminal, break a line or turn the direction of writing: each becomes a `?`. What
/// is left still tells texts apart, and the same text always becomes the same.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(LONGEST).map(|character| if steers(character) { '?' } else { character }).collect()
}

fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_breaks_a_line_is_replaced_and_the_rest_stays() {
        assert_eq!(printable("apt\u{1b}[2J\nuser:bob\t\u{202e}x\u{9b}y"), "apt?[2J?user:bob??x?y");
        assert_eq!(printable("Grüße, 世界 – ok"), "Grüße, 世界 – ok");
        assert_eq!(printable(&"x".repeat(1000)).len(), LONGEST);
    }
}
