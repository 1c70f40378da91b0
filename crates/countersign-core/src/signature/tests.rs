//! Profiles, whole requests, published values.

mod native;
mod published;
mod language;
