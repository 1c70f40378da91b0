//! Writing signatures, and asking for them.
//!
//! To sign: [`to_sign`] makes a signature without its bytes. Its [`Found::signature_input`] goes into the request, the MAC of
//! its `signature_base` over that request into `Signature` by [`signature`]. So what signs is what verifies.

use std::borrow::Cow;

use sfv::{DictSerializer, Integer, KeyRef, StringRef};

use super::Found;
use super::component::{Covered, write_parameter};

/// The parameters of a signature that is to be made. They are written in this order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Params<'a> {
    /// When it is made, in seconds of Unix time.
    pub created: Option<i64>,
    /// When it ends, in seconds of Unix time.
    pub expires: Option<i64>,
    /// What makes it distinct.
    pub nonce: Option<&'a str>,
    /// What names the key.
    pub keyid: Option<&'a str>,
    /// The algorithm: `hmac-sha256`. Better left to the key.
    pub alg: Option<&'a str>,
    /// What application it is for.
    pub tag: Option<&'a str>,
}

/// What is wanted of a signature (RFC 9421 section 5.1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Whether it must say when it was made.
    pub created: bool,
    /// Whether it must say when it ends.
    pub expires: bool,
    /// The key that it must be made with.
    pub keyid: Option<&'a str>,
    /// The algorithm.
    pub alg: Option<&'a str>,
    /// The tag.
    pub tag: Option<&'a str>,
}

/// A text cannot be written in a structured field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotWrite {
    /// The label.
    #[error("a label is a-z, 0-9, _, -, . and *, and does not start with 0-9, _, - or .")]
    Label,
    /// The named parameter.
    #[error("{0} must be visible ASCII and spaces")]
    Text(&'static str),
    /// The named time.
    #[error("{0} must be between 0 and 999999999999999")]
    Time(&'static str),
}

/// A signature over `covered` that is still to be made.
///
/// # Errors
///
/// Parameters or a label that cannot be written.
pub fn to_sign<'a>(label: &'a str, covered: &Covered, params: &Params<'a>) -> Result<Found<'a>, CannotWrite> {
    KeyRef::from_str(label).map_err(|_| CannotWrite::Label)?;
    let mut covered = covered.clone();
    for (name, seconds) in [("created", params.created), ("expires", params.expires)] {
        let Some(seconds) = seconds else { continue };
        let seconds = Integer::try_from(seconds).ok().filter(|_| seconds >= 0).ok_or(CannotWrite::Time(name))?;
        write_parameter(name, seconds, &mut covered.text);
    }
    for (name, text) in [("nonce", params.nonce), ("keyid", params.keyid), ("alg", params.alg), ("tag", params.tag)] {
        let Some(text) = text else { continue };
        let text = StringRef::from_str(text).map_err(|_| CannotWrite::Text(name))?;
        write_parameter(name, text, &mut covered.text);
    }
    Ok(Found {
        covered,
        created: params.created,
        expires: params.expires,
        nonce: params.nonce.map(Cow::Borrowed),
        alg: params.alg.map(Cow::Borrowed),
        keyid: params.keyid.map(Cow::Borrowed),
        tag: params.tag.map(Cow::Borrowed),
        ..Found::new(label)
    })
}

/// The value of `Signature`.
///
/// # Errors
///
/// A label that cannot be written.
pub fn signature(label: &str, mac: &[u8]) -> Result<String, CannotWrite> {
    let label = KeyRef::from_str(label).map_err(|_| CannotWrite::Label)?;
    let mut fields = DictSerializer::new();
    fields.bare_item(label, mac);
    Ok(fields.finish().unwrap_or_default())
}

/// The value of `Accept-Signature`: asks for a signature over `covered`, at least (RFC 9421 section 5.1).
///
/// # Errors
///
/// A label or a text that cannot be written.
pub fn accept_signature(label: &str, covered: &Covered, asked: &Asked<'_>) -> Result<String, CannotWrite> {
    let texts = Params { keyid: asked.keyid, alg: asked.alg, tag: asked.tag, ..Params::default() };
    let mut written = to_sign(label, covered, &texts)?.signature_input();
    // Without values: they are the client's to choose.
    for (flag, asked) in [(";created", asked.created), (";expires", asked.expires)] {
        written.push_str(if asked { flag } else { "" });
    }
    Ok(written)
}
