//! Profiles, whole requests, published values.

mod holes;
mod language;
mod native;
mod profiles;
mod published;
