//! Mistakes in following the recipe of a scheme: a part or a step left out, done in another way or in another order.

use super::super::collection::{Collection, Origin, Repeated, Sort};
use super::super::expression::{Expr, Piece, Source, Step, Template};
use super::super::filter::Filter;
use super::super::hash::Hash;
use super::super::percent::Percent;
use super::super::profile::Profile;
use super::super::slots::SlotSource;
use super::super::time_format::TimeFormat;
use super::bench::Edit;
use super::change::{Area, Change, Trial};
use super::mistake::Mistake;

/// A template made in another way.
struct Other {
    mistake: Mistake,
    template: Vec<Piece>,
    detail: String,
}

/// Mistakes in the string to sign and the named pieces that it is made of: first those about one value, then the others.
pub(super) fn trials(profile: &Profile) -> (Vec<Trial>, Vec<Trial>) {
    let (mut values, mut rest) = (Vec::new(), Vec::new());
    let mut add = |template: &[Piece], edit: &dyn Fn(Template) -> Edit| {
        let trial = |other: Other| Trial::new(other.mistake, Area::Recipe, Change::Edit(edit(other.template.into()))).detail(other.detail);
        values.extend(others(profile, template).into_iter().map(trial));
        rest.extend(between(template).into_iter().chain(swapped(profile, template)).map(trial));
    };
    if let Some(message) = profile.rule.messages.first() {
        add(message, &Edit::Message);
    }
    for (index, template) in profile.lets.iter().enumerate() {
        add(template, &|template| Edit::Let(index, template));
    }
    for (index, collection) in profile.collections.iter().enumerate() {
        for (place, (_, template)) in collection.pseudo.iter().enumerate() {
            add(template, &|template| {
                let mut other = collection.clone();
                if let Some((_, pseudo)) = other.pseudo.get_mut(place) {
                    *pseudo = template;
                }
                Edit::Collection(index, Box::new(other))
            });
        }
    }
    for (index, collection) in profile.collections.iter().enumerate() {
        collections(index, collection, &mut values);
    }
    (values, rest)
}

/// Every other way to make the values of a template.
fn others(profile: &Profile, template: &[Piece]) -> Vec<Other> {
    let mut all = Vec::new();
    for (index, piece) in template.iter().enumerate() {
        match piece {
            Piece::Value(expr) => {
                let mistake = left_out(profile, expr);
                let detail =
                    if mistake == Mistake::PartLeftOut { profile.parts_words(profile.direct(&expr.source)) } else { String::new() };
                for template in without(template, index) {
                    all.push(Other { mistake, template, detail: detail.clone() });
                }
                for (mistake, expr, detail) in expressions(expr) {
                    all.push(Other { mistake, template: with(template, index, Piece::Value(expr)), detail });
                }
            }
            Piece::Text(_) => {}
            Piece::When { condition, holds, then } => {
                for other in others(profile, then) {
                    let piece = Piece::When { condition: condition.clone(), holds: *holds, then: other.template.into() };
                    all.push(Other { mistake: other.mistake, template: with(template, index, piece), detail: other.detail });
                }
                let mut shorter = template.to_vec();
                shorter.remove(index);
                let mistake = only_value(then).map_or(Mistake::PartLeftOut, |expr| left_out(profile, expr));
                all.push(Other { mistake, template: shorter, detail: String::new() });
                let mut always = template.to_vec();
                always.splice(index..=index, then.iter().cloned());
                let detail = "a part that depends on a condition is always there".to_owned();
                all.push(Other { mistake: Mistake::StepLeftOut, template: always, detail });
            }
        }
    }
    all
}

/// Other texts between the values, and before them.
fn between(template: &[Piece]) -> Vec<Other> {
    let mut all = Vec::new();
    for (index, piece) in template.iter().enumerate() {
        let Piece::Text(text) = piece else { continue };
        // A text at the beginning names the scheme; one in between keeps parts apart.
        let shown = super::visible::quoted(text, 0);
        let mut shorter = template.to_vec();
        shorter.remove(index);
        let mistake = if index == 0 { Mistake::PartLeftOut } else { Mistake::LinesJoined };
        all.push(Other { mistake, template: shorter, detail: format!("without {shown}") });
        for other in [b"\n".as_slice(), b" ", b":", b"|", b","] {
            if index > 0 && text.len() == 1 && **text != *other {
                let detail = format!("with {} for {shown}", super::visible::quoted(other, 0));
                all.push(Other { mistake: Mistake::LinesJoined, template: with(template, index, Piece::Text(other.into())), detail });
            }
        }
    }
    all
}

fn with(template: &[Piece], index: usize, piece: Piece) -> Vec<Piece> {
    let mut template = template.to_vec();
    if let Some(place) = template.get_mut(index) {
        *place = piece;
    }
    template
}

/// The value of a template that has one.
fn only_value(template: &[Piece]) -> Option<&Expr> {
    let mut values = template.iter().filter_map(|piece| match piece {
        Piece::Value(expr) => Some(expr),
        _ => None,
    });
    values.next().filter(|_| values.next().is_none())
}

/// Without one value: with an empty place for it, and with the text that keeps it apart from its neighbours taken away.
fn without(template: &[Piece], index: usize) -> Vec<Vec<Piece>> {
    let mut empty = template.to_vec();
    empty.remove(index);
    let mut all = vec![empty.clone()];
    let shorten = |index: usize, cut: fn(&[u8]) -> Option<&[u8]>| {
        let Some(Piece::Text(text)) = empty.get(index) else { return None };
        let mut shorter = empty.clone();
        match cut(text) {
            Some([]) => drop(shorter.remove(index)),
            Some(rest) => *shorter.get_mut(index)? = Piece::Text(rest.into()),
            None => return None,
        }
        Some(shorter)
    };
    // What stood before the value is at `index - 1` now, and what stood behind it at `index`.
    all.extend(shorten(index, |text| text.split_first().map(|(_, rest)| rest)));
    all.extend(index.checked_sub(1).and_then(|before| shorten(before, |text| text.split_last().map(|(_, rest)| rest))));
    all
}

/// Every two values that stand next to each other in the other order.
fn swapped(profile: &Profile, template: &[Piece]) -> Vec<Other> {
    let values: Vec<usize> =
        template.iter().enumerate().filter(|(_, piece)| !matches!(piece, Piece::Text(_))).map(|(index, _)| index).collect();
    let name = |index: usize| match template.get(index) {
        Some(Piece::Value(expr)) => profile.parts_words(profile.direct(&expr.source)),
        _ => String::new(),
    };
    let neighbours = values.array_windows::<2>().map(|[a, b]| {
        let mut other = template.to_vec();
        other.swap(*a, *b);
        Other { mistake: Mistake::PartsSwapped, template: other, detail: format!("{} and {}", name(*a), name(*b)) }
    });
    neighbours.collect()
}

/// What it is called when a value is not there.
fn left_out(profile: &Profile, expr: &Expr) -> Mistake {
    let once = profile.replay.once.iter().chain(&profile.replay.counter).any(|once| same_field(once, expr));
    let time = profile.time.iter().flat_map(|time| time.at.iter().chain(&time.expires)).any(|time| same_field(time, expr));
    match &expr.source {
        Source::Field(index) if Some(*index) == profile.key_id => Mistake::KeyIdLeftOut,
        Source::Query => Mistake::QueryLeftOut,
        Source::Body | Source::BodySha256 => Mistake::BodyLeftOut,
        Source::Header(slot) => match profile.slots.get(*slot) {
            Some(SlotSource::Header(name)) if *name == http::header::CONTENT_TYPE => Mistake::ContentTypeLeftOut,
            _ if time => Mistake::TimestampLeftOut,
            _ => Mistake::PartLeftOut,
        },
        _ if time => Mistake::TimestampLeftOut,
        _ if once => Mistake::NonceLeftOut,
        _ => Mistake::PartLeftOut,
    }
}

fn same_field(a: &Expr, b: &Expr) -> bool {
    match (&a.source, &b.source) {
        (Source::Field(a), Source::Field(b)) => a == b,
        (Source::Header(a), Source::Header(b)) | (Source::Member(_, a), Source::Member(_, b)) => a == b,
        _ => false,
    }
}

/// Every other way to make a value.
pub(super) fn expressions(expr: &Expr) -> Vec<(Mistake, Expr, String)> {
    let mut all = Vec::new();
    let plain = String::new;
    let from = |source: Source| Expr { source, ..expr.clone() };
    match &expr.source {
        Source::Target => {
            all.push((Mistake::QueryLeftOut, from(Source::Path), plain()));
            all.push((Mistake::FullUrl, from(Source::Url), plain()));
        }
        Source::Path => {
            all.push((Mistake::QueryIncluded, from(Source::Target), plain()));
            all.push((Mistake::FullUrl, from(Source::Url), plain()));
        }
        Source::Url => {
            all.push((Mistake::PathForUrl, from(Source::Target), plain()));
            all.push((Mistake::PathForUrl, from(Source::Path), "and the query is left out".to_owned()));
        }
        Source::Host => all.push((Mistake::HostPort, from(Source::HostName), plain())),
        Source::HostName => all.push((Mistake::HostPort, from(Source::Host), plain())),
        Source::BodySha256 => body_digests(expr, &mut all),
        _ => {}
    }
    for (index, step) in expr.steps.iter().enumerate() {
        for (mistake, steps, detail) in other_steps(step) {
            let mut changed = expr.steps.to_vec();
            changed.splice(index..=index, steps);
            let mistake = match (&expr.source, mistake) {
                (Source::Method, Mistake::LetterCase) => Mistake::MethodCase,
                (Source::Path | Source::Target, Mistake::LetterCase) => Mistake::PathCase,
                (Source::Host | Source::HostName | Source::HostHeader, Mistake::LetterCase) => Mistake::HostCase,
                _ => mistake,
            };
            all.push((mistake, Expr { steps: changed.into(), ..expr.clone() }, detail.to_owned()));
        }
    }
    all
}

/// Other digests of the body, which has a source of its own.
fn body_digests(expr: &Expr, all: &mut Vec<(Mistake, Expr, String)>) {
    let of_body = |first: &[Step], rest: &[Step]| {
        let steps: Vec<Step> = first.iter().chain(rest).cloned().collect();
        // An empty body has a digest, too.
        Expr { source: Source::Body, steps: steps.into(), info: expr.info }
    };
    let empty = Step::Default([].into());
    let (encoder, after) = expr.steps.split_first().map_or((&[][..], &[][..]), |(first, rest)| (std::slice::from_ref(first), rest));
    all.push((
        Mistake::NotHashed,
        of_body(std::slice::from_ref(&empty), after),
        "the body itself stands in place of its digest".to_owned(),
    ));
    for hash in [Hash::Sha1, Hash::Md5, Hash::Sha512, Hash::Sha384] {
        let digest = [empty.clone(), Step::Filter(Filter::Digest(hash))];
        all.push((Mistake::OtherDigest, of_body(&digest, &expr.steps), format!("{hash:?} of the body")));
    }
    let twice = [Step::Filter(Filter::Hex), Step::Filter(Filter::Digest(Hash::Sha256))];
    all.push((
        Mistake::NotHashed,
        Expr { steps: twice.iter().chain(&expr.steps).cloned().collect(), ..expr.clone() },
        "the digest is hashed again".to_owned(),
    ));
    for text in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] {
        let fixed = Expr { source: Source::Text(text.as_bytes().into()), steps: [].into(), info: expr.info };
        all.push((Mistake::UnsignedPayload, fixed, format!("`{text}`")));
    }
    let encoded = [&[empty][..], encoder, &[Step::Filter(Filter::Digest(Hash::Sha256))][..], &expr.steps].concat();
    all.push((Mistake::BodyEncoded, of_body(&encoded, &[]), "and then hashed".to_owned()));
}

/// What is done in place of a step.
fn other_steps(step: &Step) -> Vec<(Mistake, Vec<Step>, &'static str)> {
    let filter = |filter: Filter| Step::Filter(filter);
    let left_out = |mistake, detail| vec![(mistake, Vec::new(), detail)];
    match step {
        Step::Filter(Filter::Lower) => left_out(Mistake::LetterCase, "not in lower case"),
        Step::Filter(Filter::Upper) => left_out(Mistake::LetterCase, "not in upper case"),
        Step::Filter(Filter::Trim | Filter::Squeeze | Filter::SqueezeUnquoted) => left_out(Mistake::HeaderSpaces, ""),
        Step::Filter(Filter::Hex) => vec![
            (Mistake::DigestForm, vec![filter(Filter::Base64)], "Base64"),
            (Mistake::DigestForm, vec![filter(Filter::Hex), filter(Filter::Upper)], "upper-case hexadecimal"),
            (Mistake::DigestForm, vec![filter(Filter::Hex), filter(Filter::Base64)], "Base64 of hexadecimal"),
            (Mistake::DigestForm, Vec::new(), "its bytes"),
        ],
        Step::Filter(Filter::Base64 | Filter::Base64Url) => vec![
            (Mistake::DigestForm, vec![filter(Filter::Hex)], "hexadecimal"),
            (Mistake::DigestForm, vec![filter(Filter::Hex), filter(Filter::Base64)], "Base64 of hexadecimal"),
            (Mistake::DigestForm, vec![filter(Filter::Base64Url)], "Base64 with `-` and `_`"),
            (Mistake::DigestForm, vec![filter(Filter::Base64)], "Base64 with `+` and `/`"),
            (Mistake::DigestForm, Vec::new(), "its bytes"),
        ],
        Step::Filter(Filter::Digest(_)) | Step::Digest => {
            let mut all = left_out(Mistake::NotHashed, "");
            for (hash, name) in [(Hash::Sha256, "SHA-256"), (Hash::Sha1, "SHA-1"), (Hash::Md5, "MD5"), (Hash::Sha512, "SHA-512")] {
                all.push((Mistake::OtherDigest, vec![filter(Filter::Digest(hash))], name));
            }
            all.push((Mistake::NotHashed, vec![step.clone(), filter(Filter::Hex), step.clone()], "the digest is hashed again"));
            all
        }
        Step::Filter(Filter::Encode(_)) => {
            let mut all =
                vec![(Mistake::PathEncodedOnce, Vec::new(), ""), (Mistake::PathEncodedTwice, vec![step.clone(), step.clone()], "")];
            for (rules, name) in [
                (Percent::Strict, "RFC 3986"),
                (Percent::Form, "as forms"),
                (Percent::Uri, "as encodeURIComponent"),
                (Percent::DotNet, "as .NET's UrlEncode"),
                (Percent::Path, "slashes stay"),
            ] {
                all.push((Mistake::OtherPercentEncoding, vec![filter(Filter::Encode(rules))], name));
            }
            all.push((Mistake::PercentCase, vec![step.clone(), filter(Filter::Lower)], "all of it in lower case"));
            all
        }
        Step::Filter(Filter::NormalPath) => left_out(Mistake::PathNormalised, ""),
        Step::Filter(Filter::Unpct | Filter::UnpctForm) => left_out(Mistake::StepLeftOut, "decoding"),
        Step::Filter(Filter::Before(_) | Filter::After(_) | Filter::Take(_) | Filter::DropPrefix(_) | Filter::DropSuffix(_)) => {
            left_out(Mistake::StepLeftOut, "all of a value stands for a part of it")
        }
        Step::Filter(Filter::EscapeLines | Filter::Replace(..)) => left_out(Mistake::StepLeftOut, "replacing"),
        Step::Time(_) => [TimeFormat::Unix, TimeFormat::UnixMs, TimeFormat::Iso, TimeFormat::Http, TimeFormat::Amz]
            .into_iter()
            .map(|format| (Mistake::TimestampForm, vec![Step::Time(format)], ""))
            .collect(),
        Step::Sorted => left_out(Mistake::QueryUnsorted, ""),
        _ => Vec::new(),
    }
}

/// Mistakes in text that is made of many headers or parameters.
fn collections(index: usize, collection: &Collection, all: &mut Vec<Trial>) {
    let is_headers = collection.from.contains(&Origin::Headers);
    let mut add = |mistake, detail: &str, change: &dyn Fn(&mut Collection)| {
        let mut other = collection.clone();
        change(&mut other);
        // A whole source is more easily forgotten than a rule.
        let common = other.from.len() < collection.from.len();
        let trial = Trial::new(mistake, Area::Recipe, Change::Edit(Edit::Collection(index, Box::new(other)))).detail(detail);
        all.push(if common { trial.common() } else { trial });
    };
    if is_headers {
        add(Mistake::HeaderOrder, "sorted by name", &|other| other.sort = Some(Sort::Name));
        add(Mistake::HeaderOrder, "not sorted", &|other| other.sort = None);
        add(Mistake::HeaderSpaces, "not trimmed", &|other| other.value = [].into());
        add(Mistake::HeaderSpaces, "trimmed, and each run of spaces one", &|other| other.value = [Filter::Trim, Filter::Squeeze].into());
        add(Mistake::HeaderCase, "values in lower case", &|other| other.value = [Filter::Trim, Filter::Lower].into());
        add(Mistake::HeaderCase, "names as listed", &|other| other.as_listed = true);
        add(Mistake::HeaderCase, "names in lower case", &|other| other.as_listed = false);
        add(Mistake::HeaderCase, "names in upper case", &|other| other.name = [Filter::Upper].into());
    } else {
        add(Mistake::QueryUnsorted, "", &|other| other.sort = None);
        for sort in [Sort::Name, Sort::NameValue, Sort::Item] {
            add(Mistake::OtherOrder, "", &|other| other.sort = Some(sort));
        }
        add(Mistake::PathEncodedOnce, "names and values of parameters are not encoded", &|other| {
            other.name = [].into();
            other.value = [].into();
        });
        for (rules, name) in
            [(Percent::Form, "forms"), (Percent::Uri, "encodeURIComponent"), (Percent::DotNet, ".NET"), (Percent::Strict, "RFC 3986")]
        {
            add(Mistake::OtherPercentEncoding, &format!("names and values of parameters by the rules of {name}"), &|other| {
                other.name = [Filter::Encode(rules)].into();
                other.value = [Filter::Encode(rules)].into();
            });
        }
        add(Mistake::PathEncodedTwice, "names and values of parameters", &|other| {
            let twice = |filters: &[Filter]| filters.iter().chain(filters).cloned().collect();
            other.name = twice(&collection.name);
            other.value = twice(&collection.value);
        });
        add(Mistake::PlusForSpace, "", &|other| other.plus_is_space = !collection.plus_is_space);
        add(Mistake::EmptyValue, "", &|other| other.item_empty = Some([Piece::Value(item_name(collection))].into()));
        add(Mistake::EmptyValue, "", &|other| other.item_empty = None);
        add(Mistake::ParameterLeftOut, "those without a value", &|other| other.skip_empty = true);
        add(Mistake::StepLeftOut, "what the scheme leaves out is signed", &|other| other.exclude = Vec::new());
        for from in [Origin::Form, Origin::Query] {
            if collection.from.len() > 1 && collection.from.contains(&from) {
                let (mistake, detail) =
                    if from == Origin::Form { (Mistake::ParameterLeftOut, "all of the body") } else { (Mistake::QueryLeftOut, "") };
                add(mistake, detail, &|other| other.from.retain(|one| *one != from));
            }
        }
    }
    for join in ["", "\n", "&", ",", ";"] {
        add(Mistake::LinesJoined, "between names and values", &|other| other.join = join.as_bytes().into());
    }
    for repeated in [Repeated::Join(b",".as_slice().into()), Repeated::Join(b", ".as_slice().into()), Repeated::First, Repeated::Each] {
        add(Mistake::OtherHeaderValue, "several values of one name are joined in another way", &|other| other.repeated = repeated.clone());
    }
    let spaced = |from: &'static [u8], to: &'static [u8]| {
        move |other: &mut Collection| {
            for piece in &mut other.item {
                if let Piece::Text(text) = piece
                    && **text == *from
                {
                    *piece = Piece::Text(to.into());
                }
            }
        }
    };
    add(Mistake::HeaderLines, "", &spaced(b": ", b":"));
    add(Mistake::HeaderLines, "", &spaced(b":", b": "));
    add(Mistake::LinesJoined, "names and values without `=`", &spaced(b"=", b""));
}

/// The name of an item, as the collection writes it.
fn item_name(collection: &Collection) -> Expr {
    let names = collection.item.iter().find_map(|piece| match piece {
        Piece::Value(expr) if matches!(expr.source, Source::ItemName) => Some(expr.clone()),
        _ => None,
    });
    names.unwrap_or_else(|| Expr { source: Source::ItemName, steps: [].into(), info: super::super::expression::info_of(&[]) })
}
