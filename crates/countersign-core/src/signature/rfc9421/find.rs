//! Reading `Signature-Input` and `Signature` (RFC 9421 section 4).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::component::write_parameter;
use super::strict::twice;
use super::{Found, MOST_LABELS, MOST_PARAMETERS, Wrong, start_of};
use crate::code::{Code, Refusal};

const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// Reads all signatures of a request, in the order of `Signature-Input`, then what stands in `Signature` alone. None when
/// neither field was sent.
///
/// A field may come in several lines, which are one dictionary (RFC 9651 section 4.2); a string that is split over two of
/// them is refused. What is wrong with one signature stays with it, and [`choose`] says it if that is the one that counts.
///
/// # Errors
///
/// `signature_malformed`: a field that is not a dictionary; more than [`MOST_LABELS`], [`MOST_PARAMETERS`] or
/// `MOST_COMPONENTS`.
pub fn find(headers: &HeaderMap) -> Result<Vec<Found<'_>>, Refusal> {
    let mut inputs = Inputs(Vec::new());
    for line in headers.get_all(SIGNATURE_INPUT) {
        let parser = Parser::new(line.as_bytes());
        inputs = parser.parse_dictionary_with_visitor(inputs).map_err(|error| Wrong::from(format!("Signature-Input: {error}")))?;
    }
    let mut signatures = Signatures(Vec::new());
    for line in headers.get_all(SIGNATURE) {
        let parser = Parser::new(line.as_bytes());
        signatures = parser.parse_dictionary_with_visitor(signatures).map_err(|error| Wrong::from(format!("Signature: {error}")))?;
    }
    let (mut found, mut signatures) = (inputs.0, signatures.0);
    for one in &mut found {
        let at = signatures.iter().position(|(label, _)| *label == one.label);
        match at.map(|at| signatures.swap_remove(at).1) {
            Some(Ok(mac)) => one.mac = mac,
            Some(Err(wrong)) => one.is_wrong(wrong),
            None => one.is_wrong(format!("{} is in Signature-Input but not in Signature", start_of(one.label)).into()),
        }
    }
    found.extend(signatures.into_iter().map(|(label, _)| {
        let mut lone = Found::new(label);
        lone.without_input = true;
        lone.is_wrong(format!("{} is in Signature but not in Signature-Input", start_of(label)).into());
        lone
    }));
    Ok(found)
}

/// Chooses the one signature that has the wanted tag and label, where they are wanted.
///
/// # Errors
///
/// `ambiguous_credentials` when several have; `signature_malformed` when the chosen one is malformed or covers what is not
/// known here, or when there is none but half of one that may have been meant. Others are not judged: they are for somebody
/// else.
pub fn choose<'v>(found: Vec<Found<'v>>, tag: Option<&str>, label: Option<&str>) -> Result<Option<Found<'v>>, Refusal> {
    let (lone, whole): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.without_input);
    let is_named = |one: &Found<'_>| label.is_none_or(|label| one.label == label);
    let mut fitting = whole.into_iter().filter(|one| is_named(one) && tag.is_none_or(|tag| one.tag() == Some(tag)));
    let Some(chosen) = fitting.next() else {
        // Its tag is not known, so it may be ours.
        let wrong = lone.into_iter().find(is_named).and_then(|lone| lone.covered.wrong);
        return wrong.map_or(Ok(None), |wrong| Err(wrong.into()));
    };
    if let Some(other) = fitting.next() {
        let labels = (start_of(chosen.label), start_of(other.label));
        return Err(Refusal::with(Code::AmbiguousCredentials, format!("both {} and {} are for this gateway", labels.0, labels.1)));
    }
    match &chosen.covered.wrong {
        Some(wrong) => Err(wrong.clone().into()),
        None => Ok(Some(chosen)),
    }
}

/// The members of `Signature-Input`.
struct Inputs<'v>(Vec<Found<'v>>);

impl<'v> DictionaryVisitor<'v> for Inputs<'v> {
    type Out = Self;
    type Error = Wrong;

    fn entry(&mut self, label: &'v KeyRef) -> Result<impl EntryVisitor<'v>, Wrong> {
        let label = label.as_str();
        let known = self.0.iter().position(|one| one.label == label);
        let mut one = Found::new(label);
        if let Some(known) = known {
            self.0.remove(known);
            one.is_wrong(twice(label));
        }
        room_for_one_more(self.0.len())?;
        Ok(Input(self.0.push_mut(one)))
    }

    fn finish(self) -> Result<Self, Wrong> {
        Ok(self)
    }
}

fn room_for_one_more(count: usize) -> Result<(), Wrong> {
    if count >= MOST_LABELS { Err(format!("more than {MOST_LABELS} signatures").into()) } else { Ok(()) }
}

/// One member of `Signature-Input`: the covered components, then the parameters of the signature.
struct Input<'f, 'v>(&'f mut Found<'v>);

impl<'v> EntryVisitor<'v> for Input<'_, 'v> {
    type Error = Wrong;

    fn item(self) -> Result<impl ItemVisitor<'v>, Wrong> {
        self.0.is_wrong(format!("{} must be the covered components in parentheses", start_of(self.0.label)).into());
        Ok(Ignored)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'v>, Wrong> {
        self.0.covered.open();
        Ok(self)
    }
}

impl<'v> InnerListVisitor<'v> for Input<'_, 'v> {
    type Error = Wrong;

    fn item(&mut self) -> Result<impl ItemVisitor<'v>, Wrong> {
        self.0.covered.item()
    }

    fn finish(self) -> Result<impl ParameterVisitor<'v>, Wrong> {
        self.0.covered.close();
        Ok(Parameters { found: self.0, keys: Vec::new() })
    }
}

struct Parameters<'f, 'v> {
    found: &'f mut Found<'v>,
    keys: Vec<&'v str>,
}

impl<'v> ParameterVisitor<'v> for Parameters<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn parameter(&mut self, key: &'v KeyRef, value: BareItemFromInput<'v>) -> Result<(), Wrong> {
        let (key, found) = (key.as_str(), &mut *self.found);
        if self.keys.len() >= MOST_PARAMETERS {
            return Err(format!("more than {MOST_PARAMETERS} parameters").into());
        }
        if self.keys.contains(&key) {
            found.is_wrong(twice(key));
        }
        self.keys.push(key);
        // Unknown ones are signed as they came.
        write_parameter(key, &value, &mut found.covered.text);
        if let Err(wrong) = found.take(key, value) {
            found.is_wrong(wrong);
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Wrong> {
        Ok(())
    }
}

impl<'v> Found<'v> {
    /// What is wrong with it: judged when it is chosen. The first thing counts.
    fn is_wrong(&mut self, wrong: Wrong) {
        self.covered.wrong.get_or_insert(wrong);
    }

    fn take(&mut self, key: &str, value: BareItemFromInput<'v>) -> Result<(), Wrong> {
        match key {
            "created" => self.created = Some(seconds("created", &value)?),
            "expires" => self.expires = Some(seconds("expires", &value)?),
            "nonce" => self.nonce = Some(text("nonce", value)?),
            "alg" => self.alg = Some(text("alg", value)?),
            "keyid" => self.keyid = Some(text("keyid", value)?),
            "tag" => {
                // Without its quotes it is wrong, and still says for whom the signature is.
                if let BareItemFromInput::Token(tag) = &value {
                    self.tag = Some(Cow::Owned(tag.as_str().to_owned()));
                }
                self.tag = Some(text("tag", value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn seconds(name: &str, value: &BareItemFromInput<'_>) -> Result<i64, Wrong> {
    let seconds = value.as_integer().map(i64::from).filter(|seconds| *seconds >= 0);
    seconds.ok_or_else(|| format!("{name} must be whole seconds of Unix time").into())
}

fn text<'v>(name: &str, value: BareItemFromInput<'v>) -> Result<Cow<'v, str>, Wrong> {
    match value {
        BareItemFromInput::String(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_str())),
        BareItemFromInput::String(Cow::Owned(text)) => Ok(Cow::Owned(text.into())),
        _ => Err(format!("{name} must be a string in double quotes").into()),
    }
}

/// The members of `Signature`, or what is wrong with each.
struct Signatures<'v>(Vec<(&'v str, Result<Vec<u8>, Wrong>)>);

impl<'v> DictionaryVisitor<'v> for Signatures<'v> {
    type Out = Self;
    type Error = Wrong;

    fn entry(&mut self, label: &'v KeyRef) -> Result<impl EntryVisitor<'v>, Wrong> {
        let label = label.as_str();
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| *known == label) {
            *known = Err(twice(label));
            return Ok(None);
        }
        room_for_one_more(self.0.len())?;
        Ok(Some(Signature(self.0.push_mut((label, Err(not_bytes(label)))))))
    }

    fn finish(self) -> Result<Self, Wrong> {
        Ok(self)
    }
}

/// One member of `Signature`. It has no parameters that mean anything.
struct Signature<'f, 'v>(&'f mut (&'v str, Result<Vec<u8>, Wrong>));

fn not_bytes(label: &str) -> Wrong {
    format!("{} must be base64 between colons", start_of(label)).into()
}

impl<'v> EntryVisitor<'v> for Signature<'_, 'v> {
    type Error = Wrong;

    fn item(self) -> Result<impl ItemVisitor<'v>, Wrong> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'v>, Wrong> {
        Ok(Ignored)
    }
}

impl<'v> ItemVisitor<'v> for Signature<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn bare_item(self, item: BareItemFromInput<'v>) -> Result<impl ParameterVisitor<'v, Out = ()>, Wrong> {
        if let BareItemFromInput::ByteSequence(bytes) = item {
            self.0.1 = Ok(bytes);
        }
        Ok(Ignored)
    }
}
