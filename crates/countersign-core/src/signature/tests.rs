//! Profiles, whole requests, published values.

mod language;
mod profiles;
mod published;
