//! Profiles, whole requests, published values.

mod attacks;
mod boundaries;
mod holes;
mod holes_of_collections;
mod holes_of_keys;
mod holes_of_lists;
mod language;
mod message_signatures;
mod native;
mod profiles;
mod promise;
mod published;
mod reach;
