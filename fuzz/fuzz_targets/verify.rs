//! Requests against every built-in profile: nothing that is sent verifies without the secret, and nothing makes the reader fail.
//!
//! The input is the name of a profile (or anything, which stands for one), a method and a target, one a line, lines of headers, an empty line, and a body.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use countersign_core::now::UnixMillis;
use countersign_core::request_view::Scheme;
use countersign_core::secret::SecretText;
use countersign_core::signature::built_in::BUILT_IN;
use countersign_core::signature::{Body, Head, LiveSecret, Profile};
use countersign_fuzz::head;
use libfuzzer_sys::fuzz_target;

static PROFILES: LazyLock<Vec<Profile>> =
    LazyLock::new(|| BUILT_IN.iter().filter_map(|(_, text)| Profile::load(text, &BTreeMap::new()).ok()).collect());

fuzz_target!(|data: &[u8]| {
    let (lines, body) = data.windows(2).position(|two| two == b"\n\n").map_or((data, &b""[..]), |at| (&data[..at], &data[at + 2..]));
    let mut lines = lines.split(|byte| *byte == b'\n');
    let Some(number) = lines.next() else { return };
    let place = number.iter().fold(0usize, |number, byte| number.wrapping_mul(31).wrapping_add(usize::from(*byte))) % PROFILES.len();
    let named = PROFILES.iter().find(|profile| profile.name().as_str().as_bytes() == number);
    let Some(profile) = named.or_else(|| PROFILES.get(place)) else { return };
    let Some((method, target, headers)) = head(lines) else { return };
    let head = Head { method, scheme: Scheme::Https, host: "api.test", target, headers: &headers };
    let Ok(Some(fields)) = profile.find_fields(head) else { return };
    // Base64, hexadecimal and text at once, and nobody can know it.
    let secret = SecretText::new("5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8".to_owned());
    let Ok(live) = LiveSecret::of_any_length(profile, &secret) else { return };
    let now = UnixMillis::from_seconds(1_764_000_000);
    let trace = fields.trace(Body::of(body), &[live], now);
    assert!(trace.judged.is_err(), "{} verified", profile.name());
    assert!(fields.verify(Body::of(body), None, now).is_err());
});
