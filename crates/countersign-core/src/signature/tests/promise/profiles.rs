//! Profiles that nobody chose. Each begins as one that is good, and some of its pieces are exchanged.

use std::fmt::Write as _;

use super::{Forgets, Tape};

/// What expressions of conditions and requirements read.
const READ: &str = "header:x-a ~ body ~ query ~ query:b ~ header:x-b ~ query:a ~ form:a ~ path ~ method ~ extra.q ~ extra.q[] | first ~ some ~ either ~ \
     header:x-a | sha256 | hex ~ body | sha256 | hex ~ extra.q[] | join:',' ~ extra.q[] | sorted | join:',' ~ query:b | default:'1' ~ \
     header:x-list | split:',' | first ~ header:x-a | or:'header:x-b' ~ extra.q[] | default:'1' | first ~ cut.l ~ cut.r ~ rest.q ~ chosen ~ \
     body | json:'/a' ~ header:content-type | optional";
const CONDITIONS: &str = "header:x-b ~ query:b ~ extra.q ~ header:x-a ~ body ~ query ~ some ~ method | is:'POST' ~ header:x-a | is:'1' ~ extra ~ chosen ~ \
     header:x-extra ~ either ~ cut.r ~ form:a";
const FILTERS: &str = " | sha256 | hex ~  | lower ~  | pct ~  | default:'1' ~  | take:'2' ~  | drop_suffix:'0' ~  | drop_prefix:'a' ~  | before:',' ~ \
      | or:'header:x-b' ~  | split:',' | join:',' ~  | split:',' | first ~  | split:',' | sorted | join:',' ~  | base64 ~  | length ~  | after:'a' ~ \
      | strip_prefix:'a' | default:'' ~  | is:'1','a' | default:'1' ~  | optional";
const FURTHER: &str = "header:x-a ~ h ~ header:x-b | optional ~ m ~ header:content-type | optional ~ some ~ header:x-extra | optional ~ \
     header:x-list | optional ~ extra.q[] | join:',' ~ extra.q ~ query:b | optional ~ header:x-a | or:'header:x-b' ~ either ~ cut.l | optional ~ \
     cut.r | optional ~ extra.q[] | default:'1' | join:',' ~ extra.q[] | sorted | join:'' ~ chosen ~ n";

/// A profile as text, and what it forgets of a query and of a form.
pub(super) struct Made {
    pub(super) text: String,
    pub(super) query: Forgets,
    pub(super) form: Forgets,
}

/// Where the fields of a signature stand, and how they get there.
#[derive(Default)]
struct Placed {
    fields: String,
    sign: String,
    members: Vec<String>,
}

impl Placed {
    fn put(&mut self, tape: &mut Tape, name: &str, value: &str, places: &'static str) -> &'static str {
        let place = tape.one(places);
        match place.split_once([':', '.']) {
            Some((to @ ("header" | "query"), at)) => _ = writeln!(self.sign, "[[sign]]\n{to} = \"{at}\"\nvalue = \"{value}\""),
            Some((_, member)) => self.members.push(format!("{member}={value}")),
            None => return place,
        }
        let shape = match name {
            "mac" => "",
            _ if tape.once_in(8) => "",
            "ts" => ", match = '[0-9]{10}'",
            _ => ", match = '[^,]{1,40}'",
        };
        _ = writeln!(self.fields, "{name} = {{ from = \"{place}\"{shape} }}");
        place
    }
}

pub(super) fn profile(tape: &mut Tape) -> Made {
    let mut placed = Placed::default();
    placed.put(tape, "ts", "{now | time:'unix'}", "header:x-ts ~ auth.ts ~ query:ts");
    let nonce = placed.put(tape, "nonce", "{fresh | hex}", "header:x-nonce ~ none ~ auth.nonce ~ query:nonce");
    let key_id = placed.put(tape, "key_id", "{key_id}", "none ~ header:x-key ~ auth.id ~ query:key");
    let mac = placed.put(tape, "mac", "{mac}", "header:x-mac ~ auth.mac ~ query:sign");
    let Placed { fields, mut sign, members } = placed;
    _ = writeln!(sign, "[[sign]]\nheader = \"x-auth\"\nvalue = \"{}\"", members.join(","));
    let has = (nonce != "none", key_id != "none", mac == "query:sign");
    let mut message = message(tape, has);
    let requires = requires(tape);
    let mut all = format!("{message}{requires}");
    let mut lets = String::from("[let]\nchosen = [{ text = \"1\", when = \"header:x-b\" }, { text = \"2{cut.r}\", when = \"cut.r\" }]\n");
    let mut alternatives = String::new();
    if tape.once_in(10) {
        _ = writeln!(lets, "canon = [{message}]");
        message = tape.one(r#""{ts}\n{canon | sha256 | hex}" ~ "{canon}" ~ "{canon | sha256 | hex}""#).to_owned();
    } else if tape.once_in(10) {
        let other = self::message(tape, has);
        all.push_str(&other);
        alternatives = format!("alternatives = [[\"2\\n\", {other}]]\n");
        message = format!("\"1\\n\", {message}");
    }
    let (mut query, mut form, mut collections) = (Forgets::default(), Forgets::default(), String::new());
    for (name, from) in [("q", "query"), ("r", "raw_query"), ("f", "form"), ("h", "headers"), ("m", "extra"), ("n", "rest")] {
        if ["{", "\""].iter().any(|before| ["}", " ", "\""].iter().any(|behind| all.contains(&format!("{before}{name}{behind}")))) {
            let (text, forgets) = collection(tape, name, from, mac);
            collections.push_str(&text);
            match name {
                "q" | "r" => query = query.and(forgets),
                "f" => form = form.and(forgets),
                _ => {}
            }
            if text.contains("\"form\"]") {
                form = form.and(Forgets { plus: true, ..forgets });
            }
        }
    }
    let uncovered: Vec<_> = ["method", "path", "query", "host", "body"].into_iter().filter(|_| tape.once_in(12)).collect();
    let times = "expires = \"query:exp\" ~ expires = \"header:x-exp\" ~ window = \"query:a\"\nwindow_most = 60 ~ expires = \"form:exp\" ~ \
                 window = \"header:x-a | or:'header:x-b'\"\nwindow_most = 60 ~ window = \"cut.r\"\nwindow_most = 60 ~ expires = \"either\"";
    let time = if tape.once_in(8) { tape.one(times) } else { "" };
    let nonces =
        "[\"nonce\"] ~ [\"nonce\", \"query:b\"] ~ [\"header:x-a | or:'nonce'\"] ~ [\"nonce\", \"cut.r\"] ~ [\"nonce\", \"chosen\"]";
    let once = if has.0 { format!("[replay]\nonce = {}\n", tape.one(nonces)) } else { String::new() };
    let text = format!(
        "name = \"small\"\ntitle = \"Small\"\ndetect = [\"method\"]\nuncovered = {uncovered:?}\n[fields]\nauth = {{ from = \"header:x-auth | params:','\", optional = true }}\n{fields}\
         extra = {{ from = \"header:x-extra | params:','\", optional = true }}\nsome = {{ from = \"header:x-b\", optional = true }}\n\
         either = {{ from = \"header:x-a | or:'header:x-b'\", optional = true }}\nrest = {{ from = \"extra | without:'x*'\", optional = true }}\n\
         cut = {{ from = \"header:x-a | pick:'{{l}},{{r?}}'\", optional = true }}\n{collections}{lets}\
         [mac]\nalgorithm = \"hmac-sha256\"\nmessage = [{message}]\n{alternatives}{requires}[time]\nat = \"ts\"\nformat = \"unix\"\n{time}\n{once}{sign}"
    );
    Made { text, query, form }
}

/// The parts of the string to sign, as TOML.
fn message(tape: &mut Tape, (has_nonce, has_key_id, has_mac_in_query): (bool, bool, bool)) -> String {
    let target = match tape.below(if has_mac_in_query { 5 } else { 8 }) {
        0..3 => "path ~ q",
        3 => "path ~ r",
        4 => "path ~ header:x-a",
        5 => "target",
        6 => "path ~ query",
        _ => "url",
    };
    let mut values = vec![tape.one("method ~ method ~ method | lower")];
    values.extend(target.split(" ~ "));
    values.push(tape.one("host ~ host ~ header:host ~ host_name}:{port ~ host_name ~ h"));
    values.push(tape.one("ts ~ ts ~ ts ~ ts | time:'amz' ~ ts | time:'%Y-%m-%d'"));
    values.extend(["nonce"].iter().filter(|_| has_nonce));
    values.extend(["key_id"].iter().filter(|_| has_key_id && !tape.once_in(8)));
    for _ in 0..tape.below(4) {
        values.push(tape.one(FURTHER));
    }
    if tape.once_in(10) {
        values.remove(tape.below(values.len()));
    }
    let by = tape.below(values.len());
    values.rotate_left(by);
    values.push(
        tape.one("body | sha256 | hex ~ body ~ body | sha256 | hex ~ f ~ body | sha1 | base64 ~ body | digest | hex ~ header:x-a ~ f"),
    );
    let mut parts = Vec::new();
    for value in values {
        let filter = if tape.once_in(16) { tape.one(FILTERS) } else { "" };
        let between = if tape.once_in(30) { tape.one(" ~ & ~ , ~ . ~ : ~ a ~ \\n\\n ~ = ~ /").trim() } else { "\\n" };
        let text = format!("\"{between}{{{value}{filter}}}\"");
        parts.push(if tape.once_in(18) { under_condition(tape, &text) } else { text });
    }
    parts.join(", ")
}

fn under_condition(tape: &mut Tape, text: &str) -> String {
    let condition = tape.one(CONDITIONS);
    let (way, other) = if tape.below(2) == 0 { ("when", "unless") } else { ("unless", "when") };
    let one = format!("{{ text = {text}, {way} = \"{condition}\" }}");
    match tape.below(3) {
        0 => one,
        1 => format!("{one}, {{ text = \"\\nnone\", {other} = \"{condition}\" }}"),
        _ => format!("{one}, {{ text = \"\\n{{{}}}\", {other} = \"{condition}\" }}", tape.one(READ)),
    }
}

fn requires(tape: &mut Tape) -> String {
    let mut requires = String::new();
    for _ in 0..tape.below(3) {
        requires.push_str("[[require]]\n");
        if !tape.once_in(8) {
            _ = writeln!(requires, "{} = \"{}\"", tape.one("when ~ unless"), tape.one(CONDITIONS));
        }
        _ = match tape.below(8) {
            0..5 => writeln!(requires, "equal = [\"{}\", \"{}\"]", tape.one(READ), tape.one(READ)),
            5 => writeln!(requires, "one_of = [\"{}\", \"{}\"]", tape.one(READ), tape.one("1 ~ a ~ a=1 ~ 2")),
            6 => writeln!(requires, "absent = \"{}\"", tape.one(READ)),
            _ => writeln!(requires, "present = \"{}\"", tape.one(READ)),
        };
    }
    requires
}

fn collection(tape: &mut Tape, name: &str, from: &str, mac: &str) -> (String, Forgets) {
    let mut text = format!("[collect.{name}]\n");
    let is_mixed = from == "query" && tape.once_in(10);
    _ = if is_mixed { writeln!(text, "from = [\"query\", \"form\"]") } else { writeln!(text, "from = \"{from}\"") };
    if from == "headers" {
        let names = "names = \"header:x-signed | split:','\"";
        let missing = tape.one("missing = \"refuse\" ~ missing = \"skip\" ~ missing = \"empty\"");
        _ = if tape.once_in(4) { writeln!(text, "prefix = [\"x-m-\"]") } else { writeln!(text, "{names}\n{missing}") };
        let items = r#"item = "{name}:{value}\n" ~ item = "{name}:{value}\n" ~ item = "{name}:{value}"#;
        let items = format!("{items}\"\njoin = \"\\n\" ~ item = \"{{value}}\\n\" ~ item = \"{{name}}={{value}}\"\njoin = \",\"");
        _ = writeln!(text, "{}", tape.one(&items));
        return (text, Forgets::default());
    }
    let mut forgets = Forgets { escapes: from != "raw_query", ..Forgets::default() };
    if tape.once_in(6) {
        _ = writeln!(text, "names = \"header:x-list | split:','\"\nmissing = \"{}\"", tape.one("refuse ~ skip ~ empty"));
        forgets.names = true;
    } else if tape.once_in(10) {
        text.push_str("prefix = [\"a\"]\n");
    }
    let holds_mac = mac == "query:sign" && from.contains("query");
    let exclude = if holds_mac && !tape.once_in(8) { "[\"sign\"]" } else { tape.one("[] ~ [] ~ [] ~ [] ~ [] ~ [\"a\"] ~ [\"q\"]") };
    let escape = tape.one("pct ~ pct ~ pct_form ~ pct_uri");
    let value =
        if tape.once_in(8) { tape.one("lower ~ take:'2' | pct ~ drop_suffix:'0' | pct ~ before:',' | pct ~ sha256 | hex") } else { escape };
    let pair = if from == "raw_query" { "{pair}" } else { "{name}={value}" };
    let item = if tape.once_in(16) { tape.one("{value} ~ {name}:{value} ~ {name}={value | lower} ~ {name}") } else { pair };
    let join = if tape.once_in(8) { tape.one(", ~ \\n ~ %26 ~ ").trim() } else { "&" };
    let repeated = if tape.once_in(3) { tape.one("refuse ~ join:',' ~ sorted_join:',' ~ unique ~ first ~ join:'&'") } else { "each" };
    let sort = tape.one("none ~ name,value ~ name ~ item");
    _ = writeln!(
        text,
        "exclude = {exclude}\nname = \"{escape}\"\nvalue = \"{value}\"\nitem = \"{item}\"\njoin = \"{join}\"\nrepeated = \"{repeated}\""
    );
    if sort != "none" {
        _ = writeln!(text, "sort = \"{sort}\"");
    }
    if tape.once_in(12) {
        _ = writeln!(text, "item_empty = \"{}\"", tape.one("{name} ~ {name}= ~ -"));
    }
    for (times, more) in [(10, "skip_empty = true"), (6, "plus_is_space = true"), (8, "semicolon_is_plain = true")] {
        if tape.once_in(times) {
            _ = writeln!(text, "{more}");
        }
    }
    forgets.equals = item != "{pair}" || text.contains("item_empty");
    forgets.plus = text.contains("plus_is_space") || from == "form";
    forgets.names |= sort != "none" || repeated != "each";
    forgets.values |= matches!(sort, "name,value" | "item") || matches!(repeated, "sorted_join:','" | "unique");
    if is_mixed && !tape.once_in(4) {
        text.push_str("[[require]]\nwhen = \"method | is:'GET'\"\nabsent = \"body\"\n[[require]]\nunless = \"method | is:'GET'\"\nabsent = \"query\"\n");
    }
    (text, forgets)
}
