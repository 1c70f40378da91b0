//! What is taken out of an explanation: what would let its reader send the request again.

use countersign_core::signature::{Profile, Trace};

/// Leaves of each MAC only its beginning, wherever a field holds it: a request that was refused can become good by waiting. And
/// takes out secrets of ours.
pub(super) fn hide_macs(trace: &mut Trace, profile: &Profile) {
    let name = profile.mac_field();
    let is_mac = |field: &str| field.strip_suffix("[]").unwrap_or(field) == name;
    let macs: Vec<Vec<u8>> =
        trace.fields.iter().filter(|(field, mac)| is_mac(field) && !mac.is_empty()).map(|(_, mac)| mac.clone()).collect();
    for (_, value) in &mut trace.fields {
        for mac in &macs {
            if let Some(at) = value.windows(mac.len()).position(|part| part == mac) {
                let beginning = std::str::from_utf8(mac).ok().and_then(|mac| mac.get(..8)).unwrap_or_default();
                value.splice(at..at + mac.len(), format!("{beginning}<signature>").into_bytes());
            }
        }
    }
    let named = trace.fields.iter_mut().chain(&mut trace.pieces).map(|(_, text)| text);
    for bytes in named.chain(&mut trace.strings_to_sign) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            *bytes = without_secrets(text).into_bytes();
        }
    }
}

/// A text without secrets of ours, which clients put where a key id belongs.
pub(super) fn without_secrets(text: &str) -> String {
    let mut shown = text.to_owned();
    for prefix in ["css_", "csk_"] {
        let mut from = 0;
        while let Some(at) = shown.get(from..).and_then(|rest| rest.find(prefix)).map(|at| at + from) {
            let body = at + prefix.len();
            let length = shown.get(body..).unwrap_or_default().bytes().take_while(u8::is_ascii_alphanumeric).count();
            from = body;
            if length >= 32 {
                shown.replace_range(body..body + length, "<secret>");
                from = body + "<secret>".len();
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_wherever_they_stand() {
        let secret = format!("css_{}", "0a".repeat(36));
        assert_eq!(without_secrets(&format!("a {secret}&csk_{} css_short", "1".repeat(40))), "a css_<secret>&csk_<secret> css_short");
        assert_eq!(without_secrets("css_"), "css_");
    }
}
