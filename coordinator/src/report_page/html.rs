//! HTML that cannot be injected into: markup is written in the source, and everything that comes from a file is escaped.

use std::fmt::Write as _;

/// A text may be this many characters long; a journal line of more tells no more.
const LONGEST_TEXT: usize = 2000;

/// A page being written.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup. `'static`, so that only what stands in the source can be markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A text or the value of a quoted attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let mut left = LONGEST_TEXT;
        for char in text.chars() {
            if left == 0 {
                self.0.push_str(" … (cut)");
                break;
            }
            left -= 1;
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(char),
                // They would reorder or hide what stands around them.
                char if char.is_control() || is_directional(char) => self.0.push('\u{fffd}'),
                char => self.0.push(char),
            }
        }
        self
    }

    /// An element that holds a text alone.
    pub(super) fn leaf(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    /// A number, with at most three digits behind the point.
    pub(super) fn number(&mut self, number: f64) -> &mut Self {
        let number = (number * 1000.0).round() / 1000.0;
        // Writing into a String cannot fail.
        let _ = write!(self.0, "{number}");
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Marks, overrides and isolates of the Unicode bidirectional algorithm.
fn is_directional(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.finish()
    }

    #[test]
    fn a_text_cannot_become_markup_or_end_an_attribute() {
        assert_eq!(escaped("<b a=\"x\" b='y'>&amp;"), "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;");
        assert_eq!(escaped("naïve → 日本\n\tw1"), "naïve → 日本\n\tw1");
    }

    #[test]
    fn what_would_hide_or_reorder_a_text_is_made_visible() {
        assert_eq!(escaped("\u{1b}[2Jw1\u{202e}1w\0"), "\u{fffd}[2Jw1\u{fffd}1w\u{fffd}");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        let text = escaped(&"ä".repeat(LONGEST_TEXT + 1));
        assert!(text.ends_with("ä … (cut)"));
        assert_eq!(text.chars().filter(|char| *char == 'ä').count(), LONGEST_TEXT);
        assert_eq!(escaped(&"ä".repeat(LONGEST_TEXT)).chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn numbers_are_short() {
        let mut html = Html::default();
        html.number(100.0 / 3.0).raw(" ").number(12.0);
        assert_eq!(html.finish(), "33.333 12");
    }
}
