//! Profiles, whole requests, published values.

mod published;
