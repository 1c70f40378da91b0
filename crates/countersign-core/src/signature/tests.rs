//! Profiles, whole requests, published values.

mod language;
mod native;
mod profiles;
mod published;
