use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::allow_list::{AllowList, Entry, Methods};
use crate::principal::Principal;
use crate::request_view::{Connection, Scheme};

pub(crate) fn connection(peer: &str) -> Connection {
    Connection { peer: std::net::SocketAddr::new(peer.parse().unwrap(), 50_000), public_scheme: Scheme::Https, proxies: Arc::default() }
}

fn at(second: i64) -> UnixMillis {
    UnixMillis::from_seconds(second)
}

/// A credential that was verified, which only this crate can say.
pub(crate) fn verified(kind: Kind, who: &str, scopes: &str, expires: Option<i64>) -> Verified<Identity> {
    Verified::new(Identity {
        kind,
        principal: Arc::new(Principal { id: who.parse().unwrap(), name: who.trim_start_matches("cl_").trim_start_matches("us_").into() }),
        credential: format!("{kind}-of-{who}").into(),
        scopes: Arc::new(scopes.parse().unwrap()),
        session: None,
        expires: expires.map(at),
    })
}

/// A permit as [`decide`] makes it, for tests of what comes after.
pub(crate) fn permit_for(credentials: Vec<Verified<Identity>>) -> Permit {
    let rule: Vec<_> = credentials.iter().map(|verified| verified.get().kind.as_str()).collect();
    let rule: Rule = if rule.is_empty() { "anyone".to_owned() } else { rule.join(" and ") }.parse().unwrap();
    let native = ProfileName::native();
    let mut evidence = Evidence { profile: Some(&native), ..Evidence::default() };
    credentials.into_iter().for_each(|verified| evidence.add(verified));
    match decide_from(&rule, evidence, &AllowLists::default(), &origin("192.0.2.1"), || false) {
        Decision::Allow(permit) => permit,
        refused => panic!("{refused:?}"),
    }
}

fn origin(address: &str) -> Origin<'_> {
    Origin { address: address.parse().unwrap(), method: "GET", path: "/orders", now: at(100) }
}

fn list(name: &str, entries: &[(&str, Option<&str>)]) -> AllowList {
    let entry = |(i, (network, principal)): (usize, &(&str, Option<&str>))| Entry {
        id: format!("en_{i}").parse().unwrap(),
        list: name.parse().unwrap(),
        version: 1,
        network: network.parse().unwrap(),
        methods: Methods::default(),
        path: None,
        principal: principal.map(|who| who.parse().unwrap()),
        note: String::new(),
        created_by: "test".to_owned(),
        created: at(0),
        valid_from: None,
        valid_until: (*network == "192.0.2.0/24").then(|| at(500)),
        enabled: true,
    };
    AllowList { name: name.parse().unwrap(), version: 1, created: at(0), entries: entries.iter().enumerate().map(entry).collect() }
}

/// `office` is an address range; `partners` has one network for everybody and one for acme alone.
fn lists() -> AllowLists {
    AllowLists::build(&[
        list("office", &[("10.0.0.0/8", None)]),
        list("partners", &[("192.0.2.0/24", None), ("203.0.113.0/24", Some("cl_acme"))]),
        list("empty", &[]),
    ])
}

const ADDRESSES: [(&str, &str); 4] =
    [("office", "10.0.0.1"), ("partner", "192.0.2.7"), ("acme only", "203.0.113.7"), ("elsewhere", "198.51.100.1")];

const RULES: [&str; 15] = [
    "anyone",
    "anyone or jwt",
    "jwt",
    "jwt and scope(admin)",
    "jwt or from(office)",
    "jwt and scope(admin) or from(office)",
    "jwt and from(office)",
    "hmac",
    "hmac(stripe)",
    "hmac and from(partners)",
    "hmac and jwt",
    "(jwt or hmac) and from(partners)",
    "hmac and api_key and scope(orders)",
    "from(partners)",
    "from(office) and from(empty) or from(absent)",
];

const CREDENTIALS: [&str; 9] = [
    "nothing",
    "token of alice",
    "token of alice, scope admin",
    "signature of acme",
    "signature of globex",
    "stripe signature of acme",
    "signature and key of acme, scope orders on the key",
    "signature of acme, key of globex, scope orders on both",
    "signature of acme, token of alice",
];

fn evidence<'p>(described: &str, native: &'p ProfileName, stripe: &'p ProfileName) -> Evidence<'p> {
    let mut evidence = Evidence::default();
    let mut signed = |profile, who, scopes| evidence.add_signature(profile, verified(Kind::Hmac, who, scopes, None));
    match described {
        "nothing" => {}
        "token of alice" => evidence.add(verified(Kind::Jwt, "us_alice", "read", Some(200))),
        "token of alice, scope admin" => evidence.add(verified(Kind::Jwt, "us_alice", "read admin", Some(200))),
        "signature of acme" => signed(native, "cl_acme", ""),
        "signature of globex" => signed(native, "cl_globex", ""),
        "stripe signature of acme" => signed(stripe, "cl_acme", ""),
        "signature and key of acme, scope orders on the key" => {
            signed(native, "cl_acme", "");
            evidence.add(verified(Kind::ApiKey, "cl_acme", "orders", None));
        }
        "signature of acme, key of globex, scope orders on both" => {
            signed(native, "cl_acme", "orders");
            evidence.add(verified(Kind::ApiKey, "cl_globex", "orders", None));
        }
        "signature of acme, token of alice" => {
            signed(native, "cl_acme", "");
            evidence.add(verified(Kind::Jwt, "us_alice", "read", Some(200)));
        }
        other => panic!("{other}"),
    }
    evidence
}

fn said(decision: &Decision) -> String {
    match decision {
        Decision::Allow(permit) => match permit.identity() {
            Some(identity) => {
                let kinds: Vec<_> = permit.identities().map(|identity| identity.kind.as_str()).collect();
                format!("ALLOW {} by {}", identity.principal.name, kinds.join("+"))
            }
            None => "ALLOW nobody".to_owned(),
        },
        Decision::Challenge(refusal) => {
            assert_eq!(refusal.code.status(), 401);
            format!("401 {}", refusal.code)
        }
        Decision::Deny(refusal) => {
            assert_eq!(refusal.code.status(), 403);
            format!("403 {}", refusal.code)
        }
    }
}

/// Every decision, printed. A change of the table is reviewed as a change of what the gateway lets through.
///
/// `early` stands where the address alone refused before any credential was looked at.
#[test]
fn the_decision_table_is_as_reviewed() {
    let (native, stripe, lists) = (ProfileName::native(), "stripe".parse().unwrap(), lists());
    let mut table = String::new();
    for text in RULES {
        let rule: Rule = text.parse().unwrap();
        let _ = writeln!(table, "{text}");
        for credentials in CREDENTIALS {
            let _ = write!(table, "    {credentials}:");
            let mut row: Vec<(String, Vec<&str>)> = Vec::new();
            for (place, address) in ADDRESSES {
                let early = early_from(&rule, &lists, &origin(address)).is_err();
                let decision = decide_from(&rule, evidence(credentials, &native, &stripe), &lists, &origin(address), || false);
                let mut cell = said(&decision);
                if early {
                    assert_eq!(cell, "403 address_not_allowed", "{text} {credentials} {place}: what is refused early is refused");
                    cell.push_str(" early");
                }
                match row.iter_mut().find(|(outcome, _)| *outcome == cell) {
                    Some((_, places)) => places.push(place),
                    None => row.push((cell, vec![place])),
                }
            }
            if let [(outcome, _)] = row.as_slice() {
                let _ = writeln!(table, " {outcome}");
                continue;
            }
            table.push('\n');
            for (outcome, places) in row {
                let _ = writeln!(table, "        {:<31} {outcome}", places.join(", "));
            }
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_browser_on_another_site_is_not_let_in_by_its_address() {
    let lists = lists();
    let decided = |rule: &str, credentials: &str, cross_site: bool| {
        let (native, stripe) = (ProfileName::native(), "stripe".parse().unwrap());
        let evidence = evidence(credentials, &native, &stripe);
        said(&decide_from(&rule.parse().unwrap(), evidence, &lists, &origin("10.0.0.1"), || cross_site))
    };
    assert_eq!(decided("from(office)", "nothing", false), "ALLOW nobody");
    assert_eq!(decided("from(office)", "nothing", true), "403 cross_site");
    assert_eq!(decided("jwt or from(office)", "nothing", true), "401 credentials_required");
    assert_eq!(decided("jwt and scope(admin) or from(office)", "token of alice", true), "403 insufficient_scope");
    // Credentials are not sent by browsers on their own, and what anyone may do another site may do.
    assert_eq!(decided("jwt or from(office)", "token of alice", true), "ALLOW alice by jwt");
    assert_eq!(decided("jwt and from(office)", "token of alice", true), "ALLOW alice by jwt");
    assert_eq!(decided("anyone", "nothing", true), "ALLOW nobody");
}

#[test]
fn a_browser_tells_where_a_request_comes_from() {
    let cross_at = |scheme: Scheme, lines: &[(&'static str, &str)]| {
        let request = http::Request::builder().uri("/").header("host", "api.example.com");
        let request = lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        is_cross_site(&RequestView::judge(&parts, &Connection { public_scheme: scheme, ..connection("192.0.2.1") }).unwrap())
    };
    let cross = |lines: &[(&'static str, &str)]| cross_at(Scheme::Http, lines);
    assert!(cross_at(Scheme::Https, &[("origin", "http://api.example.com")]), "anybody on the way can make a page of plain http");
    assert!(!cross_at(Scheme::Https, &[("origin", "https://api.example.com")]));
    assert!(!cross(&[]));
    for own in ["https://api.example.com", "https://api.example.com:443", "http://api.example.com:80", "https://API.example.com"] {
        assert!(!cross(&[("origin", own)]), "{own}");
    }
    for other in [
        "null",
        "https://evil.example",
        "https://api.example.com:8443",
        "https://api.example.com.evil",
        "api.example.com",
        "file://api.example.com",
        "",
    ] {
        assert!(cross(&[("origin", other)]), "{other}");
    }
    for (site, expected) in [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true), ("", true), ("what", true)]
    {
        assert_eq!(cross(&[("sec-fetch-site", site)]), expected, "{site}");
    }
    assert!(cross(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")]));
    assert!(cross(&[("sec-fetch-site", "cross-site"), ("origin", "https://api.example.com")]));
}

#[test]
fn a_permit_ends_with_the_first_of_what_made_it() {
    let lists = lists();
    let expires = |rule: &str, credentials: &str| {
        let (native, stripe) = (ProfileName::native(), "stripe".parse().unwrap());
        match decide_from(&rule.parse().unwrap(), evidence(credentials, &native, &stripe), &lists, &origin("192.0.2.7"), || false) {
            Decision::Allow(permit) => permit.expires(),
            refused => panic!("{refused:?}"),
        }
    };
    assert_eq!(expires("jwt", "token of alice"), Some(at(200)));
    assert_eq!(expires("jwt and from(partners)", "token of alice"), Some(at(200)));
    assert_eq!(expires("hmac and from(partners)", "signature of acme"), Some(at(500)));
    assert_eq!(expires("hmac", "signature of acme"), None);
    // The token was not what let it in.
    assert_eq!(expires("hmac", "signature of acme, token of alice"), None);
}

#[test]
fn a_permit_names_the_entries_that_let_it_in() {
    let lists = lists();
    let rule: Rule = "from(partners)".parse().unwrap();
    let Decision::Allow(permit) = decide_from(&rule, Evidence::default(), &lists, &origin("192.0.2.7"), || false) else { panic!() };
    let [found] = permit.matched() else { panic!("{permit:?}") };
    assert_eq!(lists.entry_id(*found).unwrap().as_str(), "en_0");
}

/// Rules over few words, so that they meet the requests below.
fn rules() -> impl Strategy<Value = Rule> {
    let words = vec!["jwt", "hmac", "api_key", "from(office)", "from(partners)", "from(empty)", "anyone", "jwt and scope(read)"];
    let leaf = proptest::sample::select(words).prop_map(str::to_owned);
    let tree = leaf.prop_recursive(4, 12, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(a, b, and)| format!("({a}) {} ({b})", if and { "and" } else { "or" }))
    });
    tree.prop_filter_map("within the limits", |text| Rule::parse(&text).ok())
}

/// For each of three kinds: not shown, or of one of two principals.
type Shown = [Option<&'static str>; 3];

fn shown() -> impl Strategy<Value = Shown> {
    proptest::array::uniform3(proptest::sample::select(vec![None, Some("cl_acme"), Some("cl_globex")]))
}

fn allowed(rule: &Rule, shown: Shown, lists: &AllowLists, address: &str, cross_site: bool) -> bool {
    let native = ProfileName::native();
    let mut evidence = Evidence { profile: Some(&native), ..Evidence::default() };
    for (kind, who) in [Kind::Jwt, Kind::Hmac, Kind::ApiKey].into_iter().zip(shown) {
        who.into_iter().for_each(|who| evidence.add(verified(kind, who, "read", None)));
    }
    matches!(decide_from(rule, evidence, lists, &origin(address), || cross_site), Decision::Allow(_))
}

proptest! {
    #[test]
    fn early_refuses_exactly_what_no_credentials_could_let_in(rule in rules(), place in 0..ADDRESSES.len()) {
        let (lists, address) = (lists(), ADDRESSES[place].1);
        let who = [None, Some("cl_acme"), Some("cl_globex")];
        let any = who.iter().any(|a| who.iter().any(|b| who.iter().any(|c| allowed(&rule, [*a, *b, *c], &lists, address, false))));
        prop_assert_eq!(early_from(&rule, &lists, &origin(address)).is_ok(), any, "{}", rule);
    }

    #[test]
    fn one_more_good_credential_never_takes_a_pass_away(rule in rules(), shown in shown(), place in 0..ADDRESSES.len(), cross_site: bool) {
        let (lists, address) = (lists(), ADDRESSES[place].1);
        for hidden in 0..3 {
            let mut fewer = shown;
            fewer[hidden] = None;
            prop_assert!(!allowed(&rule, fewer, &lists, address, cross_site) || allowed(&rule, shown, &lists, address, cross_site), "{}", rule);
        }
    }

    #[test]
    fn another_site_gets_no_more_than_the_same_site(rule in rules(), shown in shown(), place in 0..ADDRESSES.len()) {
        let (lists, address) = (lists(), ADDRESSES[place].1);
        prop_assert!(!allowed(&rule, shown, &lists, address, true) || allowed(&rule, shown, &lists, address, false), "{}", rule);
    }
}
