//! From text to a rule, with the place of every mistake.

use super::{BadRule, Conjunction, Kind, Kinds, Named, Rule};
use crate::id::{ListName, ProfileName};
use crate::nearest::nearest;
use crate::principal::Scope;

const WORDS: [&str; 9] = ["jwt", "hmac", "api_key", "mtls", "from", "scope", "anyone", "and", "or"];

pub(super) fn parse(text: &str) -> Result<Rule, BadRule> {
    if text.len() > Rule::LONGEST {
        return Err(BadRule { offset: 0, length: text.len(), message: format!("a rule has at most {} bytes", Rule::LONGEST) });
    }
    let mut parser = Parser { text, tokens: read_tokens(text), next: 0, atoms: Vec::new() };
    let alternatives = parser.alternatives(0)?;
    if let Some(token) = parser.peek() {
        return Err(parser.bad(
            token,
            match token.text {
                ")" => "this `)` closes nothing".to_owned(),
                "(" => "`and` or `or` is missing before this `(`".to_owned(),
                other => parser.not_an_operator(other),
            },
        ));
    }
    let mut rule = Rule {
        text: text.trim().into(),
        any_of: Vec::new(),
        kinds: Kinds::NONE,
        profiles: Vec::new(),
        lists: Vec::new(),
        scopes_to_ask: None,
    };
    // Names are noted from the text, not from the alternatives: a kind that is named is looked at, whatever it is worth.
    for atom in &parser.atoms {
        match &atom.what {
            What::Anyone | What::Scope(_) => {}
            What::Kind(kind) => rule.kinds = rule.kinds.with(*kind),
            What::Hmac(profile) => {
                rule.kinds = rule.kinds.with(Kind::Hmac);
                note(&mut rule.profiles, profile, atom.name);
            }
            What::From(list) => note(&mut rule.lists, list, atom.name),
        }
    }
    for all in alternatives {
        let conjunction = conjunction(&parser.atoms, &all)?;
        if !rule.any_of.contains(&conjunction) {
            rule.any_of.push(conjunction);
        }
    }
    let asking = rule.any_of.iter().find(|all| all.kinds.contains(Kind::Jwt) && !all.scopes.is_empty());
    rule.scopes_to_ask = asking.map(|all| all.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ").into());
    Ok(rule)
}

/// Where something stands in the text.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    length: usize,
}

#[derive(Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    offset: usize,
}

struct Atom {
    what: What,
    /// The whole of it: `from(partners)`.
    whole: Place,
    /// The name in it: `partners`.
    name: Place,
}

enum What {
    Anyone,
    Kind(Kind),
    Hmac(ProfileName),
    From(ListName),
    Scope(Scope),
}

fn note<T: Clone + PartialEq>(names: &mut Vec<Named<T>>, name: &T, at: Place) {
    if !names.iter().any(|known| known.name == *name) {
        names.push(Named { name: name.clone(), offset: at.offset, length: at.length });
    }
}

fn conjunction(atoms: &[Atom], all: &[usize]) -> Result<Conjunction, BadRule> {
    let mut conjunction = Conjunction::default();
    let mut lonely_scope = None;
    for atom in all.iter().filter_map(|index| atoms.get(*index)) {
        match &atom.what {
            What::Anyone => {}
            What::Kind(kind) => conjunction.kinds = conjunction.kinds.with(*kind),
            What::Hmac(profile) => {
                conjunction.kinds = conjunction.kinds.with(Kind::Hmac);
                if let Some(other) = conjunction.profile.replace(profile.clone())
                    && other != *profile
                {
                    let message = format!(
                        "`hmac({other})` and `hmac({profile})` never hold together: a request has one signature; join them with `or`"
                    );
                    return Err(at(atom.whole, message));
                }
            }
            What::From(list) if !conjunction.lists.contains(list) => conjunction.lists.push(list.clone()),
            What::Scope(scope) => {
                lonely_scope = Some(atom);
                if !conjunction.scopes.contains(scope) {
                    conjunction.scopes.push(scope.clone());
                }
            }
            What::From(_) => {}
        }
    }
    match lonely_scope {
        Some(atom) if conjunction.kinds.is_empty() => {
            Err(at(atom.whole, "a scope belongs to a credential: join it with one by `and`, as in `jwt and scope(orders)`".to_owned()))
        }
        _ => Ok(conjunction),
    }
}

fn at(place: Place, message: String) -> BadRule {
    BadRule { offset: place.offset, length: place.length, message }
}

/// Parentheses, and what stands between them and white space.
fn read_tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut offset = 0;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            _ if first.is_whitespace() => first.len_utf8(),
            _ => rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).unwrap_or(rest.len()),
        };
        let Some((token, after)) = rest.split_at_checked(length) else { break };
        if !first.is_whitespace() {
            tokens.push(Token { text: token, offset });
        }
        offset += length;
        rest = after;
    }
    tokens
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    next: usize,
    atoms: Vec<Atom>,
}

/// Alternatives, each the numbers of the atoms that must all hold.
type Alternatives = Vec<Vec<usize>>;

impl<'t> Parser<'t> {
    fn alternatives(&mut self, depth: usize) -> Result<Alternatives, BadRule> {
        let mut any = self.all(depth)?;
        while let Some(or) = self.take("or") {
            any.extend(self.all(depth)?);
            self.limit(any.len(), or)?;
        }
        Ok(any)
    }

    fn all(&mut self, depth: usize) -> Result<Alternatives, BadRule> {
        let mut any = self.one(depth)?;
        while let Some(and) = self.take("and") {
            let right = self.one(depth)?;
            self.limit(any.len().saturating_mul(right.len()), and)?;
            any = any.iter().flat_map(|left| right.iter().map(|right| left.iter().chain(right).copied().collect())).collect();
        }
        Ok(any)
    }

    fn limit(&self, alternatives: usize, operator: Token<'t>) -> Result<(), BadRule> {
        if alternatives <= Rule::MOST_ALTERNATIVES {
            return Ok(());
        }
        let message =
            format!("multiplied out, the rule has {alternatives} alternatives up to here; the most is {}", Rule::MOST_ALTERNATIVES);
        Err(self.bad(operator, message))
    }

    fn one(&mut self, depth: usize) -> Result<Alternatives, BadRule> {
        let Some(token) = self.advance() else {
            let message = if self.tokens.is_empty() {
                "the rule is empty: write what it asks for, or `anyone`"
            } else {
                "the rule ends here, where a word is missing"
            };
            return Err(self.end(message));
        };
        if token.text == "(" {
            if depth >= Rule::DEEPEST {
                return Err(self.bad(token, format!("parentheses nest at most {} deep", Rule::DEEPEST)));
            }
            let any = self.alternatives(depth + 1)?;
            return match self.advance() {
                Some(close) if close.text == ")" => Ok(any),
                Some(other) => Err(self.bad(other, self.not_an_operator(other.text))),
                None => Err(self.bad(token, "this `(` is never closed".to_owned())),
            };
        }
        let argument = self.argument(token)?;
        let what = self.word(token, argument)?;
        let name = argument.map_or(token, |argument| argument);
        let end = if argument.is_some() { self.previous_end() } else { token.offset + token.text.len() };
        self.atoms.push(Atom {
            what,
            whole: Place { offset: token.offset, length: end.saturating_sub(token.offset) },
            name: Place { offset: name.offset, length: name.text.len() },
        });
        Ok(vec![vec![self.atoms.len() - 1]])
    }

    fn word(&self, token: Token<'t>, argument: Option<Token<'t>>) -> Result<What, BadRule> {
        let plain = |what: What| match argument {
            None => Ok(what),
            Some(argument) => Err(self.bad(argument, format!("`{}` takes no name in parentheses", token.text))),
        };
        let named = |example: &str| argument.ok_or_else(|| self.bad(token, format!("`{}` needs a name: `{example}`", token.text)));
        match token.text {
            "anyone" => plain(What::Anyone),
            "jwt" => plain(What::Kind(Kind::Jwt)),
            "api_key" => plain(What::Kind(Kind::ApiKey)),
            "mtls" => plain(What::Kind(Kind::Mtls)),
            "hmac" => {
                let (text, place) = argument.map_or((Rule::NATIVE_PROFILE, token), |argument| (argument.text, argument));
                text.parse().map(What::Hmac).map_err(|bad: crate::id::BadId| self.bad(place, bad.to_string()))
            }
            "from" => {
                let argument = named("from(partners)")?;
                argument.text.parse().map(What::From).map_err(|bad: crate::id::BadId| self.bad(argument, bad.to_string()))
            }
            "scope" => {
                let argument = named("scope(orders)")?;
                argument.text.parse().map(What::Scope).map_err(|bad: crate::id::BadId| self.bad(argument, bad.to_string()))
            }
            "and" | "or" => Err(self.bad(token, format!("something is missing before `{}`", token.text))),
            ")" => Err(self.bad(token, "something is missing before this `)`".to_owned())),
            other => Err(self.bad(token, self.unknown(other))),
        }
    }

    /// The name in parentheses after `word`, if there are parentheses.
    fn argument(&mut self, word: Token<'t>) -> Result<Option<Token<'t>>, BadRule> {
        // `and (` and `or (` are no words with a name; `one` says what is wrong with them.
        if matches!(word.text, "and" | "or" | ")") || self.take("(").is_none() {
            return Ok(None);
        }
        let name = self.advance().filter(|name| name.text != ")" && name.text != "(");
        let Some(name) = name else {
            return Err(self.bad(word, format!("the parentheses after `{}` hold no name", word.text)));
        };
        match self.advance() {
            Some(close) if close.text == ")" => Ok(Some(name)),
            Some(other) => Err(self.bad(other, format!("`{}` takes one name; `)` is missing before this", word.text))),
            None => Err(self.bad(word, format!("the `(` after `{}` is never closed", word.text))),
        }
    }

    fn unknown(&self, word: &str) -> String {
        let shown: String = word.chars().take(40).collect();
        match nearest(word, WORDS) {
            Some(meant) => format!("`{shown}` is not a word of the rule language; did you mean `{meant}`?"),
            None => format!(
                "`{shown}` is not a word of the rule language; it has jwt, hmac, hmac(profile), api_key, mtls, from(list), scope(name), anyone, and, or"
            ),
        }
    }

    fn not_an_operator(&self, word: &str) -> String {
        let shown: String = word.chars().take(40).collect();
        match word {
            "&&" | "&" | "AND" | "And" => format!("write `and` instead of `{shown}`"),
            "||" | "|" | "OR" | "Or" => format!("write `or` instead of `{shown}`"),
            _ => format!("`and` or `or` is missing before `{shown}`"),
        }
    }

    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.next).copied()
    }

    fn advance(&mut self) -> Option<Token<'t>> {
        let token = self.peek()?;
        self.next += 1;
        Some(token)
    }

    fn take(&mut self, text: &str) -> Option<Token<'t>> {
        let token = self.peek().filter(|token| token.text == text)?;
        self.next += 1;
        Some(token)
    }

    fn previous_end(&self) -> usize {
        self.next.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |token| token.offset + token.text.len())
    }

    fn bad(&self, token: Token<'_>, message: String) -> BadRule {
        BadRule { offset: token.offset, length: token.text.len(), message }
    }

    fn end(&self, message: &str) -> BadRule {
        BadRule { offset: self.text.len(), length: 0, message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        let rule = Rule::parse(text).unwrap();
        let one = |all: &Conjunction| {
            let kinds = all.kinds.iter().map(|kind| match (kind, &all.profile) {
                (Kind::Hmac, Some(profile)) => format!("hmac({profile})"),
                _ => kind.to_string(),
            });
            let lists = all.lists.iter().map(|list| format!("from({list})"));
            let scopes = all.scopes.iter().map(|scope| format!("scope({scope})"));
            let words: Vec<_> = kinds.chain(lists).chain(scopes).collect();
            if words.is_empty() { "anyone".to_owned() } else { words.join("+") }
        };
        rule.conjunctions().iter().map(one).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn a_rule_is_a_list_of_alternatives() {
        for (text, alternatives) in [
            ("hmac and from(partners)", "hmac(v3.0)+from(partners)"),
            ("jwt or from(office)", "jwt | from(office)"),
            ("jwt or hmac and api_key", "jwt | hmac(v3.0)+api_key"),
            ("(jwt or hmac) and from(a)", "jwt+from(a) | hmac(v3.0)+from(a)"),
            ("jwt and (scope(a) or scope(b:c/d))", "jwt+scope(a) | jwt+scope(b:c/d)"),
            ("hmac(stripe) or hmac(github)", "hmac(stripe) | hmac(github)"),
            ("anyone", "anyone"),
            ("anyone and jwt", "jwt"),
            ("jwt or anyone", "jwt | anyone"),
            ("jwt or jwt and jwt", "jwt"),
            ("\t from ( a )\nand\n mtls ", "mtls+from(a)"),
            ("((((jwt))))", "jwt"),
        ] {
            assert_eq!(shown(text), alternatives, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        for (text, part, message) in [
            ("jwt or hamc", "hamc", "`hamc` is not a word of the rule language; did you mean `hmac`?"),
            ("nobody", "nobody", "it has jwt,"),
            ("jwt && hmac", "&&", "write `and` instead of `&&`"),
            ("jwt OR hmac", "OR", "write `or` instead of `OR`"),
            ("jwt hmac", "hmac", "`and` or `or` is missing before `hmac`"),
            ("jwt (hmac)", "hmac", "`jwt` takes no name in parentheses"),
            ("(jwt) (hmac)", "(", "`and` or `or` is missing before this `(`"),
            ("jwt)", ")", "this `)` closes nothing"),
            ("(jwt", "(", "this `(` is never closed"),
            ("()", ")", "something is missing before this `)`"),
            ("from", "from", "`from` needs a name: `from(partners)`"),
            ("jwt or from()", "from", "hold no name"),
            ("from(a b)", "b", "takes one name"),
            ("from(a", "from", "never closed"),
            ("from(Office)", "Office", "is not a list name"),
            ("jwt and scope(a\"b)", "a\"b", "is not a scope"),
            ("jwt or scope(admin)", "scope(admin)", "a scope belongs to a credential"),
            ("hmac(a) and (jwt or hmac(b))", "hmac(b)", "never hold together"),
            ("and jwt", "and", "something is missing before `and`"),
            ("not jwt", "not", "`not` is not a word"),
            ("jwt or", "", "a word is missing"),
            ("", "", "the rule is empty"),
        ] {
            let bad = Rule::parse(text).unwrap_err();
            assert_eq!(text.get(bad.offset..bad.offset + bad.length), Some(part), "{text}: {bad}");
            assert!(bad.message.contains(message), "{text}: {bad}");
        }
    }

    #[test]
    fn size_has_limits() {
        let deep = format!("{}jwt{}", "(".repeat(17), ")".repeat(17));
        assert!(Rule::parse(&deep).unwrap_err().message.contains("16 deep"));
        assert!(Rule::parse(deep.strip_prefix('(').unwrap().strip_suffix(')').unwrap()).is_ok());
        let wide = ["(jwt or hmac)"; 7].join(" and ");
        assert!(Rule::parse(&wide).unwrap_err().message.contains("128 alternatives"));
        assert!(Rule::parse(&" ".repeat(1001)).is_err());
    }

    #[test]
    fn names_are_listed_once_with_their_place() {
        let text = "hmac(a) and from(x) or jwt and from(x) or anyone";
        let rule = Rule::parse(text).unwrap();
        assert_eq!(rule.lists().len(), 1);
        let list = &rule.lists()[0];
        assert_eq!((list.name.as_str(), text.get(list.offset..list.offset + list.length)), ("x", Some("x")));
        assert_eq!(rule.profiles()[0].name.as_str(), "a");
        assert_eq!(rule.kinds(), [Kind::Jwt, Kind::Hmac].into_iter().collect());
        assert!(rule.lets_anyone_in() && !rule.opens_by_address());
        assert!(Rule::parse("jwt or from(x)").unwrap().opens_by_address());
        assert!(!Rule::parse("jwt and from(x)").unwrap().opens_by_address());
    }

    /// A rule as a tree, for the reference that is too simple to be wrong.
    #[derive(Debug, Clone)]
    enum Tree {
        Word(&'static str),
        And(Box<Tree>, Box<Tree>),
        Or(Box<Tree>, Box<Tree>),
    }

    impl Tree {
        fn holds(&self, held: &dyn Fn(&str) -> bool) -> bool {
            match self {
                Self::Word(word) => *word == "anyone" || held(word),
                Self::And(a, b) => a.holds(held) && b.holds(held),
                Self::Or(a, b) => a.holds(held) || b.holds(held),
            }
        }

        /// With only the parentheses that precedence demands.
        fn written(&self) -> String {
            let inner = |tree: &Self| if matches!(tree, Self::Or(..)) { format!("({})", tree.written()) } else { tree.written() };
            match self {
                Self::Word(word) => (*word).to_owned(),
                Self::And(a, b) => format!("{} and {}", inner(a), inner(b)),
                Self::Or(a, b) => format!("{} or {}", a.written(), b.written()),
            }
        }
    }

    const ATOMS: [&str; 7] = ["jwt", "hmac(v3.0)", "api_key", "mtls", "from(a)", "from(b)", "anyone"];

    fn tree() -> impl Strategy<Value = Tree> {
        proptest::sample::select(&ATOMS[..]).prop_map(Tree::Word).prop_recursive(5, 24, 2, |inner| {
            (inner.clone(), inner, any::<bool>()).prop_map(|(a, b, and)| {
                let (a, b) = (Box::new(a), Box::new(b));
                if and { Tree::And(a, b) } else { Tree::Or(a, b) }
            })
        })
    }

    proptest! {
        #[test]
        fn the_alternatives_hold_exactly_when_the_text_does(tree in tree(), held in 0u8..64) {
            let Ok(rule) = Rule::parse(&tree.written()) else {
                // Only the limits can refuse what the tree wrote.
                prop_assume!(false);
                return Ok(());
            };
            let has = |word: &str| ATOMS.iter().position(|atom| *atom == word).is_some_and(|i| held >> i & 1 == 1);
            let by_alternatives = rule.conjunctions().iter().any(|all| {
                all.kinds.iter().all(|kind| has(if kind == Kind::Hmac { "hmac(v3.0)" } else { kind.as_str() }))
                    && all.lists.iter().all(|list| has(&format!("from({list})")))
            });
            prop_assert_eq!(by_alternatives, tree.holds(&has), "{}", rule);
        }

        #[test]
        fn no_text_makes_the_parser_fail(text in "[ ()a-z_.|&\u{e9}]{0,60}") {
            if let Err(bad) = Rule::parse(&text) {
                prop_assert!(text.get(bad.offset..bad.offset + bad.length).is_some());
            }
        }
    }
}
