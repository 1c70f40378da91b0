//! Signed requests: who signed, what the signature covers, and what has to be claimed so that it is used once.
//!
//! A scheme is data: a [`Profile`], which [`load`] reads from its file. One interpreter runs them all.
//!
//! - `profile`, `rules`, `trust`, `load`: a scheme in compiled form; what its sections say; what decides about its values; reading
//!   it, with every check that needs no request.
//! - `expression`, `evaluate`, `sources`, `value`: the language of profiles, compiled; its values with their provenance.
//! - `collection`, `collect`, `items`, `reach`: text made of many headers or parameters, and how much of them it signs.
//! - `alphabet`, `bytes`, `filter`, `encoding`, `shape`, `time_format`, `pick`, `params`, `parameters`, `json_pointer`: its words.
//! - `delimiting`: whether a text could be read in two ways.
//! - `coverage`, `slots`: which parts of a request a signature reaches.
//! - `fields`, `times`, `secret`, `verify`, `requirements`, `claims`: what a request shows; when it was signed; the keys; the
//!   judgement; what must hold beside the MAC, with the coverage rule; what is used once.
//! - `rfc9421`: HTTP Message Signatures, the one scheme that is not a template.
//! - `request`, `body`: the request as profiles read it.
//! - `signing`, `trace`: the same interpreter, to sign and to explain.
//! - `diagnose`: which known mistake makes a refused signature verify.
//!
//! The way of a signed request: [`Profile::find_fields`], [`Fields::check_time`] before the body is read, [`Fields::verify`],
//! then the caller claims [`MacGood::claim`] and gives what came of it to [`MacGood::finish`]. Only that makes a proof.

mod alphabet;
pub mod body;
pub mod built_in;
mod bytes;
mod claims;
mod collect;
mod collection;
pub mod content_digest;
pub mod coverage;
mod delimiting;
mod detect;
pub mod diagnose;
mod encoding;
mod evaluate;
mod expression;
mod fields;
mod filter;
mod hash;
mod items;
mod json_pointer;
pub mod load;
mod message_signatures;
mod parameters;
mod params;
mod percent;
mod pick;
mod profile;
mod reach;
pub mod request;
mod requirements;
pub mod rfc9421;
pub mod rules;
mod secret;
mod shape;
pub mod signing;
mod slots;
mod sources;
mod text;
mod time_format;
mod time_pattern;
mod times;
pub mod trace;
mod trust;
mod value;
mod verify;

pub use body::{BodyDigest, BodyHasher, uncovered_header};
pub use content_digest::{ContentDigest, WANT_CONTENT_DIGEST, content_digest};
pub use expression::BodyUse;
pub use fields::Fields;
pub use profile::Profile;
pub use request::{Body, Head};
pub use secret::{BadSecret, LiveKey, LiveSecret};
pub use trace::Trace;
pub use verify::MacGood;

#[cfg(test)]
mod tests;
