//! Profiles, whole requests, published values.

mod attacks;
mod language;
mod native;
mod profiles;
mod published;
