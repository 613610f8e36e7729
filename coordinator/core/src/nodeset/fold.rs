//! From names to the shortest text that keeps their order.

use super::number::{DIGITS, has_zeros};

/// The names folded, in their order: neighbours that differ in one number share a bracket. Names must be free of brackets and
/// commas, as those of Nodes are.
pub fn fold(names: &[impl AsRef<str>]) -> String {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for name in names {
        let pieces = pieces(name.as_ref());
        let taken = groups.last_mut().is_some_and(|last| last.takes(&pieces));
        if !taken {
            groups.push(Group { pieces, varies: None });
        }
    }
    groups.iter().map(Group::to_text).collect::<Vec<_>>().join(",")
}

/// Names that differ in one number.
struct Group<'a> {
    /// Those of the first name.
    pieces: Vec<Piece<'a>>,
    /// Which piece differs, and the runs of its numbers.
    varies: Option<(usize, Vec<Run<'a>>)>,
}

/// A part of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Number(&'a str),
}

/// Numbers that follow one another, as they are written.
struct Run<'a> {
    first: &'a str,
    last: &'a str,
}

impl<'a> Group<'a> {
    /// Takes the name in if it differs from the others in the one number.
    fn takes(&mut self, pieces: &[Piece<'a>]) -> bool {
        if pieces.len() != self.pieces.len() {
            return false;
        }
        let mut different = (0..pieces.len()).filter(|&at| pieces[at] != self.pieces[at]);
        let at = match (different.next(), different.next(), &self.varies) {
            (Some(at), None, None) => at,
            (Some(at), None, Some((known, _))) if at == *known => at,
            (None, None, Some((known, _))) => *known,
            _ => return false,
        };
        let (Piece::Number(first), Piece::Number(next)) = (self.pieces[at], pieces[at]) else { return false };
        let (_, runs) = self.varies.get_or_insert_with(|| (at, vec![Run { first, last: first }]));
        match runs.last_mut() {
            Some(run) if run.goes_on_with(next) => run.last = next,
            _ => runs.push(Run { first: next, last: next }),
        }
        true
    }

    fn to_text(&self) -> String {
        let piece = |(at, piece): (usize, &Piece<'_>)| match (piece, &self.varies) {
            (Piece::Number(_), Some((known, runs))) if at == *known => {
                let runs: Vec<_> = runs.iter().map(Run::to_text).collect();
                format!("[{}]", runs.join(","))
            }
            (Piece::Number(text) | Piece::Text(text), _) => (*text).to_owned(),
        };
        self.pieces.iter().enumerate().map(piece).collect()
    }
}

impl Run<'_> {
    /// Whether the number is the next one, with the zeros that it has in this run.
    fn goes_on_with(&self, next: &str) -> bool {
        let width = if has_zeros(self.first) { self.first.len() } else { 0 };
        let follows = self.last.parse::<u64>().is_ok_and(|last| format!("{:0width$}", last + 1) == next);
        follows && (width == 0 || next.len() == width)
    }

    fn to_text(&self) -> String {
        if self.first == self.last { self.first.to_owned() } else { format!("{}-{}", self.first, self.last) }
    }
}

/// The parts of a name: its numbers, and what is between them.
fn pieces(name: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.bytes().next() {
        let is_digit = first.is_ascii_digit();
        let end = rest.bytes().position(|byte| byte.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(if is_digit && piece.len() <= DIGITS { Piece::Number(piece) } else { Piece::Text(piece) });
        rest = after;
    }
    pieces
}
