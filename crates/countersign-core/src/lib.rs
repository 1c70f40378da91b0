//! The pure centre of Countersign: it reads requests, checks credentials and decides.
//!
//! Nothing here does I/O, waits, reads a clock or rolls dice: facts, the time and fresh bytes come in as arguments, and a
//! proof, a decision or a refusal goes out. That is what makes every rule testable to the last corner.
//!
//! The modules in reading order:

// Values.
pub mod code;
pub mod directory;
pub mod fresh;
pub mod id;
pub mod nearest;
pub mod network;
pub mod now;
pub mod path_pattern;
pub mod principal;
pub mod secret;

// Reading the request.
pub mod connection_headers;
pub mod forwarded;
pub mod head;
pub mod header_check;
pub mod hearsay;
pub mod host;
mod path_check;
pub mod presented;
pub mod request_view;

// Checking credentials.
pub mod access_token;
pub mod api_key;
pub mod password;
pub mod refresh_answer;
pub mod sealed;
pub mod signature;
pub mod verified;

// Deciding.
pub mod allow_list;
pub mod decide;
pub mod refresh;
pub mod replay;
pub mod routes;
pub mod rule;
pub mod throttle;

// Saying it.
pub mod audit;
pub mod challenge;
pub mod identity_headers;
