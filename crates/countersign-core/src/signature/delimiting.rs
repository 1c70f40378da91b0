//! Whether a text could be read in two ways: values that could lend each other bytes, and parts that could be left out unseen.

use super::alphabet::Alphabet;
use super::expression::{Expr, Piece, Source, info_of};

/// Finds two values of any length with nothing between them that the first cannot contain: bytes could move from one to the
/// other without changing the text. A value of fixed length between them does not help, because all can shift together. Finds
/// as well a part that may be left out when what stands behind it could begin as the part does.
pub(super) fn undelimited(template: &[Piece]) -> bool {
    is_undelimited(clear_from_the_end(template), &mut None, true)
}

/// The same of the items of a collection, which stand behind each other in any number.
pub(super) fn undelimited_items(two: &[Piece]) -> bool {
    is_undelimited(two, &mut None, false)
}

/// Whether two templates can give one text: neither the fixed texts that they begin with nor those that they end in tell them
/// apart.
pub(super) fn could_be_one_text(a: &[Piece], b: &[Piece]) -> bool {
    let (start_a, start_b) = (fixed_text(a.iter(), false), fixed_text(b.iter(), false));
    let (end_a, end_b) = (fixed_text(a.iter().rev(), true), fixed_text(b.iter().rev(), true));
    start_a.iter().zip(&start_b).all(|(a, b)| a == b) && end_a.iter().zip(&end_b).all(|(a, b)| a == b)
}

/// The text that stands at the start of these pieces whatever the request is; from behind, with its bytes from behind too.
fn fixed_text<'t>(pieces: impl Iterator<Item = &'t Piece>, from_behind: bool) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in pieces {
        let text: &[u8] = match piece {
            Piece::Text(text) => text,
            Piece::Value(Expr { source: Source::Text(text), steps, .. }) if steps.is_empty() => text,
            Piece::Value(_) | Piece::When { .. } => break,
        };
        if from_behind {
            all.extend(text.iter().rev());
        } else {
            all.extend(text);
        }
    }
    all
}

/// The template without the values at its end that are told by reading it backwards: a text stands before them that they cannot
/// contain.
fn clear_from_the_end(mut template: &[Piece]) -> &[Piece] {
    while let Some((last, before)) = template.split_last() {
        let clear = match (last, before.last()) {
            (Piece::Text(_), _) => true,
            (Piece::Value(expr), _) if expr.info.length.is_some() => true,
            (Piece::Value(expr), Some(Piece::Text(text))) => !expr.info.alphabet.contains_all(text),
            (Piece::Value(expr), Some(Piece::When { .. })) => ends_outside(before, expr.info.alphabet),
            _ => false,
        };
        if !clear {
            break;
        }
        template = before;
    }
    template
}

/// Whether the last byte of a template is always one of its own texts and none of these, whatever parts are left out.
fn ends_outside(template: &[Piece], alphabet: Alphabet) -> bool {
    match template.split_last() {
        Some((Piece::Text(text), _)) => text.last().is_some_and(|byte| !alphabet.contains(*byte)),
        Some((Piece::When { then, .. }, before)) => ends_outside(then, alphabet) && ends_outside(before, alphabet),
        _ => false,
    }
}

/// Whether a value that is open can hold the whole of a part behind it, as far as is known from how that begins.
fn could_end_in(open: Alphabet, part: &[Piece]) -> bool {
    match part.first() {
        Some(Piece::Text(text)) => open.contains_all(text),
        // One of any length is looked at where it is read.
        Some(Piece::Value(expr)) => expr.info.length.is_some_and(|length| length > 0) && !ends(open, expr),
        Some(Piece::When { .. }) | None => false,
    }
}

/// Whether a value must be over where this one begins.
fn ends(open: Alphabet, next: &Expr) -> bool {
    // A method is never empty, so that its first byte is one of its alphabet.
    let is_method = next.source == Source::Method && next.steps.is_empty();
    let is_something = is_method || next.info.length.is_some_and(|length| length > 0);
    next.info.begins.is_some_and(|byte| !open.contains(byte)) || is_something && !open.meets(next.info.alphabet)
}

/// The bytes that can come first of those that are not in `open`. More than what ever comes, never less.
fn firsts(template: &[Piece], open: Alphabet) -> Alphabet {
    let mut found = Alphabet::NONE;
    for piece in template {
        match piece {
            Piece::Text(text) => {
                if let Some(byte) = text.iter().find(|byte| !open.contains(**byte)) {
                    return found.union(Alphabet::of(&[*byte]));
                }
            }
            Piece::Value(expr) => match expr.info.begins {
                Some(byte) if !open.contains(byte) => return found.union(Alphabet::of(&[byte])),
                _ => {
                    found = found.union(expr.info.alphabet.minus(open));
                    if ends(open, expr) {
                        return found;
                    }
                }
            },
            Piece::When { then, .. } => found = found.union(firsts(then, open)),
        }
    }
    found
}

/// The values that stand in one stretch with others of any length, without something between them that ends the one before.
/// Those of fixed length are among them when there is one of any length on both sides.
pub(super) fn in_stretches(template: &[Piece]) -> Vec<&Expr> {
    let mut stretches = Stretches { open: None, values: Vec::new(), fixed: Vec::new(), found: Vec::new() };
    stretches.walk(clear_from_the_end(template), false);
    stretches.end();
    stretches.found
}

/// The stretch that a walk through a template is in.
struct Stretches<'t> {
    /// What its values can contain.
    open: Option<Alphabet>,
    values: Vec<&'t Expr>,
    /// Those of fixed length behind the last one of any length.
    fixed: Vec<&'t Expr>,
    found: Vec<&'t Expr>,
}

impl<'t> Stretches<'t> {
    fn walk(&mut self, template: &'t [Piece], may_be_absent: bool) {
        let mut rest = template;
        while let Some((piece, behind)) = rest.split_first() {
            rest = behind;
            match piece {
                // What may be left out ends nothing.
                Piece::Text(text) if !may_be_absent && self.open.is_some_and(|open| !open.contains_all(text)) => self.end(),
                Piece::Text(_) => {}
                Piece::Value(expr) if expr.info.length.is_some() => match self.open {
                    Some(open) if !may_be_absent && ends(open, expr) => self.end(),
                    Some(open) => {
                        self.open = Some(open.union(expr.info.alphabet));
                        self.fixed.push(expr);
                    }
                    None => {}
                },
                Piece::Value(expr) => {
                    if self.open.is_some_and(|open| ends(open, expr)) {
                        self.end();
                    }
                    self.values.append(&mut self.fixed);
                    self.values.push(expr);
                    self.open = Some(self.open.map_or(expr.info.alphabet, |open| open.union(expr.info.alphabet)));
                    if (expr.info.ends_itself || are_over(expr, behind, true)) && !may_be_absent {
                        self.end();
                    }
                }
                Piece::When { then, .. } => self.walk(then, true),
            }
        }
    }

    fn end(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.open = None;
        self.fixed.clear();
        if values.iter().filter(|value| value.info.length.is_none()).count() > 1 {
            self.found.extend(values);
        }
    }
}

/// A part under a condition, with what was open before and after it.
struct Part<'t> {
    condition: &'t Expr,
    holds: bool,
    then: &'t [Piece],
    before: Option<Alphabet>,
    after: Option<Alphabet>,
}

impl Part<'_> {
    /// Whether this part and the one in its place could be read as each other: then what one reads could move to the other.
    fn could_be(&self, other: &[Piece]) -> bool {
        let (mine, its) = (info_of(self.then).reads, info_of(other).reads);
        let is_one_value = |part: &[Piece]| matches!(part, [Piece::Value(_)]);
        let same = mine == its && is_one_value(self.then) && is_one_value(other);
        let open = self.before.unwrap_or(Alphabet::NONE);
        !same && !mine.is_empty() && !its.is_empty() && firsts(self.then, open).meets(firsts(other, open))
    }
}

/// `open` is what the last value can contain, with what came behind it, while nothing has ended it. `is_whole` says whether nothing
/// stands behind the template.
fn is_undelimited(template: &[Piece], open: &mut Option<Alphabet>, is_whole: bool) -> bool {
    let either = |a: Option<Alphabet>, b: Option<Alphabet>| a.zip(b).map(|(a, b)| a.union(b)).or(a).or(b);
    let mut part: Option<Part<'_>> = None;
    let mut rest = template;
    while let Some((piece, behind)) = rest.split_first() {
        rest = behind;
        let before_this = part.take();
        match piece {
            Piece::Text(text) => {
                if open.is_some_and(|alphabet| !alphabet.contains_all(text)) {
                    *open = None;
                }
            }
            // It could shift, so that what ends the value before it must be in neither of them.
            Piece::Value(expr) if expr.info.length.is_some() => {
                *open = open.filter(|open| !ends(*open, expr)).map(|open| open.union(expr.info.alphabet));
            }
            Piece::Value(expr) => {
                // What is open ends where the next value must begin.
                if open.is_some_and(|open| !ends(open, expr)) {
                    return true;
                }
                *open = Some(expr.info.alphabet).filter(|_| !expr.info.ends_itself && !are_over(expr, behind, is_whole));
            }
            Piece::When { condition, holds, then } => {
                // The other way of the same question: one of the two is there, never both.
                let other = before_this.filter(|other| other.condition == condition && other.holds != *holds);
                let has_other =
                    matches!(behind.first(), Some(Piece::When { condition: same, holds: held, .. }) if same == condition && held != holds);
                let before = other.as_ref().map_or(*open, |other| other.before);
                let mut after = before;
                // A value could end in what may be left out.
                if before.is_some_and(|open| could_end_in(open, then)) || is_undelimited(then, &mut after, false) {
                    return true;
                }
                let is_hidden = match &other {
                    Some(other) => other.could_be(then),
                    // What stands behind it could be read as the part.
                    None if !has_other => {
                        let open = before.unwrap_or(Alphabet::NONE);
                        firsts(then, open).meets(firsts(behind, open))
                    }
                    None => false,
                };
                if is_hidden {
                    return true;
                }
                *open = match &other {
                    Some(other) => either(after, other.after),
                    // It may be left out.
                    None => either(after, before),
                };
                part = if other.is_none() { Some(Part { condition, holds: *holds, then, before, after }) } else { None };
            }
        }
    }
    false
}

/// Whether lines are over where `behind` begins. What stands behind a name in each of them tells: at it the reader knows whether
/// there is another line. Unless the text `is_whole` with it, it has to come within `behind`.
fn are_over(lines: &Expr, behind: &[Piece], is_whole: bool) -> bool {
    let Some((names, behind_name)) = lines.info.lines else { return false };
    let is_no_name = |piece: &Piece| match piece {
        Piece::Text(text) => !names.contains_all(text),
        Piece::Value(expr) => ends(names, expr),
        Piece::When { .. } => false,
    };
    let tells = if is_whole { !behind.is_empty() } else { behind.iter().any(is_no_name) };
    tells && !firsts(behind, names).contains(behind_name)
}
