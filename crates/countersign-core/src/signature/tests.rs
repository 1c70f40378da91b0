//! Profiles, whole requests, published values.

mod published;
mod language;
