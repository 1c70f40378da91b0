//! "Did you mean": the known word nearest to one that was mistyped.

/// The word of `known` nearest to `written`, if it is near enough to be what was meant: at most a third of the longer word's
/// characters differ, at least one may. Ties go to the earlier word. Case is ignored.
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const LONGEST: usize = 128;
    if written.len() > LONGEST {
        return None;
    }
    let written: Vec<char> = written.to_lowercase().chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for word in known.into_iter().filter(|word| word.len() <= LONGEST) {
        let letters: Vec<char> = word.to_lowercase().chars().collect();
        let limit = (written.len().max(letters.len()) / 3).max(1);
        let apart = distance(&written, &letters);
        if apart <= limit && apart < letters.len() && best.is_none_or(|(least, _)| apart < least) {
            best = Some((apart, word));
        }
    }
    best.map(|(_, word)| word)
}

/// How many letters must be added, dropped, replaced or swapped with their neighbour to make `b` of `a`
/// (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(above.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = at(&above, j) + usize::from(x != y);
            let mut least = replaced.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            if let (Some(i2), Some(j2)) = (i.checked_sub(1), j.checked_sub(1))
                && a.get(i2) == Some(y)
                && b.get(j2) == Some(x)
            {
                least = least.min(at(&before, j2) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        let known = ["and", "or", "jwt", "hmac", "api_key", "from", "anyone"];
        for (written, meant) in [
            ("hamc", "hmac"),
            ("HMAC", "hmac"),
            ("api-key", "api_key"),
            ("apikey", "api_key"),
            ("form", "from"),
            ("jwt2", "jwt"),
            ("AND", "and"),
        ] {
            assert_eq!(nearest(written, known), Some(meant), "{written}");
        }
        for written in ["", "x", "zzzz", "nobody", "basic_authentication", &"h".repeat(4000)] {
            assert_eq!(nearest(written, known), None, "{written}");
        }
    }
}
