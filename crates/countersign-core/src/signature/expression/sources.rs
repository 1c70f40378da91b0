//! Reads what an expression starts with: a part of the request, a field, a text.

use std::sync::Arc;

use http::HeaderName;

use super::super::alphabet::Alphabet;
use super::super::coverage::{Parts, Slot};
use super::super::slots::SlotSource;
use super::parse::{BadExpression, Place, Scope, bad, meant};
use super::segments::Segment;
use super::{BodyUse, HeaderNames, Info, Kind, Source};
use crate::nearest::nearest;

impl Scope<'_> {
    /// The source, and what is known of its value.
    pub(super) fn source(&mut self, segment: &Segment<'_>) -> Result<(Source, Info), BadExpression> {
        let plain = |source, info| Ok((source, info));
        if segment.colon {
            return self.source_with_name(segment);
        }
        let (upper, lower) = (Alphabet::of(UPPER), Alphabet::of(LOWER));
        let host = lower.union(Alphabet::of(b"0123456789.-_:[]%!$&'()*+,;=~"));
        let visible = Alphabet::VISIBLE;
        match segment.name {
            "method" => plain(Source::Method, info(Kind::One, upper.union(Alphabet::of(b"-_")), Parts::METHOD)),
            "scheme" => plain(Source::Scheme, info(Kind::One, lower, Parts::SCHEME)),
            "host" => plain(Source::Host, info(Kind::One, host, Parts::HOST)),
            "host_name" => plain(Source::HostName, info(Kind::One, host, Parts::HOST.and(Parts::HOST_NAME))),
            "port" => plain(Source::Port, info(Kind::One, Alphabet::of(DIGITS), Parts::PORT)),
            "target" => plain(Source::Target, begins(info(Kind::One, visible, Parts::PATH.and(Parts::QUERY)), b'/')),
            "path" => plain(Source::Path, begins(info(Kind::One, visible.minus(Alphabet::of(b"?")), Parts::PATH), b'/')),
            "query" => plain(Source::Query, info(Kind::One, visible, Parts::QUERY)),
            "url" => {
                let all = Parts::SCHEME.and(Parts::HOST).and(Parts::PATH).and(Parts::QUERY);
                plain(Source::Url, begins(info(Kind::One, visible, all), b'h'))
            }
            "body" => {
                let body = Info { body: BodyUse::Bytes, ..info(Kind::One, Alphabet::ALL, Parts::BODY) };
                plain(Source::Body, body)
            }
            "secret" if matches!(self.place, Place::Key | Place::Message) => {
                plain(Source::Secret, info(Kind::One, Alphabet::ALL, Parts::NONE))
            }
            "secret" => Err(bad(segment.at.clone(), "the secret can be read in material of [key] and in message only".into())),
            "now" if self.place == Place::Sign => plain(Source::Now, info(Kind::One, Alphabet::of(DIGITS), Parts::NONE)),
            "fresh" if self.place == Place::Sign => plain(Source::Fresh, fixed(info(Kind::One, Alphabet::ALL, Parts::NONE), 16)),
            "key_id" if self.place == Place::Sign => plain(Source::KeyId, info(Kind::One, visible, Parts::NONE)),
            "mac" if self.place == Place::Sign => plain(Source::Mac, info(Kind::One, visible, Parts::NONE)),
            "name" if self.place == Place::Item => plain(Source::ItemName, info(Kind::One, Alphabet::ALL, Parts::NONE)),
            "value" if self.place == Place::Item => plain(Source::ItemValue, info(Kind::One, Alphabet::ALL, Parts::NONE)),
            "pair" if self.place == Place::Item => plain(Source::ItemPair, info(Kind::One, Alphabet::VISIBLE, Parts::NONE)),
            name => self.named(name, segment),
        }
    }

    /// A field, a member of one, a let, a collection.
    fn named(&mut self, name: &str, segment: &Segment<'_>) -> Result<(Source, Info), BadExpression> {
        if let Some((field, member)) = name.split_once('.') {
            let Some((index, of)) = find(self.fields, field) else { return Err(self.unknown(segment, field)) };
            if of.kind != Kind::Map {
                return Err(bad(segment.at.clone(), format!("{field} is {}, and only a map has members", of.kind.words())));
            }
            let (member, many) = member.strip_suffix("[]").map_or((member, false), |member| (member, true));
            let slot = self.slot(SlotSource::Member(index, member.to_ascii_lowercase().into()), segment)?;
            let reads = Parts::slot(slot).and(of.reads);
            let kind = if many { Kind::Many } else { Kind::One };
            let pattern = self.patterns.get(index).and_then(Option::as_ref);
            let alphabet = pattern.map_or(of.alphabet, |pattern| pattern.alphabet(member, of.alphabet));
            let info =
                Info { kind, alphabet, length: None, reads, body: of.body, begins: None, ends_itself: false, lines: None, pieces: 1 };
            return Ok((if many { Source::Members(index, slot) } else { Source::Member(index, slot) }, info));
        }
        if self.place == Place::Sign
            && let Some((index, info)) = find(self.signed, name)
        {
            return Ok((Source::Signed(index), info));
        }
        if let Some((index, info)) = find(self.fields, name) {
            return Ok((Source::Field(index), info));
        }
        if let Some((index, info)) = find(self.lets, name) {
            return Ok((Source::Let(index), reading(info)));
        }
        if let Some((index, info)) = find(self.collections, name) {
            return Ok((Source::Collection(index), reading(info)));
        }
        Err(self.unknown(segment, name))
    }

    fn source_with_name(&mut self, segment: &Segment<'_>) -> Result<(Source, Info), BadExpression> {
        let argument = segment.one_argument();
        let header = |name: &str| {
            let lower = name.to_ascii_lowercase();
            lower.parse::<HeaderName>().map_err(|_| bad(segment.at.clone(), format!("{name:?} is not a header name")))
        };
        let names_one = || argument.clone().ok_or_else(|| bad(segment.at.clone(), format!("write {}:NAME", segment.name)));
        match segment.name {
            "header" => {
                let name = header(&names_one()?)?;
                if name == http::header::HOST {
                    return Ok((Source::HostHeader, info(Kind::One, Alphabet::VISIBLE, Parts::HOST)));
                }
                let slot = self.slot(SlotSource::Header(name), segment)?;
                Ok((Source::Header(slot), info(Kind::One, Alphabet::HEADER, Parts::slot(slot))))
            }
            "headers" => {
                let mut names = Vec::new();
                for name in &segment.arguments {
                    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                    names.push(match name.strip_suffix('*') {
                        Some(prefix) if !prefix.is_empty() => HeaderNames::Prefix(prefix.into()),
                        _ => HeaderNames::Name(header(&name)?),
                    });
                }
                if names.is_empty() {
                    return Err(bad(segment.at.clone(), "write headers:NAME,NAME or headers:PREFIX*".into()));
                }
                Ok((Source::Headers(names.into()), info(Kind::Many, Alphabet::HEADER, Parts::UNTRACED)))
            }
            "query" => {
                let slot = self.slot(SlotSource::Query(names_one()?.into()), segment)?;
                Ok((Source::QueryParameter(slot), info(Kind::One, Alphabet::ALL, Parts::slot(slot).and(Parts::QUERY))))
            }
            "form" => {
                let slot = self.slot(SlotSource::Form(names_one()?.into()), segment)?;
                let info = info(Kind::One, Alphabet::ALL, Parts::slot(slot).and(Parts::BODY));
                // Who trusts that a parameter is absent trusts what says that the body is a form.
                self.slot(SlotSource::Header(http::header::CONTENT_TYPE), segment)?;
                Ok((Source::FormParameter(slot), Info { body: BodyUse::Bytes, ..info }))
            }
            "const" => {
                let name = names_one()?;
                let Some(value) = self.constants.get(&name) else {
                    let known = nearest(&name, self.constants.keys().map(String::as_str));
                    return Err(bad(segment.at.clone(), format!("there is no constant {name}{}", meant(known))));
                };
                let info = fixed(info(Kind::One, Alphabet::of(value), Parts::NONE), value.len());
                Ok((Source::Text(Arc::clone(value)), info))
            }
            "attribute" if matches!(self.place, Place::Key | Place::Require | Place::Sign) => {
                let name = names_one()?;
                let Some(index) = self.attributes.iter().position(|known| *known == name) else {
                    return Err(bad(segment.at.clone(), format!("{name} is not in attributes of [key]")));
                };
                Ok((Source::Attribute(index), info(Kind::One, Alphabet::ALL, Parts::NONE)))
            }
            "attribute" => Err(bad(
                segment.at.clone(),
                "attributes of a credential can be read in material of [key], [[require]] and [[sign]] only".into(),
            )),
            other => Err(self.unknown(segment, other)),
        }
    }

    fn slot(&mut self, source: SlotSource, segment: &Segment<'_>) -> Result<Slot, BadExpression> {
        let most = || bad(segment.at.clone(), format!("a profile names at most {} headers, parameters, fields and members", Slot::MOST));
        self.slots.intern(source).ok_or_else(most)
    }

    fn unknown(&self, segment: &Segment<'_>, name: &str) -> BadExpression {
        let known =
            SOURCES.into_iter().chain([self.fields, self.lets, self.collections].into_iter().flatten().map(|(name, _)| name.as_str()));
        bad(
            segment.at.clone(),
            format!(
                "there is no source, field, let or collection {name}{}; fields and lets must stand above their use",
                meant(nearest(name, known))
            ),
        )
    }
}

const fn info(kind: Kind, alphabet: Alphabet, reads: Parts) -> Info {
    Info { kind, alphabet, length: None, reads, body: BodyUse::None, begins: None, ends_itself: false, lines: None, pieces: 1 }
}

/// What is made anew wherever it is read.
const fn reading(mut info: Info) -> Info {
    info.pieces = info.pieces.saturating_add(1);
    info
}

const fn fixed(mut info: Info, length: usize) -> Info {
    info.length = Some(length);
    info
}

const fn begins(mut info: Info, byte: u8) -> Info {
    info.begins = Some(byte);
    info
}

fn find(list: &[(String, Info)], name: &str) -> Option<(usize, Info)> {
    list.iter().enumerate().find(|(_, (known, _))| known == name).map(|(index, (_, info))| (index, *info))
}

/// Whether what is called so could be read at `place`: a source of the same name is read before it, and an expression ends at
/// most other characters.
pub(in super::super) fn can_be_read(name: &str, place: Place) -> bool {
    let first = ["method", "scheme", "host", "host_name", "port", "target", "path", "query", "url", "body", "secret"];
    let first_in_sign = ["now", "fresh", "key_id", "mac"];
    let is_hidden = first.contains(&name) || (place == Place::Sign && first_in_sign.contains(&name));
    !is_hidden && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
const SOURCES: [&str; 18] = [
    "method",
    "scheme",
    "host",
    "host_name",
    "port",
    "target",
    "path",
    "query",
    "url",
    "body",
    "header",
    "headers",
    "form",
    "const",
    "secret",
    "attribute",
    "now",
    "fresh",
];
