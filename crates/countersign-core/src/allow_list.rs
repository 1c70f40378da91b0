//! Allow-lists: from where, to what, for whom, until when.
//!
//! Here are the records; `index.rs` answers for requests, `edit.rs` judges changes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::{BadId, EntryId, ListName};
use crate::network::Network;
use crate::now::UnixMillis;
use crate::path_pattern::PathPattern;
use crate::principal::PrincipalId;

mod edit;
mod index;

pub use edit::{BadField, Draft, add, apply};
pub use index::{AllowLists, Judgement, Match, Origin};

/// A named set of entries. A list without entries lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList {
    /// How rules name it.
    pub name: ListName,
    /// Grows with each change of the list or of one of its entries.
    pub version: u64,
    /// When it was made.
    pub created: UnixMillis,
    /// Its entries, oldest first.
    pub entries: Vec<Entry>,
}

/// One permission: requests from this network, narrowed by what else is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identity.
    pub id: EntryId,
    /// The list it is in.
    pub list: ListName,
    /// Grows with each change of this entry; the ETag of the admin API.
    pub version: u64,
    /// From where.
    pub network: Network,
    /// With which methods; all when empty.
    pub methods: Methods,
    /// To which paths; all when absent.
    pub path: Option<PathPattern>,
    /// For whom; everybody when absent. A bound entry matches only when this principal is verified.
    pub principal: Option<PrincipalId>,
    /// What people want to know about it later; up to 500 characters.
    pub note: String,
    /// Who made it, as the audit log says it.
    pub created_by: String,
    /// When it was made.
    pub created: UnixMillis,
    /// From when it counts; at once when absent.
    pub valid_from: Option<UnixMillis>,
    /// Until when it counts, exclusive; for good when absent.
    pub valid_until: Option<UnixMillis>,
    /// Whether it counts at all.
    pub enabled: bool,
}

/// A set of methods; empty means all. As text: upper-case names joined by commas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Methods(BTreeSet<Arc<str>>);

impl Methods {
    /// All methods.
    pub const ALL: Self = Self(BTreeSet::new());

    /// Whether `method` is in the set, or the set is empty. Who may GET may also ask for the HEAD of it (RFC 9110 section
    /// 9.3.2).
    pub fn allow(&self, method: &str) -> bool {
        self.0.is_empty() || self.0.contains(method) || (method == "HEAD" && self.0.contains("GET"))
    }

    /// Whether the set names `method` itself.
    pub fn name(&self, method: &str) -> bool {
        self.0.contains(method)
    }

    /// Whether the set is empty and so stands for all methods.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// The methods, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|method| &**method)
    }
}

impl FromStr for Methods {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        text.split(',').map(str::trim).filter(|m| !m.is_empty()).map(Into::into).collect::<Vec<String>>().try_into()
    }
}

impl TryFrom<Vec<String>> for Methods {
    type Error = BadId;

    fn try_from(names: Vec<String>) -> Result<Self, BadId> {
        let good = |name: &String| (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        match names.iter().find(|name| !good(name)) {
            Some(bad) => Err(BadId { what: "a method (upper-case letters)", text: bad.chars().take(80).collect() }),
            None if names.len() > 32 => Err(BadId { what: "a set of at most 32 methods", text: names.len().to_string() }),
            None => Ok(Self(names.into_iter().map(Into::into).collect())),
        }
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, method) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(method)?;
        }
        Ok(())
    }
}
