//! Reading `Signature-Input` and `Signature` (RFC 9421 section 4).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::component::write_parameter;
use super::strict::once;
use super::{Found, MOST_LABELS, MOST_PARAMETERS, Wrong, start_of};
use crate::code::{Code, Refusal};

const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// Reads all signatures of a request, in the order of `Signature-Input`. None when neither field was sent.
///
/// A field may come in several lines, which are one dictionary (RFC 9651 section 4.2); a string that is split over two of
/// them is refused.
///
/// # Errors
///
/// `signature_malformed`: a field that is not a dictionary of the right types; a label, or a parameter of a signature, that
/// comes twice; labels that are not the same in both fields; more than [`MOST_LABELS`] of them.
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
        let at = at.ok_or_else(|| Wrong::from(format!("{} is in Signature-Input but not in Signature", start_of(one.label))))?;
        one.mac = signatures.swap_remove(at).1;
    }
    match signatures.first() {
        Some((label, _)) => Err(Wrong::from(format!("{} is in Signature but not in Signature-Input", start_of(label))).into()),
        None => Ok(found),
    }
}

/// Chooses the one signature that has the wanted tag and label, where they are wanted.
///
/// # Errors
///
/// `ambiguous_credentials` when several have; `signature_malformed` when the chosen one covers what is not known here. What
/// others cover is not judged: they are for somebody else.
pub fn choose<'v>(found: Vec<Found<'v>>, tag: Option<&str>, label: Option<&str>) -> Result<Option<Found<'v>>, Refusal> {
    let wanted = |one: &Found<'_>| tag.is_none_or(|tag| one.tag() == Some(tag)) && label.is_none_or(|label| one.label == label);
    let mut fitting = found.into_iter().filter(wanted);
    let Some(chosen) = fitting.next() else { return Ok(None) };
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
        room_for(label, self.0.iter().map(|one| one.label))?;
        Ok(Input(self.0.push_mut(Found::new(label))))
    }

    fn finish(self) -> Result<Self, Wrong> {
        Ok(self)
    }
}

/// Labels must differ, and there are at most so many.
fn room_for<'v>(label: &str, mut others: impl ExactSizeIterator<Item = &'v str>) -> Result<(), Wrong> {
    if others.len() >= MOST_LABELS {
        return Err(format!("more than {MOST_LABELS} signatures").into());
    }
    if others.any(|other| other == label) { Err(format!("{} comes twice", start_of(label)).into()) } else { Ok(()) }
}

/// One member of `Signature-Input`: the covered components, then the parameters of the signature.
struct Input<'f, 'v>(&'f mut Found<'v>);

impl<'v> EntryVisitor<'v> for Input<'_, 'v> {
    type Error = Wrong;

    fn item(self) -> Result<impl ItemVisitor<'v>, Wrong> {
        Err::<Ignored, _>(format!("{} must be the covered components in parentheses", start_of(self.0.label)).into())
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
        once(&mut self.keys, key.as_str(), MOST_PARAMETERS)?;
        // Unknown ones are signed as they came.
        write_parameter(key.as_str(), &value, &mut self.found.covered.text);
        match key.as_str() {
            "created" => self.found.created = Some(seconds("created", &value)?),
            "expires" => self.found.expires = Some(seconds("expires", &value)?),
            "nonce" => self.found.nonce = Some(text("nonce", value)?),
            "alg" => self.found.alg = Some(text("alg", value)?),
            "keyid" => self.found.keyid = Some(text("keyid", value)?),
            "tag" => self.found.tag = Some(text("tag", value)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Wrong> {
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

/// The members of `Signature`.
struct Signatures<'v>(Vec<(&'v str, Vec<u8>)>);

impl<'v> DictionaryVisitor<'v> for Signatures<'v> {
    type Out = Self;
    type Error = Wrong;

    fn entry(&mut self, label: &'v KeyRef) -> Result<impl EntryVisitor<'v>, Wrong> {
        let label = label.as_str();
        room_for(label, self.0.iter().map(|(label, _)| *label))?;
        Ok(Signature { label, list: &mut self.0 })
    }

    fn finish(self) -> Result<Self, Wrong> {
        Ok(self)
    }
}

/// One member of `Signature`. It has no parameters that mean anything.
struct Signature<'f, 'v> {
    label: &'v str,
    list: &'f mut Vec<(&'v str, Vec<u8>)>,
}

impl Signature<'_, '_> {
    fn not_bytes(&self) -> Wrong {
        format!("{} must be base64 between colons", start_of(self.label)).into()
    }
}

impl<'v> EntryVisitor<'v> for Signature<'_, 'v> {
    type Error = Wrong;

    fn item(self) -> Result<impl ItemVisitor<'v>, Wrong> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'v>, Wrong> {
        Err::<Ignored, _>(self.not_bytes())
    }
}

impl<'v> ItemVisitor<'v> for Signature<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn bare_item(self, item: BareItemFromInput<'v>) -> Result<impl ParameterVisitor<'v, Out = ()>, Wrong> {
        let BareItemFromInput::ByteSequence(bytes) = item else { return Err(self.not_bytes()) };
        self.list.push((self.label, bytes));
        Ok(Ignored)
    }
}
