//! Passwords that are long enough and still easy to guess: common ones, patterns, and the username once more.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::BadPassword;

/// The bundled list, one password on each line.
const LIST: &str = include_str!("common.txt");

/// The fewest things an attacker must guess: a character that does not follow from the one before, or a common word.
const LEAST_GUESSES: usize = 6;

/// The fewest characters that must be left without the username and the name of this product.
const LEAST_OWN: usize = 8;

/// Words that passwords are built from most often, and years. Each counts as one guess, however long.
const WORDS: [&str; 95] = [
    "password",
    "passwort",
    "passwd",
    "welcome",
    "qwerty",
    "azerty",
    "qwertz",
    "admin",
    "administrator",
    "root",
    "user",
    "login",
    "letmein",
    "iloveyou",
    "secret",
    "secure",
    "change",
    "changeme",
    "default",
    "guest",
    "test",
    "testing",
    "demo",
    "master",
    "dragon",
    "monkey",
    "shadow",
    "football",
    "baseball",
    "basketball",
    "soccer",
    "hockey",
    "sunshine",
    "princess",
    "superman",
    "batman",
    "spiderman",
    "starwars",
    "pokemon",
    "computer",
    "internet",
    "server",
    "system",
    "network",
    "database",
    "whatever",
    "trustno",
    "freedom",
    "hello",
    "world",
    "summer",
    "winter",
    "spring",
    "autumn",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "michael",
    "jennifer",
    "jessica",
    "charlie",
    "daniel",
    "thomas",
    "jordan",
    "ashley",
    "andrew",
    "george",
    "company",
    "office",
    "please",
    "forever",
    "love",
    "family",
    "access",
    "killer",
    "hunter",
    "cheese",
    "cookie",
    "purple",
    "orange",
];

/// Lines on which fingers walk: keyboard rows and columns.
const WALKS: [&str; 20] = [
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
    "8ik",
    "9ol",
    "!@#$%^&*()",
    "147258369",
];

/// Judges a password in NFKC that is long enough.
pub(super) fn judge(password: &str, username: &str) -> Result<(), BadPassword> {
    let lower = password.to_lowercase();
    let names = names(username);
    if own(&lower, &names) < LEAST_OWN {
        return Err(BadPassword::OfTheName);
    }
    if is_repetition(&lower) {
        return Err(BadPassword::Pattern);
    }
    if is_listed(&lower) {
        return Err(BadPassword::Common);
    }
    match guesses(&undressed(&lower)).min(guesses(&lower.chars().collect::<Vec<_>>())) {
        0..LEAST_GUESSES => Err(BadPassword::Pattern),
        _ => Ok(()),
    }
}

/// The product, the username, and its parts: `bob.smith@example.com` is also `bob`, `smith`, `example`. Two letters say nothing.
fn names(username: &str) -> Vec<String> {
    let username = username.to_lowercase();
    let parts = username.split(|c: char| !c.is_alphanumeric()).map(str::to_owned);
    let mut names: Vec<String> =
        parts.chain([username.clone(), "countersign".to_owned()]).filter(|name| name.chars().count() > 2).collect();
    // The longest first, so that a part does not break up the whole.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

/// How many characters are not part of a name.
fn own(lower: &str, names: &[String]) -> usize {
    let mut rest = lower.to_owned();
    for name in names {
        rest = rest.replace(name.as_str(), "");
    }
    if rest.len() == lower.len() { usize::MAX } else { rest.chars().count() }
}

/// Whether it is one unit, shorter than a password must be, at least twice; the last time may be cut off.
fn is_repetition(lower: &str) -> bool {
    let chars: Vec<char> = lower.chars().collect();
    let most = (chars.len() / 2).min(super::MIN_CHARS - 1);
    (1..=most).any(|unit| chars.iter().zip(chars.iter().skip(unit)).all(|(a, b)| a == b))
}

/// Whether it is on the list, also with spelling tricks or with something common at its end.
fn is_listed(lower: &str) -> bool {
    static LISTED: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let lines = LIST.lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(|line| [line.to_owned(), plain(line).into_iter().collect(), bare(line)]).filter(|line| line.len() >= 12).collect()
    });
    LISTED.contains(lower) || LISTED.contains(&plain(lower).into_iter().collect::<String>()) || LISTED.contains(&bare(lower))
}

/// Spelling tricks undone, and only letters and digits kept.
fn plain(lower: &str) -> Vec<char> {
    let letter = |c| match c {
        '@' | '4' => 'a',
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '$' | '5' => 's',
        '7' => 't',
        other => other,
    };
    lower.chars().map(letter).filter(|c| c.is_alphanumeric()).collect()
}

/// Without digits and signs at the end, and then plain.
fn bare(lower: &str) -> String {
    plain(lower.trim_end_matches(|c: char| !c.is_alphabetic())).into_iter().collect()
}

/// Plain up to the digits and signs at the end, which are what they are there.
fn undressed(lower: &str) -> Vec<char> {
    let head = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    plain(head).into_iter().chain(lower.strip_prefix(head).unwrap_or_default().chars()).collect()
}

/// How many things there are to guess: common words and years count once, and what follows from the character before does not
/// count.
fn guesses(chars: &[char]) -> usize {
    let (mut rest, mut before, mut count) = (chars, None, 0);
    while let [first, tail @ ..] = rest {
        if let Some(length) = word(rest) {
            count += 1;
            rest = rest.get(length..).unwrap_or_default();
            before = None;
            continue;
        }
        if !before.is_some_and(|before| follows(before, *first)) {
            count += 1;
        }
        before = Some(*first);
        rest = tail;
    }
    count
}

/// The length of the longest common word, or the year, that `rest` starts with.
fn word(rest: &[char]) -> Option<usize> {
    let starts = |word: &&str| word.len() <= rest.len() && word.chars().zip(rest).all(|(a, b)| a == *b);
    let year = || matches!(rest, ['1', '9', a, b, ..] | ['2', '0', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit()).then_some(4);
    WORDS.into_iter().filter(starts).map(|word| word.len()).max().or_else(year)
}

/// Whether `next` follows from `before`: the same, the next or the last in the alphabet, or beside it on the keyboard.
fn follows(before: char, next: char) -> bool {
    let (a, b) = (u32::from(before), u32::from(next));
    let beside = |walk: &str| {
        let mut pairs = walk.chars().zip(walk.chars().skip(1));
        pairs.any(|pair| pair == (before, next) || pair == (next, before))
    };
    (before.is_alphanumeric() && a.abs_diff(b) == 1) || a == b || WALKS.iter().any(|walk| beside(walk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(password: &str) -> Result<(), BadPassword> {
        judge(password, "bob.smith@example.com")
    }

    #[test]
    fn random_words_and_random_characters_are_good() {
        for good in [
            "correct donkey battery teapot",
            "k9#vPz2!mQx7&wL",
            "cobalt walrus teapot orbit",
            "glacier-otter-thimble",
            "Zwölf Boxkämpfer jagen",
            "my dog ate 17 blue socks",
            "purple monkey dishwasher lamp",
            "\u{4eca}\u{65e5}\u{306f}\u{3068}\u{3066}\u{3082}\u{826f}\u{3044}\u{5929}\u{6c17}\u{3067}\u{3059}\u{306d}\u{6563}\u{6b69}",
            "8f14e45fceea167a5a36dedd4bea2543",
        ] {
            assert_eq!(judged(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn common_passwords_are_refused_however_they_are_dressed_up() {
        for bad in [
            "correcthorsebatterystaple",
            "Correct Horse Battery Staple",
            "correct-horse-battery-staple",
            "correcthorsebatterystaple1",
            "CorrectHorseBatteryStaple2024!",
            "C0rrectH0rseB@tteryStaple",
            "maytheforcebewithyou",
            "M@yTheF0rceBeWithY0u!",
            "thisismypassword",
            "thequickbrownfox",
        ] {
            assert_eq!(judged(bad), Err(BadPassword::Common), "{bad}");
        }
    }

    #[test]
    fn patterns_are_refused() {
        for bad in [
            "aaaaaaaaaaaaaaa",
            "abababababababab",
            "passwordpassword",
            "xK9xK9xK9xK9xK9",
            "abcdefghijklmnop",
            "ponmlkjihgfedcba",
            "123456789012345",
            "qwertyuiopasdfgh",
            "1qaz2wsx3edc4rfv",
            "zxcvbnmlkjhgfdsa",
            "Password12345678",
            "P@ssw0rd12345678",
            "PasswordSummer2024!",
            "welcomeadmin1234567",
            "111111222222333333",
            "aaaaaaaaaaaaaaaaaaaaaaab",
        ] {
            assert!(matches!(judged(bad), Err(BadPassword::Pattern | BadPassword::Common)), "{bad}: {:?}", judged(bad));
        }
    }

    #[test]
    fn the_name_once_more_is_refused() {
        for bad in [
            "bob.smith@example.com",
            "smithsmithsmith1",
            "bobbobbobbobbobX7!",
            "example-smith-1",
            "countersign2024",
            "CounterSign!CounterSign",
            "bob.smith@example.com2024",
        ] {
            assert_eq!(judged(bad), Err(BadPassword::OfTheName), "{bad}");
        }
        assert_eq!(judged("smith eats gravel by moonlight"), Ok(()));
    }

    #[test]
    fn every_line_of_the_list_is_refused() {
        let lines: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() >= 500, "{}", lines.len());
        for line in lines {
            assert!(line.chars().count() >= crate::password::MIN_CHARS, "{line} is too short to matter");
            assert!(judge(line, "somebody").is_err(), "{line}");
        }
    }
}
