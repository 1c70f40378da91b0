//! Changes to entries, judged before they are stored. Pure: the store keeps what comes out of here.

use super::{Entry, Methods};
use crate::id::{EntryId, ListName};
use crate::network::Network;
use crate::now::UnixMillis;
use crate::path_pattern::PathPattern;
use crate::principal::PrincipalId;
use std::net::IpAddr;

/// What an editor decides about an entry; the rest of it is kept by the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// From where.
    pub network: Network,
    /// Says that a network as wide as this is meant: see [`Draft::WIDEST_V4`].
    pub wide: bool,
    /// With which methods; all when empty.
    pub methods: Methods,
    /// To which paths; all when absent.
    pub path: Option<PathPattern>,
    /// For whom; everybody when absent.
    pub principal: Option<PrincipalId>,
    /// What people want to know about it later.
    pub note: String,
    /// From when it counts; at once when absent.
    pub valid_from: Option<UnixMillis>,
    /// Until when it counts, exclusive; for good when absent.
    pub valid_until: Option<UnixMillis>,
    /// Whether it counts at all.
    pub enabled: bool,
}

/// A field that cannot stay as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadField {
    /// The field, as the admin API calls it.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Draft {
    /// The shortest IPv4 prefix that needs no confirmation.
    pub const WIDEST_V4: u8 = 8;
    /// The shortest IPv6 prefix that needs no confirmation.
    pub const WIDEST_V6: u8 = 16;
    /// The longest note, in characters.
    pub const LONGEST_NOTE: usize = 500;

    /// A draft that lets everything from `network` in, for good.
    pub const fn of(network: Network) -> Self {
        Self {
            network,
            wide: false,
            methods: Methods::ALL,
            path: None,
            principal: None,
            note: String::new(),
            valid_from: None,
            valid_until: None,
            enabled: true,
        }
    }

    /// Every field that cannot stay as it is.
    fn bad_fields(&self) -> Vec<BadField> {
        let mut bad = Vec::new();
        let widest = if matches!(self.network.address(), IpAddr::V4(_)) { Self::WIDEST_V4 } else { Self::WIDEST_V6 };
        if self.network.length() < widest && !self.wide {
            bad.push(BadField {
                field: "network",
                message: format!("{} is wider than /{widest}; if that is meant, say so with \"wide\": true", self.network),
            });
        }
        if self.note.chars().count() > Self::LONGEST_NOTE {
            bad.push(BadField { field: "note", message: format!("a note has at most {} characters", Self::LONGEST_NOTE) });
        }
        if self.note.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            bad.push(BadField { field: "note", message: "a note has no control characters".to_owned() });
        }
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && until <= from
        {
            bad.push(BadField { field: "valid_until", message: "the end is not after the beginning".to_owned() });
        }
        bad
    }
}

/// A new entry.
pub fn add(draft: Draft, id: EntryId, list: ListName, created_by: String, now: UnixMillis) -> Result<Entry, Vec<BadField>> {
    let mut bad = draft.bad_fields();
    // An entry that never counts is a mistake when it is made; one that has ended may still be edited.
    if draft.valid_until.is_some_and(|until| until <= now) {
        bad.push(BadField { field: "valid_until", message: "the end has already passed".to_owned() });
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    Ok(filled(draft, id, list, 1, created_by, now))
}

/// The entry as it becomes: what the draft says, with the identity and history of `current`.
pub fn apply(current: &Entry, draft: Draft) -> Result<Entry, Vec<BadField>> {
    let bad = draft.bad_fields();
    if !bad.is_empty() {
        return Err(bad);
    }
    let version = current.version.saturating_add(1);
    Ok(filled(draft, current.id.clone(), current.list.clone(), version, current.created_by.clone(), current.created))
}

fn filled(draft: Draft, id: EntryId, list: ListName, version: u64, created_by: String, created: UnixMillis) -> Entry {
    let Draft { network, wide: _, methods, path, principal, note, valid_from, valid_until, enabled } = draft;
    Entry { id, list, version, network, methods, path, principal, note, created_by, created, valid_from, valid_until, enabled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(change: impl FnOnce(&mut Draft)) -> Result<Entry, Vec<BadField>> {
        let mut draft = Draft::of("10.0.0.0/8".parse().unwrap());
        change(&mut draft);
        add(draft, "en_1".parse().unwrap(), "partners".parse().unwrap(), "uid 0".to_owned(), UnixMillis::from_seconds(100))
    }

    fn fields(result: Result<Entry, Vec<BadField>>) -> Vec<&'static str> {
        result.err().unwrap_or_default().into_iter().map(|bad| bad.field).collect()
    }

    #[test]
    fn a_network_that_lets_in_half_the_world_must_be_meant() {
        for wide in ["0.0.0.0/0", "8.0.0.0/7", "::/0", "2000::/3", "2000::/15"] {
            assert_eq!(fields(made(|d| d.network = wide.parse().unwrap())), ["network"], "{wide}");
            assert!(made(|d| (d.network, d.wide) = (wide.parse().unwrap(), true)).is_ok(), "{wide}");
        }
        assert!(made(|d| d.network = "2001::/16".parse().unwrap()).is_ok());
    }

    #[test]
    fn dates_and_notes_must_make_sense() {
        let at = |s| Some(UnixMillis::from_seconds(s));
        assert_eq!(fields(made(|d| (d.valid_from, d.valid_until) = (at(200), at(200)))), ["valid_until"]);
        assert_eq!(fields(made(|d| d.valid_until = at(100))), ["valid_until"]);
        assert!(made(|d| (d.valid_from, d.valid_until) = (at(200), at(201))).is_ok());
        assert_eq!(fields(made(|d| d.note = "x".repeat(501))), ["note"]);
        assert_eq!(fields(made(|d| d.note = "a\u{1b}[2J".to_owned())), ["note"]);
        assert!(made(|d| d.note = "é".repeat(500)).is_ok());
    }

    #[test]
    fn an_edit_keeps_identity_and_history_and_counts_up() {
        let before = made(|_| {}).unwrap();
        let mut draft = Draft::of("192.0.2.0/24".parse().unwrap());
        // The entry may already have ended: ending one early is an edit like any other.
        draft.valid_until = Some(UnixMillis::from_seconds(1));
        let after = apply(&before, draft).unwrap();
        assert_eq!((after.version, &after.id, &after.created_by, after.created), (2, &before.id, &before.created_by, before.created));
        assert_eq!(after.network.to_string(), "192.0.2.0/24");
    }
}
