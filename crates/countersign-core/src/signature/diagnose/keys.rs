//! Mistakes about the secret and about the key that is made of it.

use std::time::Duration;

use zeroize::Zeroizing;

use super::super::encoding::{BASE64, base64};
use super::super::expression::{Expr, Piece, Source, Step, Template};
use super::super::filter::Filter;
use super::super::hash::Hash;
use super::super::profile::Profile;
use super::super::rules::{Derive, KeyRule, KeyText};
use super::super::secret::LiveSecret;
use super::super::time_format::TimeFormat;
use super::mistake::Mistake;
use crate::now::UnixMillis;

/// What vendors put in front of secrets.
const PREFIXES: [&str; 4] = ["css_", "whsec_", "sk_", "v1,"];

/// Regions and services that keys are derived for.
const REGIONS: [&str; 4] = ["us-east-1", "eu-west-1", "eu-central-1", "global"];
const SERVICES: [&str; 5] = ["execute-api", "s3", "host", "es", "lambda"];

/// One mistake about the key.
pub(super) struct KeyTrial {
    pub(super) mistake: Mistake,
    pub(super) detail: String,
    /// The secret in its place, not made ready.
    pub(super) secret: LiveSecret,
    /// The rule in the place of the profile's.
    pub(super) rule: Option<Box<KeyRule>>,
    /// Whether it is tried together with another mistake.
    pub(super) common: bool,
}

/// Mistakes with one secret of the key.
pub(super) fn trials(profile: &Profile, secret: &LiveSecret, key_id: Option<&str>, now: UnixMillis) -> Vec<KeyTrial> {
    let mut all = Vec::new();
    for (mistake, rule, detail) in rules(&profile.key, now) {
        let common = matches!(mistake, Mistake::SecretNotDecoded | Mistake::SecretDecoded);
        let secret = secret.with_text(secret.text().to_vec().into());
        all.push(KeyTrial { mistake, detail, secret, rule: Some(rule.into()), common });
    }
    for (mistake, text, detail) in texts(secret.text(), key_id) {
        let common = matches!(mistake, Mistake::SecretNewline | Mistake::KeyIdAsSecret);
        all.push(KeyTrial { mistake, detail: detail.to_owned(), secret: secret.with_text(text), rule: None, common });
    }
    for (index, name) in profile.key.attributes.iter().enumerate() {
        if let Some(secret) = secret.without_attribute(index) {
            let detail = format!("without {name}");
            all.push(KeyTrial { mistake: Mistake::KeyPartLeftOut, detail, secret, rule: None, common: false });
        }
    }
    all
}

type OtherText = (Mistake, Zeroizing<Vec<u8>>, &'static str);

/// Other texts of the secret.
fn texts(secret: &[u8], key_id: Option<&str>) -> Vec<OtherText> {
    let mut all: Vec<OtherText> = Vec::new();
    let mut add = |mistake, text: Vec<u8>, detail| {
        if text != secret {
            all.push((mistake, text.into(), detail));
        }
    };
    let around = |before: &str, after: &str| [before.as_bytes(), secret, after.as_bytes()].concat();
    add(Mistake::SecretNewline, around("", "\n"), "");
    add(Mistake::SecretNewline, around("", "\r\n"), "CR LF");
    if let Some(key_id) = key_id {
        add(Mistake::KeyIdAsSecret, key_id.as_bytes().to_vec(), "");
        add(Mistake::KeyPartLeftOut, around(&format!("{key_id}:"), ""), "the key id stands before it");
    }
    for quote in ["\"", "'", "`"] {
        add(Mistake::SecretQuoted, around(quote, quote), "quotes");
    }
    add(Mistake::SecretQuoted, around(" ", ""), "a space before it");
    add(Mistake::SecretQuoted, around("", " "), "a space behind it");
    add(Mistake::SecretQuoted, secret.trim_ascii().to_vec(), "white space that it has is left out");
    add(Mistake::SecretQuoted, around("\u{feff}", ""), "a byte order mark before it");
    let inner = secret.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    add(Mistake::SecretQuoted, inner.unwrap_or(secret).to_vec(), "quotes that it has are left out");
    if let Some(at) = secret.iter().take(8).position(|byte| *byte == b'_') {
        add(Mistake::SecretPrefix, secret.get(at + 1..).unwrap_or_default().to_vec(), "without it");
    }
    for prefix in PREFIXES.into_iter().filter(|prefix| !secret.starts_with(prefix.as_bytes())) {
        add(Mistake::SecretPrefix, around(prefix, ""), prefix);
    }
    add(Mistake::SecretCase, secret.to_ascii_lowercase(), "lower case");
    add(Mistake::SecretCase, secret.to_ascii_uppercase(), "upper case");
    if let Ok(text) = std::str::from_utf8(secret) {
        add(Mistake::SecretEncoded, text.encode_utf16().flat_map(u16::to_le_bytes).collect(), "as UTF-16");
    }
    add(Mistake::SecretEncoded, base64(&BASE64, secret).as_slice().to_vec(), "as Base64");
    add(
        Mistake::SecretDecoded,
        super::super::percent::decode(super::super::bytes::Bytes::Lent(secret), false).as_slice().to_vec(),
        "percent-encoding",
    );
    add(Mistake::SecretEmpty, Vec::new(), "");
    all
}

/// Other rules of making a key.
fn rules(rule: &KeyRule, now: UnixMillis) -> Vec<(Mistake, KeyRule, String)> {
    let mut all: Vec<(Mistake, KeyRule, String)> = Vec::new();
    let mut add = |mistake, detail: &str, change: &dyn Fn(&mut KeyRule)| {
        let mut other = rule.clone();
        change(&mut other);
        all.push((mistake, other, detail.to_owned()));
    };
    materials(rule, &mut add);
    for index in 0..rule.derive.len() {
        add(Mistake::DerivationLeftOut, &format!("step {}", index + 1), &|other| drop(other.derive.remove(index)));
        if index + 1 < rule.derive.len() {
            add(Mistake::OtherDerivation, &format!("steps {} and {} in the other order", index + 1, index + 2), &|other| {
                other.derive.swap(index, index + 1);
            });
        }
    }
    if rule.derive.is_empty() {
        return all;
    }
    if rule.derive.len() > 1 {
        add(Mistake::DerivationLeftOut, "none at all", &|other| other.derive.clear());
    }
    for (form, name) in [(KeyText::Bytes, "its bytes"), (KeyText::Hex, "its hexadecimal text"), (KeyText::Base64, "its Base64 text")] {
        if form != rule.derived_as {
            add(Mistake::DerivedKeyForm, name, &|other| other.derived_as = form);
        }
    }
    let day = Duration::from_secs(86_400);
    let days = [("today", now), ("yesterday", now.minus(day)), ("tomorrow", now.plus(day))];
    let mut candidates: Vec<(String, String)> = Vec::new();
    for (name, day) in days {
        let basic = TimeFormat::Amz.write(day);
        candidates.push((basic.chars().take(8).collect(), format!("the date of {name} in UTC")));
        candidates.push((TimeFormat::Iso.write(day).chars().take(10).collect(), format!("the date of {name} with dashes")));
    }
    candidates.extend(REGIONS.into_iter().chain(SERVICES).map(|text| (text.to_owned(), format!("`{text}`"))));
    for (index, derive) in rule.derive.iter().enumerate() {
        let Derive::Text(template) = derive else { continue };
        if !template.iter().any(|piece| matches!(piece, Piece::Value(_))) {
            continue;
        }
        for (text, name) in &candidates {
            add(Mistake::OtherDerivation, &format!("step {} with {name}", index + 1), &|other| {
                if let Some(place) = other.derive.get_mut(index) {
                    *place = Derive::Text([Piece::Text(text.as_bytes().into())].into());
                }
            });
        }
    }
    all
}

/// Other ways to make bytes of the secret.
fn materials(rule: &KeyRule, add: &mut impl FnMut(Mistake, &str, &dyn Fn(&mut KeyRule))) {
    let secret_of = |piece: &Piece| match piece {
        Piece::Value(expr) if matches!(expr.source, Source::Secret) => Some(expr.clone()),
        _ => None,
    };
    let at = |template: &[Piece]| template.iter().enumerate().find_map(|(index, piece)| Some((index, secret_of(piece)?)));
    // Where a condition chooses how the key is made, every way to make it of the secret alone is tried.
    let conditional = || {
        let parts = rule.material.iter().filter_map(|piece| match piece {
            Piece::When { then, .. } => at(then),
            _ => None,
        });
        let expr = parts.map(|(_, expr)| expr).next()?;
        Some((0, Expr { steps: [].into(), ..expr.clone() }, Template::from([Piece::Value(expr)])))
    };
    let found = at(&rule.material).map(|(place, expr)| (place, expr, rule.material.clone())).or_else(conditional);
    let Some((place, expr, template)) = found else { return };
    let with = |steps: &[Step]| -> Template {
        let mut material = template.clone();
        if let Some(piece) = material.get_mut(place) {
            *piece = Piece::Value(Expr { steps: steps.into(), ..expr.clone() });
        }
        material
    };
    let is_decoded = expr.steps.iter().any(|step| matches!(step, Step::Filter(Filter::Unbase64 | Filter::Unbase64Url | Filter::Unhex)));
    let is_plain = expr.steps.is_empty() && template.len() == rule.material.len();
    if !is_plain {
        let mistake = if is_decoded || expr.steps.is_empty() { Mistake::SecretNotDecoded } else { Mistake::StepLeftOut };
        add(mistake, "", &|other| other.material = with(&[]));
    }
    if expr.steps.len() > 1 {
        for (index, step) in expr.steps.iter().enumerate() {
            let mut steps = expr.steps.to_vec();
            steps.remove(index);
            let mistake = match step {
                Step::Filter(Filter::Unbase64 | Filter::Unbase64Url | Filter::Unhex) => Mistake::SecretNotDecoded,
                Step::Filter(Filter::DropPrefix(_) | Filter::StripPrefix(_)) => Mistake::SecretPrefix,
                _ => Mistake::StepLeftOut,
            };
            add(mistake, "", &|other| other.material = with(&steps));
        }
    }
    let more = |filters: &[Filter]| -> Template {
        let steps: Vec<Step> = expr.steps.iter().cloned().chain(filters.iter().cloned().map(Step::Filter)).collect();
        with(&steps)
    };
    if !is_decoded {
        let prefixed = PREFIXES.map(|prefix| Filter::DropPrefix(prefix.as_bytes().into()));
        for (filter, name) in
            [(Filter::Unbase64, "from Base64"), (Filter::Unhex, "from hexadecimal"), (Filter::Unbase64Url, "from Base64 with `-` and `_`")]
        {
            add(Mistake::SecretDecoded, name, &|other| other.material = more(std::slice::from_ref(&filter)));
            let filters: Vec<Filter> = prefixed.iter().cloned().chain([filter.clone()]).collect();
            add(Mistake::SecretDecoded, &format!("{name}, without its prefix"), &|other| other.material = more(&filters));
        }
    }
    for (filters, name) in [
        ([Filter::Digest(Hash::Sha256)].as_slice(), "as its SHA-256"),
        (&[Filter::Digest(Hash::Sha256), Filter::Hex], "as its SHA-256 in hexadecimal"),
        (&[Filter::Digest(Hash::Md5), Filter::Hex], "as its MD5 in hexadecimal"),
        (&[Filter::Hex], "in hexadecimal"),
        (&[Filter::Base64], "as Base64"),
    ] {
        add(Mistake::SecretEncoded, name, &|other| other.material = more(filters));
    }
    if template.len() > 1 {
        for (index, piece) in rule.material.iter().enumerate() {
            let name = match piece {
                Piece::Text(text) => super::visible::quoted(text, 0),
                Piece::Value(_) if index == place => continue,
                _ => format!("part {}", index + 1),
            };
            let mut shorter = rule.material.to_vec();
            shorter.remove(index);
            add(Mistake::KeyPartLeftOut, &format!("without {name}"), &|other| other.material = shorter.clone().into());
        }
        add(Mistake::KeyPartLeftOut, "the secret alone", &|other| {
            other.material = [Piece::Value(Expr { steps: [].into(), ..expr.clone() })].into();
        });
    }
}
