//! Mistakes about the path and the query.

use super::super::bytes::Bytes;
use super::super::filter::Filter;
use super::super::percent::{self, Percent};
use super::change::{Area, Change, Trial};
use super::mistake::Mistake;
use super::sent::Sent;
use crate::request_view::Scheme;

/// How many parameters are left out, one after the other.
const MOST_PARAMETERS: usize = 16;

/// Mistakes about the target of a request.
pub(super) fn trials(request: &Sent<'_>) -> Vec<Trial> {
    let mut all = Vec::new();
    query(request, &mut all);
    path(request, &mut all);
    all
}

fn query(request: &Sent<'_>, all: &mut Vec<Trial>) {
    let set = |mistake, query: Option<String>| Trial::new(mistake, Area::Query, Change::Query(query));
    let Some(sent) = request.query() else {
        all.push(set(Mistake::BareQuestionMark, Some(String::new())));
        return;
    };
    all.push(set(Mistake::QueryLeftOut, None).common());
    if sent.is_empty() {
        return;
    }
    all.push(set(Mistake::BareQuestionMark, Some(String::new())));
    let mut add = |mistake, query: String, detail: &str| {
        if query != sent {
            all.push(set(mistake, Some(query)).detail(detail));
        }
    };
    let decoded = |plus: bool| text(&percent::decode(Bytes::Lent(sent.as_bytes()), plus));
    add(Mistake::PlusForSpace, sent.replace("%20", "+"), "");
    add(Mistake::PlusForSpace, sent.replace('+', "%20"), "");
    add(Mistake::QueryDecoded, decoded(false), "");
    add(Mistake::QueryDecoded, decoded(true), "`+` as a space");
    add(Mistake::PercentCase, digits(sent, false), "");
    add(Mistake::PercentCase, digits(sent, true), "");
    for (rules, name) in
        [(Percent::Strict, "RFC 3986"), (Percent::Form, "forms"), (Percent::Uri, "encodeURIComponent"), (Percent::DotNet, ".NET")]
    {
        for plus in [true, false] {
            add(Mistake::QueryReencoded, reencoded(sent, rules, plus), &format!("by the rules of {name}"));
        }
    }
    add(Mistake::QueryReencoded, text(&Percent::Strict.encode(Bytes::Lent(sent.as_bytes()))), "all of it at once, `=` and `&` too");
    let pairs: Vec<&str> = sent.split('&').collect();
    let mut sorted = pairs.clone();
    sorted.sort_by_key(|pair| pair.split('=').next().unwrap_or_default());
    add(Mistake::QuerySorted, sorted.join("&"), "by name");
    sorted.sort_unstable();
    add(Mistake::QuerySorted, sorted.join("&"), "as text");
    sorted.reverse();
    add(Mistake::QuerySorted, sorted.join("&"), "backwards");
    let with_equals = |pair: &&str| if pair.contains('=') { (*pair).to_owned() } else { format!("{pair}=") };
    add(Mistake::EmptyValue, pairs.iter().map(with_equals).collect::<Vec<_>>().join("&"), "");
    add(Mistake::EmptyValue, pairs.iter().map(|pair| pair.strip_suffix('=').unwrap_or(pair)).collect::<Vec<_>>().join("&"), "");
    let filled = |pair: &&&str| !pair.ends_with('=') && pair.contains('=');
    add(Mistake::ParameterLeftOut, pairs.iter().filter(filled).copied().collect::<Vec<_>>().join("&"), "those without a value");
    if pairs.len() > 1 {
        for (index, pair) in pairs.iter().enumerate().take(MOST_PARAMETERS) {
            let name = pair.split('=').next().unwrap_or_default();
            let rest: Vec<_> = pairs.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, pair)| *pair).collect();
            add(Mistake::ParameterLeftOut, rest.join("&"), &super::visible::quoted(name.as_bytes(), 0));
        }
    }
    add(Mistake::LetterCase, sent.to_ascii_lowercase(), "the query in lower case");
}

fn path(request: &Sent<'_>, all: &mut Vec<Trial>) {
    let sent = request.path();
    let mut add = |mistake, path: String, common: bool, detail: String| {
        if path != sent {
            let trial = Trial::new(mistake, Area::Path, Change::Path(path)).detail(detail);
            all.push(if common { trial.common() } else { trial });
        }
    };
    let shown = |path: &str| super::visible::quoted(path.as_bytes(), 0);
    add(Mistake::PathCase, sent.to_ascii_lowercase(), true, String::new());
    let slash = match sent.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{sent}/"),
    };
    add(Mistake::TrailingSlash, slash, true, String::new());
    add(Mistake::LeadingSlash, sent.strip_prefix('/').unwrap_or(sent).to_owned(), false, String::new());
    let (host, scheme) = (&request.host, request.scheme.as_str());
    add(Mistake::FullUrl, format!("{scheme}://{host}{sent}"), true, String::new());
    let other = if request.scheme == Scheme::Http { "https" } else { "http" };
    add(Mistake::FullUrl, format!("{other}://{host}{sent}"), false, format!("with {other}"));
    add(Mistake::FullUrl, format!("{host}{sent}"), false, "without its scheme".to_owned());
    add(Mistake::PathDecoded, text(&percent::decode(Bytes::Lent(sent.as_bytes()), false)), false, String::new());
    add(Mistake::PathEncodedTwice, text(&Percent::Path.encode(Bytes::Lent(sent.as_bytes()))), false, String::new());
    add(Mistake::PathEncodedTwice, text(&Percent::Strict.encode(Bytes::Lent(sent.as_bytes()))), false, "slashes too".to_owned());
    add(Mistake::PercentCase, digits(sent, false), false, "in the path".to_owned());
    add(Mistake::PercentCase, digits(sent, true), false, "in the path".to_owned());
    let normal = Filter::NormalPath.apply(Bytes::Lent(sent.as_bytes()));
    add(Mistake::PathNormalised, normal.map_or_else(|| sent.to_owned(), |normal| text(&normal.bytes)), false, String::new());
    // A proxy takes the beginning off, or puts one on.
    let mut rest = sent;
    for _ in 0..3 {
        let Some(at) = rest.get(1..).and_then(|rest| rest.find('/')) else { break };
        rest = rest.get(at + 1..).unwrap_or_default();
        add(Mistake::PathPrefix, rest.to_owned(), false, shown(rest));
    }
    for name in ["x-forwarded-prefix", "x-forwarded-path", "x-script-name"] {
        let Some(prefix) = request.headers.get(name).and_then(|value| value.to_str().ok()) else { continue };
        let path = format!("{}{sent}", prefix.trim_end_matches('/'));
        add(Mistake::PathPrefix, path.clone(), false, shown(&path));
    }
    for prefix in ["/api", "/v1"] {
        add(Mistake::PathPrefix, format!("{prefix}{sent}"), false, shown(&format!("{prefix}{sent}")));
    }
    add(Mistake::PathCase, sent.to_ascii_uppercase(), false, String::new());
}

/// Names and values decoded and encoded again.
fn reencoded(query: &str, rules: Percent, plus_is_space: bool) -> String {
    let again = |part: &str| {
        let decoded = percent::decode(Bytes::Lent(part.as_bytes()), plus_is_space);
        text(&rules.encode(Bytes::Lent(decoded.as_slice())))
    };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", again(name), again(value)),
        None => again(pair),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

/// Percent-encoding with digits in one case.
fn digits(sent: &str, upper: bool) -> String {
    let mut bytes = sent.as_bytes().to_vec();
    let mut left = 0;
    for byte in &mut bytes {
        match left {
            0 => left = if *byte == b'%' { 2 } else { 0 },
            _ => {
                if upper {
                    byte.make_ascii_uppercase();
                } else {
                    byte.make_ascii_lowercase();
                }
                left -= 1;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| sent.to_owned())
}

/// As text. What is not UTF-8 once decoded was not signed by anybody who decodes to text.
fn text(bytes: &Bytes<'_>) -> String {
    String::from_utf8_lossy(bytes.as_slice()).into_owned()
}
