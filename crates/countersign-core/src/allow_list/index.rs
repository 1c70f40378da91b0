//! Allow-lists as they are asked on each request: immutable, a prefix trie per list, a lookup without allocation.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use prefix_trie::PrefixMap;

use super::{AllowList, Entry, Methods};
use crate::id::{EntryId, ListName};
use crate::network::Network;
use crate::now::UnixMillis;
use crate::path_pattern::PathPattern;
use crate::principal::PrincipalId;
use crate::request_view::RequestView;

/// All allow-lists of one snapshot. Lists that did not change are shared with the snapshot before.
#[derive(Debug, Clone, Default)]
pub struct AllowLists {
    by_name: HashMap<ListName, u32>,
    lists: Vec<Arc<Index>>,
}

/// Where a request comes from and what it wants: all that an entry can ask about, except for whom.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'r> {
    /// The client's address. An IPv4-mapped one counts as IPv4.
    pub address: IpAddr,
    /// The method.
    pub method: &'r str,
    /// The path, without the query.
    pub path: &'r str,
    /// When the decision is made.
    pub now: UnixMillis,
}

impl<'r> Origin<'r> {
    /// The origin of a request.
    pub fn of(view: &RequestView<'r>, now: UnixMillis) -> Self {
        Self { address: view.client_address(), method: view.method().as_str(), path: view.path(), now }
    }
}

/// What a list says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// An entry applies: the one with the narrowest network.
    Yes(Match),
    /// No entry can apply.
    No,
    /// Only entries bound to a principal could apply, and none is verified yet.
    Unknown,
}

/// The entry that applied, by its place in one snapshot. Worth nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match {
    /// The place of the list: 0 up to [`AllowLists::len`].
    pub list: u32,
    /// The place of the entry: 0 up to [`AllowLists::entries`] of the list.
    pub entry: u32,
}

impl AllowLists {
    /// Takes about a second per million entries. Entries that are not enabled are left out.
    pub fn build(lists: &[AllowList]) -> Self {
        Self::default().updated(lists)
    }

    /// As [`AllowLists::build`], but a list with the name and version of one that is already here is not built again.
    #[must_use]
    pub fn updated(&self, lists: &[AllowList]) -> Self {
        let mut next = Self::default();
        for list in lists {
            let known = self.find(&list.name).filter(|(_, index)| index.version == list.version && index.created == list.created);
            let index = known.map_or_else(|| Arc::new(Index::build(list)), |(_, index)| Arc::clone(index));
            let Ok(place) = u32::try_from(next.lists.len()) else { break };
            next.by_name.insert(list.name.clone(), place);
            next.lists.push(index);
        }
        next
    }

    /// Whether a request from `origin` is on the list, on behalf of the verified principal `who`.
    ///
    /// A list that does not exist says no: a rule that names one does not pass `check`, and a list that is removed takes its
    /// permissions with it.
    pub fn judge(&self, list: &ListName, origin: &Origin<'_>, who: Option<&PrincipalId>) -> Judgement {
        let Some((place, index)) = self.find(list) else { return Judgement::No };
        index.judge(place, origin, who)
    }

    /// The id of an entry that applied.
    pub fn entry_id(&self, found: Match) -> Option<&EntryId> {
        self.entry(found).map(|entry| &entry.id)
    }

    /// Until when an entry that applied counts, exclusive, if that is limited.
    pub fn valid_until(&self, found: Match) -> Option<UnixMillis> {
        self.entry(found)?.narrow.as_ref()?.valid_until
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there is no list.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// How many enabled entries the list at this place has.
    pub fn entries(&self, list: u32) -> usize {
        self.lists.get(list as usize).map_or(0, |index| index.entries.len())
    }

    /// Whether there is a list of this name.
    pub fn contains(&self, list: &ListName) -> bool {
        self.by_name.contains_key(list)
    }

    fn find(&self, name: &ListName) -> Option<(u32, &Arc<Index>)> {
        let place = *self.by_name.get(name)?;
        Some((place, self.lists.get(place as usize)?))
    }

    fn entry(&self, found: Match) -> Option<&Indexed> {
        self.lists.get(found.list as usize)?.entries.get(found.entry as usize)
    }
}

/// One list. The trie finds the narrowest network around an address; each network knows the next wider one that covers it, so
/// that all networks around an address are walked without searching again.
#[derive(Debug)]
struct Index {
    version: u64,
    created: UnixMillis,
    v4: PrefixMap<(u32, u8), u32>,
    v6: PrefixMap<(u128, u8), u32>,
    networks: Vec<Covering>,
    entries: Vec<Indexed>,
}

/// A network that has entries: `entries[first..end]`.
#[derive(Debug)]
struct Covering {
    network: Network,
    first: u32,
    end: u32,
    wider: Option<u32>,
}

/// An entry, small: most entries of a long list say nothing but a network.
#[derive(Debug)]
struct Indexed {
    id: EntryId,
    narrow: Option<Box<Narrow>>,
}

/// What an entry asks beyond the network.
#[derive(Debug)]
struct Narrow {
    methods: Methods,
    path: Option<PathPattern>,
    principal: Option<PrincipalId>,
    valid_from: Option<UnixMillis>,
    valid_until: Option<UnixMillis>,
}

impl Index {
    fn build(list: &AllowList) -> Self {
        let mut enabled: Vec<&Entry> = list.entries.iter().filter(|entry| entry.enabled).collect();
        // Sorted by address and then from wide to narrow, a network comes after all that cover it. Stable: oldest first.
        enabled.sort_by_key(|entry| entry.network);
        enabled.truncate(u32::MAX as usize - 1);
        let mut index = Self {
            version: list.version,
            created: list.created,
            v4: PrefixMap::new(),
            v6: PrefixMap::new(),
            networks: Vec::new(),
            entries: Vec::with_capacity(enabled.len()),
        };
        let mut around: Vec<u32> = Vec::new();
        for entry in enabled {
            index.entries.push(Indexed { id: entry.id.clone(), narrow: Narrow::of(entry) });
            let end = index.entries.len() as u32;
            if let Some(last) = index.networks.last_mut().filter(|last| last.network == entry.network) {
                last.end = end;
                continue;
            }
            let covers = |place: &u32| index.networks.get(*place as usize).is_some_and(|wide| covers(wide.network, entry.network));
            while around.last().is_some_and(|place| !covers(place)) {
                around.pop();
            }
            let place = index.networks.len() as u32;
            index.networks.push(Covering { network: entry.network, first: end - 1, end, wider: around.last().copied() });
            around.push(place);
            let length = entry.network.length();
            match entry.network.address() {
                IpAddr::V4(v4) => index.v4.insert((v4.to_bits(), length), place),
                IpAddr::V6(v6) => index.v6.insert((v6.to_bits(), length), place),
            };
        }
        index
    }

    fn judge(&self, list: u32, origin: &Origin<'_>, who: Option<&PrincipalId>) -> Judgement {
        let narrowest = match origin.address.to_canonical() {
            IpAddr::V4(v4) => self.v4.get_lpm(&(v4.to_bits(), 32)).map(|(_, place)| *place),
            IpAddr::V6(v6) => self.v6.get_lpm(&(v6.to_bits(), 128)).map(|(_, place)| *place),
        };
        let mut unknown = false;
        let mut next = narrowest;
        while let Some(covering) = next.and_then(|place| self.networks.get(place as usize)) {
            for entry in covering.first..covering.end {
                let Some(indexed) = self.entries.get(entry as usize) else { continue };
                match indexed.narrow.as_deref().map_or(Applies::Yes, |narrow| narrow.applies(origin, who)) {
                    Applies::Yes => return Judgement::Yes(Match { list, entry }),
                    Applies::IfPrincipal => unknown = true,
                    Applies::No => {}
                }
            }
            next = covering.wider;
        }
        if unknown { Judgement::Unknown } else { Judgement::No }
    }
}

fn covers(wide: Network, narrow: Network) -> bool {
    wide.length() <= narrow.length() && wide.contains(narrow.address())
}

enum Applies {
    Yes,
    No,
    IfPrincipal,
}

impl Narrow {
    fn of(entry: &Entry) -> Option<Box<Self>> {
        let Entry { methods, path, principal, valid_from, valid_until, .. } = entry;
        let plain = methods.is_all() && path.is_none() && principal.is_none() && valid_from.is_none() && valid_until.is_none();
        if plain {
            return None;
        }
        Some(Box::new(Self {
            methods: methods.clone(),
            path: path.clone(),
            principal: principal.clone(),
            valid_from: *valid_from,
            valid_until: *valid_until,
        }))
    }

    fn applies(&self, origin: &Origin<'_>, who: Option<&PrincipalId>) -> Applies {
        let open = self.valid_from.is_none_or(|from| from <= origin.now)
            && self.valid_until.is_none_or(|until| origin.now < until)
            && self.methods.allow(origin.method)
            && self.path.as_ref().is_none_or(|path| path.matches(origin.path));
        match (&self.principal, who) {
            _ if !open => Applies::No,
            (None, _) => Applies::Yes,
            (Some(_), None) => Applies::IfPrincipal,
            (Some(bound), Some(who)) if bound == who => Applies::Yes,
            (Some(_), Some(_)) => Applies::No,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn entry(number: u64, network: &str) -> Entry {
        Entry {
            id: format!("en_{number:016}").parse().unwrap(),
            list: "partners".parse().unwrap(),
            version: 1,
            network: network.parse().unwrap(),
            methods: Methods::default(),
            path: None,
            principal: None,
            note: String::new(),
            created_by: "test".to_owned(),
            created: UnixMillis::from_seconds(0),
            valid_from: None,
            valid_until: None,
            enabled: true,
        }
    }

    pub(crate) fn list(name: &str, entries: Vec<Entry>) -> AllowList {
        AllowList { name: name.parse().unwrap(), version: 1, created: UnixMillis::from_seconds(0), entries }
    }

    fn partners() -> ListName {
        "partners".parse().unwrap()
    }

    fn ask<'r>(address: &str, method: &'r str, path: &'r str, second: i64) -> Origin<'r> {
        Origin { address: address.parse().unwrap(), method, path, now: UnixMillis::from_seconds(second) }
    }

    #[test]
    fn an_empty_or_absent_list_lets_nobody_in() {
        let lists = AllowLists::build(&[list("partners", vec![])]);
        for name in ["partners", "absent"] {
            assert_eq!(lists.judge(&name.parse().unwrap(), &ask("10.0.0.1", "GET", "/", 0), None), Judgement::No, "{name}");
        }
    }

    #[test]
    fn the_end_of_validity_is_exclusive_and_judged_when_asked() {
        let dated = Entry {
            valid_from: Some(UnixMillis::from_seconds(10)),
            valid_until: Some(UnixMillis::from_seconds(20)),
            ..entry(1, "10.0.0.0/8")
        };
        let lists = AllowLists::build(&[list("partners", vec![dated])]);
        let at = |second| matches!(lists.judge(&partners(), &ask("10.0.0.1", "GET", "/", second), None), Judgement::Yes(_));
        assert_eq!([9, 10, 19, 20].map(at), [false, true, true, false]);
    }

    #[test]
    fn a_bound_entry_waits_for_its_principal_and_takes_no_other() {
        let who: PrincipalId = "cl_1".parse().unwrap();
        let bound = Entry { principal: Some(who.clone()), ..entry(1, "10.0.0.0/8") };
        let lists = AllowLists::build(&[list("partners", vec![bound])]);
        let asked = ask("::ffff:10.0.0.1", "GET", "/", 0);
        assert_eq!(lists.judge(&partners(), &asked, None), Judgement::Unknown);
        assert_eq!(lists.judge(&partners(), &asked, Some(&"cl_2".parse().unwrap())), Judgement::No);
        assert!(matches!(lists.judge(&partners(), &asked, Some(&who)), Judgement::Yes(_)));
        assert_eq!(lists.judge(&partners(), &ask("11.0.0.1", "GET", "/", 0), None), Judgement::No);
    }

    #[test]
    fn a_wider_network_helps_when_the_narrower_one_does_not_apply() {
        let narrow = Entry { methods: "POST".parse().unwrap(), ..entry(1, "10.1.0.0/16") };
        let lists = AllowLists::build(&[list("partners", vec![narrow, entry(2, "10.0.0.0/8"), entry(3, "10.1.2.3/32")])]);
        let found = |address, method| match lists.judge(&partners(), &ask(address, method, "/", 0), None) {
            Judgement::Yes(found) => lists.entry_id(found).map(ToString::to_string),
            _ => None,
        };
        assert_eq!(found("10.1.0.1", "POST").as_deref(), Some("en_0000000000000001"));
        assert_eq!(found("10.1.0.1", "GET").as_deref(), Some("en_0000000000000002"));
        assert_eq!(found("10.1.2.3", "GET").as_deref(), Some("en_0000000000000003"));
        assert_eq!(found("11.1.2.3", "GET"), None);
    }

    #[test]
    fn a_list_that_did_not_change_is_not_built_again() {
        let (a, b) = (list("a", vec![entry(1, "10.0.0.0/8")]), list("b", vec![entry(2, "10.0.0.0/8")]));
        let first = AllowLists::build(&[a.clone(), b.clone()]);
        let changed = AllowList { version: 2, entries: vec![], ..b };
        let second = first.updated(&[changed, a]);
        assert!(Arc::ptr_eq(&first.lists[0], &second.lists[1]));
        assert_eq!((second.entries(0), second.entries(1)), (0, 1));
        assert_eq!(first.entries(1), 1);
    }

    #[test]
    fn a_hundred_thousand_networks_are_found() {
        let network = |i: u32| format!("{}/32", std::net::Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761)));
        let entries = (0..100_000).map(|i| entry(i.into(), &network(i))).collect();
        let lists = AllowLists::build(&[list("partners", entries)]);
        for i in 0..100_000u32 {
            let address = std::net::Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761));
            let asked = Origin { address: address.into(), method: "GET", path: "/", now: UnixMillis::from_seconds(0) };
            let Judgement::Yes(found) = lists.judge(&partners(), &asked, None) else { panic!("{address}") };
            assert_eq!(lists.entry_id(found).unwrap().as_str(), format!("en_{i:016}"));
        }
    }

    /// Few bits and few values, so that networks overlap and requests hit.
    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let one = (
            any::<bool>(),
            0u8..16,
            prop_oneof![Just(0u8), 24u8..=32],
            proptest::sample::select(vec!["", "GET", "POST,PUT"]),
            proptest::sample::select(vec![None, Some("/a/*"), Some("/b")]),
            proptest::sample::select(vec![None, Some("cl_1"), Some("cl_2")]),
            proptest::option::of(0i64..4),
            proptest::option::of(0i64..4),
            0u8..8,
        );
        proptest::collection::vec(one, 0..12).prop_map(|all| {
            all.into_iter()
                .enumerate()
                .map(|(i, (v4, host, length, methods, path, principal, from, until, enabled))| {
                    let bits = u32::from(host) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                    let network = if v4 { format!("0.0.0.{bits}/{length}") } else { format!("::1:{bits:x}/{}", length + 96) };
                    let network = if !v4 && length == 0 { "::/0".to_owned() } else { network };
                    Entry {
                        methods: methods.parse().unwrap(),
                        path: path.map(|p| p.parse().unwrap()),
                        principal: principal.map(|p| p.parse().unwrap()),
                        valid_from: from.map(UnixMillis::from_seconds),
                        valid_until: until.map(UnixMillis::from_seconds),
                        enabled: enabled > 0,
                        ..entry(i as u64, &network)
                    }
                })
                .collect()
        })
    }

    /// Every entry, one after the other.
    fn reference(entries: &[Entry], asked: &Origin<'_>, who: Option<&PrincipalId>) -> (bool, bool) {
        let fits = |e: &&Entry| {
            e.enabled
                && e.network.contains(asked.address)
                && (e.methods.is_all() || e.methods.iter().any(|m| m == asked.method))
                && e.path.as_ref().is_none_or(|p| p.matches(asked.path))
                && e.valid_from.is_none_or(|from| asked.now >= from)
                && e.valid_until.is_none_or(|until| asked.now < until)
        };
        let yes = entries.iter().filter(fits).any(|e| e.principal.is_none() || e.principal.as_ref() == who);
        let bound = who.is_none() && entries.iter().filter(fits).any(|e| e.principal.is_some());
        (yes, bound)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_index_says_what_a_plain_search_says(
            entries in entries(),
            v4: bool,
            host in 0u32..16,
            method in proptest::sample::select(vec!["GET", "POST", "PUT"]),
            path in proptest::sample::select(vec!["/a/x", "/b", "/c"]),
            who in proptest::sample::select(vec![None, Some("cl_1"), Some("cl_2"), Some("cl_3")]),
            second in 0i64..4,
        ) {
            let address = if v4 { format!("0.0.0.{host}") } else { format!("::1:{host:x}") };
            let asked = ask(&address, method, path, second);
            let who: Option<PrincipalId> = who.map(|w| w.parse().unwrap());
            let judged = AllowLists::build(&[list("partners", entries.clone())]).judge(&partners(), &asked, who.as_ref());
            let expected = reference(&entries, &asked, who.as_ref());
            match judged {
                Judgement::Yes(_) => prop_assert!(expected.0),
                Judgement::Unknown => prop_assert_eq!(expected, (false, true)),
                Judgement::No => prop_assert_eq!(expected, (false, false)),
            }
        }
    }
}
