use super::*;
use proptest::prelude::*;

fn spec(host: &str, path: &str, methods: &str, rule: &str) -> RouteSpec {
    RouteSpec {
        signing_key: None,
        host: (!host.is_empty()).then(|| host.parse().unwrap()),
        paths: path.split(' ').map(|p| p.parse().unwrap()).collect(),
        methods: methods.parse().unwrap(),
        action: if rule == "refuse" {
            Action::Refuse
        } else {
            Action::Forward { rule: rule.parse().unwrap(), upstream: "orders".parse().unwrap() }
        },
        relax: Relax::default(),
        forward_credentials: false,
        body_limit: None,
        allow_uncovered: Vec::new(),
    }
}

fn table(specs: &[(&str, &str, &str, &str)]) -> RouteTable {
    RouteTable::build(specs.iter().map(|(host, path, methods, rule)| spec(host, path, methods, rule)).collect()).unwrap()
}

/// The number of the chosen route, or the reason in a word.
fn chosen(table: &RouteTable, host: &str, path: &str, method: &str) -> String {
    match table.choose(host, path, method) {
        Chosen::Route(route) => route.number().to_string(),
        Chosen::NoRoute => "none".to_owned(),
        Chosen::MethodNotAllowed(allow) => format!("405 {allow}"),
        Chosen::PathCase => "case".to_owned(),
    }
}

/// What `countersign init` writes.
fn versioned() -> RouteTable {
    table(&[
        ("", "/api/*", "", "jwt or from(office)"),
        ("", "/api/v3.0/*", "", "hmac and from(partners)"),
        ("", "/api/v{digit}*/*", "", "refuse"),
    ])
}

#[test]
fn a_version_in_the_path_chooses_the_signed_route() {
    for (path, expected) in [
        ("/api/orders", "0"),
        ("/api/", "0"),
        ("/api/v3.0/orders", "1"),
        ("/api/v3.0/", "1"),
        ("/api/v3.1/orders", "none"),
        ("/api/v3/orders", "none"),
        ("/api/v30/orders", "none"),
        ("/api", "none"),
        ("/", "none"),
        ("/other", "none"),
    ] {
        assert_eq!(chosen(&versioned(), "x", path, "GET"), expected, "{path}");
    }
}

#[test]
fn another_case_does_not_slip_to_the_looser_route() {
    for (path, expected) in [
        ("/api/V3.0/orders", "case"),
        ("/api/V9/orders", "case"),
        ("/API/v3.0/orders", "case"),
        ("/API/orders", "case"),
        ("/api/Orders", "0"),
        ("/api/v3.0/Orders", "1"),
        ("/OTHER", "none"),
    ] {
        assert_eq!(chosen(&versioned(), "x", path, "GET"), expected, "{path}");
    }
}

#[test]
fn another_case_is_no_matter_where_the_rule_is_the_same() {
    let same = table(&[("", "/a/*", "", "jwt"), ("", "/a/b", "", "jwt"), ("", "/a/c", "POST", "jwt")]);
    assert_eq!(chosen(&same, "x", "/a/B", "GET"), "0");
    // Folded it would be a 405, exactly written it would pass.
    assert_eq!(chosen(&same, "x", "/a/C", "GET"), "case");
    let upper = table(&[("", "/Admin", "", "mtls"), ("", "/*", "", "anyone")]);
    assert_eq!(chosen(&upper, "x", "/admin", "GET"), "case");
    assert_eq!(chosen(&upper, "x", "/Admin", "GET"), "0");
}

#[test]
fn a_chosen_path_without_the_method_is_not_given_to_a_looser_route() {
    let table = table(&[("", "/*", "", "anyone"), ("", "/orders", "GET", "jwt"), ("", "/orders", "POST,PUT", "hmac")]);
    assert_eq!(chosen(&table, "x", "/orders", "GET"), "1");
    assert_eq!(chosen(&table, "x", "/orders", "HEAD"), "1");
    assert_eq!(chosen(&table, "x", "/orders", "PUT"), "2");
    assert_eq!(chosen(&table, "x", "/orders", "DELETE"), "405 GET, HEAD, POST, PUT");
}

#[test]
fn a_route_that_names_head_goes_before_one_with_get() {
    let table = table(&[("", "/a", "GET", "jwt"), ("", "/a", "HEAD", "anyone")]);
    assert_eq!(chosen(&table, "x", "/a", "HEAD"), "1");
}

#[test]
fn a_host_once_chosen_is_the_only_one_looked_at() {
    let table = table(&[
        ("", "/*", "", "anyone"),
        ("*.example.com", "/a", "", "jwt"),
        ("*.b.example.com", "/b", "", "jwt"),
        ("api.example.com", "/c", "", "jwt"),
        ("[::1]", "/d", "", "jwt"),
    ]);
    for (host, path, expected) in [
        ("other.org", "/a", "0"),
        ("example.com", "/a", "0"),
        ("badexample.com", "/a", "0"),
        ("x.example.com", "/a", "1"),
        ("x.example.com:8080", "/a", "1"),
        ("x.y.example.com", "/a", "1"),
        ("x.example.com", "/c", "none"),
        ("x.b.example.com", "/b", "2"),
        ("x.b.example.com", "/a", "none"),
        ("api.example.com", "/c", "3"),
        ("api.example.com", "/a", "none"),
        ("[::1]:80", "/d", "4"),
        ("[::1]", "/d", "4"),
    ] {
        assert_eq!(chosen(&table, host, path, "GET"), expected, "{host}{path}");
    }
}

#[test]
fn routes_that_contradict_each_other_are_named() {
    let built = |specs: &[(&str, &str, &str, &str)]| {
        RouteTable::build(specs.iter().map(|(host, path, methods, rule)| spec(host, path, methods, rule)).collect())
            .map(|_| String::new())
            .unwrap_or_else(|bad| bad.to_string())
    };
    assert_eq!(built(&[("", "/a", "", "jwt"), ("", "/b /a", "GET", "hmac")]), "routes 1 and 2 both take GET /a");
    assert_eq!(built(&[("", "/a", "", "jwt"), ("", "/a", "", "jwt")]), "routes 1 and 2 both take * /a");
    assert_eq!(built(&[("", "/a /a", "", "jwt")]), "routes 1 and 1 both take * /a");
    assert_eq!(built(&[("", "/a", "POST,GET", "jwt"), ("", "/a", "PUT,POST", "jwt")]), "routes 1 and 2 both take POST /a");
    assert!(built(&[("", "/a", "", "jwt"), ("", "/A", "", "hmac")]).contains("differ only in case (/A)"));
    assert_eq!(built(&[("", "/a", "", "jwt"), ("", "/A", "", "jwt")]), "");
    assert_eq!(built(&[("", "/a", "", "jwt"), ("x.org", "/a", "", "hmac")]), "");
    assert_eq!(built(&[("", "/a", "GET", "jwt"), ("", "/a", "POST", "hmac")]), "");
}

proptest! {
    /// Whatever the spelling, a request is judged by the rule of its lower-case spelling or refused.
    #[test]
    fn no_spelling_reaches_a_looser_rule(path in "/[aA][pP][iI]/([vV][0-9][.]?[0-9]?/)?[a-zA-Z]{0,3}") {
        let table = versioned();
        let number = |chosen: Chosen<'_>| match chosen { Chosen::Route(route) => Some(route.number()), _ => None };
        let lower = path.to_ascii_lowercase();
        if let Some(route) = number(table.choose("x", &path, "GET")) {
            prop_assert_eq!(Some(route), number(table.choose("x", &lower, "GET")), "{}", path);
        }
    }
}

#[test]
fn what_a_loose_route_allows_is_no_way_to_a_stricter_one() {
    let mut loose = spec("", "/files/*", "", "anyone");
    Relax::ALL.into_iter().for_each(|(relax, _)| loose.relax.insert(relax));
    let (all, strict) = (loose.relax, spec("", "/files/private/*", "", "jwt"));
    let table = RouteTable::build(vec![loose, strict]).unwrap();
    let leads = |path: &str| match table.choose("x", path, "GET") {
        Chosen::Route(route) => table.is_chosen_by_all_readings(route, "x", path, "GET", all),
        other => panic!("{other:?}"),
    };
    for other in [
        "/files//private/x",
        "/files/%2fprivate/x",
        "/files/private%2fx",
        "/files/private%2Fx",
        "/files/private;a/x",
        "/files/private;a%2fx",
        "/files/;a/private/x",
        "/files;a//private/x",
        "/files/PRIVATE//x",
        "/files//Private/x",
        "/files;x%2fprivate/y",
        "/files/private;x/y",
        "/files/private%3bx/y",
    ] {
        assert!(!matches!(table.choose("x", other, "GET"), Chosen::Route(_)) || !leads(other), "{other}");
    }
    for same in ["/files/a//b", "/files/a%2fb", "/files/a;b/c", "/files/;a/b", "/files/%2fa;b//c", "/files/a/private/x", "/files//a"] {
        assert!(leads(same), "{same}");
    }
}
