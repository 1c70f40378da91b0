//! The end-to-end tests: the real program, real sockets, one test binary.
//!
//! `COUNTERSIGN_E2E_SCALE=full` repeats the concurrency and kill tests as often as the promises say; the default is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that finds something else than it expects ends there"
)]

mod allow_list;
mod clients;
mod command_line;
mod concurrency;
mod dev;
mod drain;
mod examples;
mod examples_browser;
mod failing;
mod framing;
mod identity;
mod login;
mod message_signatures;
mod profiles;
mod refusals;
mod restart;
mod signed;
mod tidy;
mod tidy_pages;
mod verify;
mod websocket;
