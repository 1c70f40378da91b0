//! Profiles, whole requests, published values.

mod attacks;
mod holes;
mod language;
mod native;
mod profiles;
mod published;
mod reach;
