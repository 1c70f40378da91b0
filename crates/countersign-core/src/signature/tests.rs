//! Profiles, whole requests, published values.

mod attacks;
mod holes;
mod language;
mod message_signatures;
mod native;
mod profiles;
mod published;
mod reach;
