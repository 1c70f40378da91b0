//! The table of broken requests. For each of them the mistake must be named, nearly always as the first answer.

use aws_lc_rs::digest;

use super::*;

/// A request that is broken by one mistake.
pub(super) struct Broken {
    pub(super) expected: Mistake,
    pub(super) request: Request,
    /// The same request as it must be sent, before it is signed.
    sent: Request,
}

type Make = fn(&Client) -> (Request, Request);

/// What is sent, and what comes of the client's mistake.
fn pair(sent: &Request, make: impl FnOnce(&Request) -> Request) -> (Request, Request) {
    (sent.clone(), make(sent))
}

/// A request that is signed over another text than its own.
fn text(client: &Client, sent: &Request, change: impl FnOnce(&str) -> String) -> (Request, Request) {
    pair(sent, |sent| client.over(sent, change))
}

/// A request that is signed as another one.
fn view(client: &Client, sent: &Request, change: impl FnOnce(&mut Request)) -> (Request, Request) {
    pair(sent, |sent| client.signed_as(sent, change))
}

/// A request that is signed with another key.
fn key(client: &Client, sent: &Request, key: &[u8]) -> (Request, Request) {
    pair(sent, |sent| client.over_with(sent, str::to_owned, key))
}

/// A request whose canonical request is another one.
fn canonical(client: &Client, sent: &Request, change: impl FnOnce(&str) -> String) -> (Request, Request) {
    let right = client.right(sent);
    let headers = right.header_map();
    let fields = client.profile.find_fields(head(&right, &headers)).unwrap().unwrap();
    let trace = fields.trace(Body::of(&right.body), &[client.live(client.secret)], NOW);
    let (_, piece) = trace.pieces.into_iter().find(|(name, _)| name == "canonical_request").unwrap();
    let own = change(std::str::from_utf8(&piece).unwrap());
    let hash = |text: &[u8]| hex(digest::digest(&digest::SHA256, text).as_ref());
    text(client, sent, |text| replaced(text, &hash(&piece), &hash(own.as_bytes())))
}

/// A request with one more signed header, which is signed as this line.
fn with_note(client: &Client, line: &str) -> (Request, Request) {
    let mut sent = client.get.clone();
    sent.set("x-note", "green  tea");
    let (sent, mut request) = canonical(client, &sent, |text| {
        let text = replaced(text, "x-amz-date:20251124T160000Z\n", &format!("x-amz-date:20251124T160000Z\n{line}"));
        replaced(&text, "host;x-amz-date", "host;x-amz-date;x-note")
    });
    request.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=host;x-amz-date;x-note");
    (sent, request)
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to)
}

fn without_line(text: &str, number: usize) -> String {
    let lines: Vec<&str> = text.split('\n').enumerate().filter(|(index, _)| *index != number).map(|(_, line)| line).collect();
    lines.join("\n")
}

const COMPACT: &str = "{\"item\":\"tea\",\"count\":2,\"note\":\"a/b\"}";
const SORTED: &str = "{\"count\": 2, \"item\": \"tea\", \"note\": \"a/b\"}";
const INDENTED: &str = "{\n  \"item\": \"tea\",\n  \"count\": 2,\n  \"note\": \"a/b\"\n}";
const TS: &str = "1764000000";

#[rustfmt::skip]
const CASES: &[(&str, Mistake, Make)] = &[
    ("v3.0", Mistake::QueryLeftOut, |c| view(c, &c.get, |r| r.target = "/Orders/List".to_owned())),
    ("v3.0", Mistake::QueryDecoded, |c| view(c, &c.get, |r| r.target = r.target.replace("%20", " "))),
    ("v3.0", Mistake::PlusForSpace, |c| view(c, &c.get, |r| r.target = r.target.replace("%20", "+"))),
    ("v3.0", Mistake::QuerySorted, |c| view(c, &c.get, |r| r.target = "/Orders/List?Limit=5&name=green%20tea&status=open".to_owned())),
    ("v3.0", Mistake::PathCase, |c| view(c, &c.get, |r| r.target = r.target.replace("/Orders/List", "/orders/list"))),
    ("v3.0", Mistake::TrailingSlash, |c| view(c, &c.post, |r| r.target.push('/'))),
    ("v3.0", Mistake::FullUrl, |c| view(c, &c.get, |r| r.target = format!("https://api.example.com{}", r.target))),
    ("v3.0", Mistake::PathPrefix, |c| view(c, &Request::get("/api/orders?a=1"), |r| r.target = "/orders?a=1".to_owned())),
    ("v3.0", Mistake::PathDecoded, |c| view(c, &Request::get("/caf%C3%A9"), |r| r.target = "/café".to_owned())),
    ("v3.0", Mistake::PercentCase, |c| view(c, &Request::get("/o?a=%2F%3A"), |r| r.target = "/o?a=%2f%3a".to_owned())),
    ("v3.0", Mistake::ParameterLeftOut, |c| view(c, &c.get, |r| r.target = r.target.replace("&Limit=5", ""))),
    ("v3.0", Mistake::MethodCase, |c| view(c, &c.get, |r| r.method = "get")),
    ("v3.0", Mistake::OtherMethod, |c| view(c, &c.post, |r| r.method = "PUT")),
    ("v3.0", Mistake::HostPort, |c| text(c, &c.get, |text| replaced(text, "api.example.com", "api.example.com:443"))),
    ("v3.0", Mistake::OtherHost, |c| view(c, &c.get, |r| r.host = "localhost:8080")),
    ("v3.0", Mistake::OtherHost, |c| {
        let mut sent = c.get.clone();
        sent.set("x-forwarded-host", "shop.example.org");
        view(c, &sent, |r| r.host = "shop.example.org")
    }),
    ("v3.0", Mistake::ContentTypeLeftOut, |c| view(c, &c.post, |r| r.headers.clear())),
    ("v3.0", Mistake::ContentTypeParameters, |c| {
        let sent = Request::post("/orders", "application/json; charset=utf-8", ORDER);
        view(c, &sent, |r| r.set("content-type", "application/json"))
    }),
    ("v3.0", Mistake::OtherContentType, |c| view(c, &c.post, |r| r.set("content-type", "text/plain"))),
    ("v3.0", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = COMPACT.into())),
    ("v3.0", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = SORTED.into())),
    ("v3.0", Mistake::BodyNewline, |c| view(c, &Request::post("/orders", "application/json", "{}\n"), |r| r.body = b"{}".to_vec())),
    ("v3.0", Mistake::BodyLineEndings, |c| view(c, &Request::post("/o", "text/plain", "a\r\nb\r\n"), |r| r.body = b"a\nb\n".to_vec())),
    ("v3.0", Mistake::BodyLeftOut, |c| view(c, &c.post, |r| r.body.clear())),
    ("v3.0", Mistake::OtherEmptyBody, |c| view(c, &c.get, |r| r.body = b"{}".to_vec())),
    ("v3.0", Mistake::BodyEncoded, |c| view(c, &c.post, |r| r.body = base64(&r.body).into())),
    ("v3.0", Mistake::BodyCharset, |c| {
        let sent = Request::post("/o", "text/plain", "Grüße");
        let hash = |body: &[u8]| hex(digest::digest(&digest::SHA256, body).as_ref());
        text(c, &sent, |text| replaced(text, &hash("Grüße".as_bytes()), &hash(b"Gr\xfc\xdfe")))
    }),
    ("v3.0", Mistake::DigestForm, |c| {
        let hash = digest::digest(&digest::SHA256, ORDER.as_bytes());
        text(c, &c.post, |text| replaced(text, &hex(hash.as_ref()), &base64(hash.as_ref())))
    }),
    ("v3.0", Mistake::OtherDigest, |c| {
        let hash = |algorithm| hex(digest::digest(algorithm, ORDER.as_bytes()).as_ref());
        text(c, &c.post, |text| replaced(text, &hash(&digest::SHA256), &hash(&digest::SHA512)))
    }),
    ("v3.0", Mistake::NotHashed, |c| {
        let hash = digest::digest(&digest::SHA256, ORDER.as_bytes());
        text(c, &c.post, |text| replaced(text, &hex(hash.as_ref()), ORDER))
    }),
    ("v3.0", Mistake::TrailingNewline, |c| text(c, &c.get, |text| format!("{text}\n"))),
    ("v3.0", Mistake::LineEndings, |c| text(c, &c.get, |text| text.replace('\n', "\r\n"))),
    ("v3.0", Mistake::LiteralNewline, |c| text(c, &c.get, |text| text.replace('\n', "\\n"))),
    ("v3.0", Mistake::LinesJoined, |c| text(c, &c.get, |text| text.replace('\n', ""))),
    ("v3.0", Mistake::SurroundingSpace, |c| text(c, &c.get, |text| format!("{text} "))),
    ("v3.0", Mistake::NonceLeftOut, |c| text(c, &c.get, |text| without_line(text, 3))),
    ("v3.0", Mistake::KeyIdLeftOut, |c| text(c, &c.get, |text| without_line(text, 1))),
    ("v3.0", Mistake::PartsSwapped, |c| text(c, &c.get, |text| replaced(text, "GET\napi.example.com", "api.example.com\nGET"))),
    ("v3.0", Mistake::PartLeftOut, |c| text(c, &c.get, |text| without_line(text, 0))),
    ("v3.0", Mistake::ContentTypeLeftOut, |c| text(c, &c.get, |text| without_line(text, 7))),
    ("v3.0", Mistake::StringHashed, |c| text(c, &c.get, |text| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()))),
    ("v3.0", Mistake::TimestampUnit, |c| text(c, &c.get, |text| replaced(text, TS, "1764000000000"))),
    ("v3.0", Mistake::TimestampUnit, |c| {
        let (sent, mut request) = text(c, &c.get, |text| replaced(text, TS, "1764000000000"));
        request.set("X-Timestamp", "1764000000000");
        (sent, request)
    }),
    ("v3.0", Mistake::TimestampForm, |c| {
        let (sent, mut request) = text(c, &c.get, |text| replaced(text, TS, "2025-11-24T16:00:00Z"));
        request.set("X-Timestamp", "2025-11-24T16:00:00Z");
        (sent, request)
    }),
    ("v3.0", Mistake::TimestampTakenTwice, |c| text(c, &c.get, |text| replaced(text, TS, "1763999999"))),
    ("v3.0", Mistake::ClockOff, |c| pair(&c.get, |sent| c.send(sent, &c.sign(sent, c.secret, UnixMillis::from_seconds(1_763_999_500))))),
    ("v3.0", Mistake::LocalTime, |c| pair(&c.get, |sent| c.send(sent, &c.sign(sent, c.secret, UnixMillis::from_seconds(1_764_007_201))))),
    ("v3.0", Mistake::LocalTime, |c| pair(&c.get, |sent| c.send(sent, &c.sign(sent, c.secret, UnixMillis::from_seconds(1_764_019_799))))),
    ("v3.0", Mistake::Base64ForHex, |c| pair(&c.get, |sent| c.encoded(sent, base64))),
    ("v3.0", Mistake::UpperCaseHex, |c| pair(&c.get, |sent| c.encoded(sent, |mac| hex(mac).to_uppercase()))),
    ("v3.0", Mistake::OtherAlgorithm, |c| pair(&c.get, |sent| {
        let string = c.string(sent);
        c.encoded(sent, |_| hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, c.secret.as_bytes()), string.as_bytes()).as_ref()))
    })),
    ("v3.0", Mistake::SecretNewline, |c| key(c, &c.get, format!("{}\n", c.secret).as_bytes())),
    ("v3.0", Mistake::SecretPrefix, |c| key(c, &c.get, &c.secret.as_bytes()[4..])),
    ("v3.0", Mistake::SecretQuoted, |c| key(c, &c.get, format!("\"{}\"", c.secret).as_bytes())),
    ("v3.0", Mistake::KeyIdAsSecret, |c| key(c, &c.get, c.key_id.as_bytes())),
    ("v3.0", Mistake::SecretDecoded, |c| key(c, &c.get, super::super::super::encoding::unhex(&c.secret.as_bytes()[4..]).unwrap().as_slice())),
    ("v3.0", Mistake::SecretEncoded, |c| key(c, &c.get, base64(c.secret.as_bytes()).as_bytes())),
    ("v3.0", Mistake::SecretEmpty, |c| key(c, &c.get, b"")),
    ("v3.0", Mistake::PrefixMissing, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.replace("v3=", "");
        request
    })),
    ("v3.0", Mistake::PrefixMissing, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.replace("v3=", "sha256=");
        request
    })),
    ("v3.0", Mistake::HeaderMisspelled, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.headers.iter_mut().find(|(name, _)| name == "X-Timestamp").unwrap().0 = "X-Timstamp".to_owned();
        request
    })),
    ("v3.0", Mistake::HeaderMisspelled, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.headers.iter_mut().find(|(name, _)| name == "X-Signature").unwrap().0 = "Signature".to_owned();
        request
    })),
    ("v3.0", Mistake::HeaderMissing, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.headers.retain(|(name, _)| name != "X-Nonce");
        request
    })),
    ("v3.0", Mistake::FieldMalformed, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.set("X-Nonce", "short");
        request
    })),
    ("v3.0", Mistake::NotSigned, |c| pair(&c.get, Request::clone)),
    ("v3.0", Mistake::MacMalformed, |c| pair(&c.get, |sent| c.encoded(sent, |mac| hex(&mac[..30])))),

    ("v3.0", Mistake::QueryReencoded, |c| view(c, &Request::get("/o?q=a:b"), |r| r.target = "/o?q=a%3Ab".to_owned())),
    ("v3.0", Mistake::EmptyValue, |c| view(c, &Request::get("/o?all&a=1"), |r| r.target = "/o?all=&a=1".to_owned())),
    ("v3.0", Mistake::BareQuestionMark, |c| view(c, &Request::get("/o"), |r| r.target = "/o?".to_owned())),
    ("v3.0", Mistake::PathEncodedTwice, |c| view(c, &Request::get("/a%20b"), |r| r.target = "/a%2520b".to_owned())),
    ("v3.0", Mistake::LeadingSlash, |c| view(c, &c.get, |r| r.target = r.target.replacen('/', "", 1))),
    ("v3.0", Mistake::PathNormalised, |c| view(c, &Request::get("/a//b"), |r| r.target = "/a/b".to_owned())),
    ("v3.0", Mistake::HostCase, |c| text(c, &c.get, |text| replaced(text, "api.example.com", "API.EXAMPLE.COM"))),
    ("v3.0", Mistake::BodyMark, |c| view(c, &Request::post("/o", "text/plain", "\u{feff}tea"), |r| r.body = b"tea".to_vec())),
    ("v3.0", Mistake::BodyTrimmed, |c| view(c, &Request::post("/o", "text/plain", " tea "), |r| r.body = b"tea".to_vec())),
    ("v3.0", Mistake::FormRewritten, |c| {
        view(c, &Request::post("/o", "application/x-www-form-urlencoded", "item=green+tea"), |r| r.body = b"item=green%20tea".to_vec())
    }),
    ("edgegrid", Mistake::NonceForm, |c| text(c, &c.get, |text| replaced(text, "30313233-3435-4637-b839-616263646566", "3031323334354637b839616263646566"))),
    ("v3.0", Mistake::OtherField, |c| text(c, &c.get, |text| replaced(text, "ck_0123456789abcdef", "CK_0123456789ABCDEF"))),
    ("v3.0", Mistake::StringEncoded, |c| text(c, &c.get, |text| base64(text.as_bytes()))),
    ("v3.0", Mistake::SecretCase, |c| key(c, &c.get, c.secret.to_uppercase().as_bytes())),

    ("rfc9421", Mistake::DigestDiffers, |c| view(c, &c.post, |r| r.body = b"something else".to_vec())),
    ("rfc9421", Mistake::Expired, |c| {
        let (created, ended) = (";created=1764000000", ";created=1764000000;expires=1763999990");
        let (sent, mut request) = text(c, &c.get, |text| replaced(text, created, ended));
        request.replace(created, ended);
        (sent, request)
    }),
    ("rfc9421", Mistake::BaseLines, |c| text(c, &c.get, |text| replaced(text, "\"@query\": ?", "\"@query\": "))),
    ("rfc9421", Mistake::SignatureParams, |c| text(c, &c.get, |text| text.rsplit_once('\n').unwrap().0.to_owned())),
    ("rfc9421", Mistake::SignatureParams, |c| text(c, &c.get, |text| replaced(text, ";nonce=\"30313233343536373839616263646566\"", ""))),
    ("rfc9421", Mistake::TrailingNewline, |c| text(c, &c.get, |text| format!("{text}\n"))),
    ("rfc9421", Mistake::MethodCase, |c| text(c, &c.get, |text| replaced(text, "GET", "get"))),
    ("rfc9421", Mistake::HostPort, |c| text(c, &c.get, |text| replaced(text, "api.example.com", "api.example.com:443"))),
    ("rfc9421", Mistake::PathCase, |c| text(c, &c.get, |text| replaced(text, "/Orders/List", "/orders/list"))),
    ("rfc9421", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = COMPACT.into())),
    ("rfc9421", Mistake::NotCovered, |c| view(c, &c.get, |r| r.target = "/Orders/List".to_owned())),
    ("rfc9421", Mistake::SecretEncoded, |c| key(c, &c.get, hex(c.secret.as_bytes()).as_bytes())),
    ("rfc9421", Mistake::OtherHost, |c| view(c, &c.get, |r| r.host = "127.0.0.1:8000")),

    ("sigv4", Mistake::QueryIncluded, |c| canonical(c, &Request::get("/list?a=1"), |text| replaced(text, "\n/list\n", "\n/list%3Fa%3D1\n"))),
    ("sigv4", Mistake::OtherOrder, |c| canonical(c, &Request::get("/list?c=3&a=2&a-b=1"), |text| {
        replaced(text, "a=2&a-b=1&c=3", "a-b=1&a=2&c=3")
    })),
    ("sigv4", Mistake::HeaderSpaces, |c| with_note(c, "x-note:green  tea\n")),
    ("sigv4", Mistake::OtherHeaderValue, |c| with_note(c, "x-note:\n")),
    ("sigv4", Mistake::QueryUnsorted, |c| canonical(c, &c.get, |text| {
        replaced(text, "Limit=5&name=green%20tea&status=open", "status=open&name=green%20tea&Limit=5")
    })),
    ("sigv4", Mistake::QueryLeftOut, |c| canonical(c, &c.get, |text| replaced(text, "Limit=5&name=green%20tea&status=open", ""))),
    ("sigv4", Mistake::PathEncodedOnce, |c| canonical(c, &Request::get("/a%20b"), |text| replaced(text, "/a%2520b", "/a%20b"))),
    ("sigv4", Mistake::TrailingNewline, |c| canonical(c, &c.get, |text| format!("{text}\n"))),
    ("sigv4", Mistake::UnsignedPayload, |c| canonical(c, &c.get, |text| format!("{}\nUNSIGNED-PAYLOAD", text.rsplit_once('\n').unwrap().0))),
    ("sigv4", Mistake::HostPort, |c| canonical(c, &c.get, |text| replaced(text, "host:api.example.com", "host:api.example.com:443"))),
    ("sigv4", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = COMPACT.into())),
    ("sigv4", Mistake::OtherDerivation, |c| {
        let start = format!("AWS4{}", c.secret).into_bytes();
        key(c, &c.get, &["20251124", "us-east-1", "orders", "aws4_request"].iter().fold(start, |key, text| mac(&key, text.as_bytes())))
    }),
    ("sigv4", Mistake::DerivationLeftOut, |c| {
        let start = format!("AWS4{}", c.secret).into_bytes();
        key(c, &c.get, &["20251124", "eu-1", "orders"].iter().fold(start, |key, text| mac(&key, text.as_bytes())))
    }),
    ("sigv4", Mistake::KeyPartLeftOut, |c| {
        let start = c.secret.as_bytes().to_vec();
        key(c, &c.get, &["20251124", "eu-1", "orders", "aws4_request"].iter().fold(start, |key, text| mac(&key, text.as_bytes())))
    }),
    ("sigv4", Mistake::DerivedKeyForm, |c| {
        let start = format!("AWS4{}", c.secret).into_bytes();
        key(c, &c.get, &["20251124", "eu-1", "orders", "aws4_request"].iter().fold(start, |key, text| hex(&mac(&key, text.as_bytes())).into()))
    }),
    ("sigv4", Mistake::Base64ForHex, |c| pair(&c.get, |sent| c.encoded(sent, base64))),

    ("oauth1", Mistake::KeyPartLeftOut, |c| key(c, &c.get, c.secret.as_bytes())),
    ("oauth1", Mistake::OtherScheme, |c| view(c, &c.get, |r| r.scheme = Scheme::Http)),
    ("oauth1", Mistake::ParameterLeftOut, |c| {
        text(c, &c.post, |text| replaced(&replaced(text, "count%3D2%26", ""), "item%3Dgreen%2520tea%26", ""))
    }),
    ("oauth1", Mistake::QueryLeftOut, |c| view(c, &c.get, |r| r.target = "/Orders/List".to_owned())),
    ("oauth1", Mistake::HexForBase64, |c| pair(&c.get, |sent| c.encoded(sent, hex))),
    ("oauth1", Mistake::OtherAlgorithm, |c| pair(&c.get, |sent| {
        let string = c.string(sent);
        c.encoded(sent, |_| base64(&mac(&(c.key)(c), string.as_bytes())).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"))
    })),

    ("amx", Mistake::SecretNotDecoded, |c| key(c, &c.get, c.secret.as_bytes())),
    ("amx", Mistake::OtherPercentEncoding, |c| text(c, &c.get, |text| {
        ["%3a", "%2f", "%3f", "%3d"].iter().fold(text.to_owned(), |text, digits| replaced(&text, digits, &digits.to_uppercase()))
    })),
    ("amx", Mistake::Base64OfHex, |c| pair(&c.get, |sent| c.encoded(sent, |mac| base64(hex(mac).as_bytes())))),
    ("amx", Mistake::Base64Alphabet, |c| {
        // One whose MAC is not the same in both alphabets.
        let mut all = (0..20).map(|n| Request::get(&format!("/o?n={n}")));
        let sent = all.find(|sent| c.right(sent).headers[0].1.contains('/')).unwrap();
        pair(&sent, |sent| c.encoded(sent, |mac| base64(mac).replace('/', "_").replace('+', "-")))
    }),
    ("amx", Mistake::MacEscaped, |c| pair(&c.get, |sent| c.encoded(sent, |mac| base64(mac).replace('/', "%2F").replace('=', "%3D")))),
    ("amx", Mistake::LetterCase, |c| text(c, &c.get, |text| {
        replaced(&replaced(text, "orders%2flist", "Orders%2fList"), "limit", "Limit")
    })),
    ("amx", Mistake::PathForUrl, |c| text(c, &c.post, |text| replaced(text, "https%3a%2f%2fapi.example.com", ""))),
    ("amx", Mistake::OtherScheme, |c| view(c, &c.get, |r| r.scheme = Scheme::Http)),
    ("amx", Mistake::HexForBase64, |c| pair(&c.get, |sent| c.encoded(sent, hex))),
    ("amx", Mistake::BodyLeftOut, |c| view(c, &c.post, |r| r.body.clear())),
    ("amx", Mistake::QueryLeftOut, |c| view(c, &c.get, |r| r.target = "/Orders/List".to_owned())),

    ("cavage", Mistake::HeaderOrder, |c| text(c, &c.get, |text| {
        let lines: Vec<&str> = text.split('\n').collect();
        [lines[1], lines[0], lines[2]].join("\n")
    })),
    ("cavage", Mistake::HeaderLines, |c| text(c, &c.get, |text| text.replace(": ", ":"))),
    ("cavage", Mistake::HeaderCase, |c| text(c, &c.get, |text| text.replace("host:", "Host:").replace("date:", "Date:"))),
    ("cavage", Mistake::PartLeftOut, |c| text(c, &c.post, |text| text.rsplit_once('\n').unwrap().0.to_owned())),
    ("cavage", Mistake::QueryLeftOut, |c| view(c, &c.get, |r| r.target = "/Orders/List".to_owned())),
    ("cavage", Mistake::DigestForm, |c| {
        let hash = digest::digest(&digest::SHA256, ORDER.as_bytes());
        let (sent, mut request) = text(c, &c.post, |text| replaced(text, &base64(hash.as_ref()), &hex(hash.as_ref())));
        request.replace(&base64(hash.as_ref()), &hex(hash.as_ref()));
        (sent, request)
    }),
    ("cavage", Mistake::HeaderNotListed, |c| {
        let (sent, mut request) = text(c, &c.get, |text| without_line(text, 1));
        request.replace("(request-target) host date", "(request-target) date");
        (sent, request)
    }),
    ("cavage", Mistake::OtherAlgorithm, |c| pair(&c.get, |sent| {
        let string = c.string(sent);
        c.encoded(sent, |_| base64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, c.secret.as_bytes()), string.as_bytes()).as_ref()))
    })),

    ("kong", Mistake::PrefixMissing, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.replace("hmac username", "Signature username");
        request
    })),
    ("kong", Mistake::MethodCase, |c| text(c, &c.get, |text| replaced(text, "get /", "GET /"))),
    ("kong", Mistake::HexForBase64, |c| pair(&c.get, |sent| c.encoded(sent, hex))),
    ("kong", Mistake::MemberMissing, |c| pair(&c.get, |sent| {
        let mut request = c.right(sent);
        request.replace("signature=", "signatur=");
        request
    })),

    ("standardwebhooks", Mistake::SecretNotDecoded, |c| key(c, &c.post, c.secret.as_bytes())),
    ("standardwebhooks", Mistake::SecretNotDecoded, |c| key(c, &c.post, &c.secret.as_bytes()[6..])),
    ("standardwebhooks", Mistake::TimestampUnit, |c| text(c, &c.post, |text| replaced(text, TS, "1764000000000"))),
    ("standardwebhooks", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = COMPACT.into())),
    ("standardwebhooks", Mistake::NonceLeftOut, |c| text(c, &c.post, |text| text.split_once('.').unwrap().1.to_owned())),
    ("standardwebhooks", Mistake::PrefixMissing, |c| pair(&c.post, |sent| {
        let mut request = c.right(sent);
        request.replace("v1,", "");
        request
    })),

    ("stripe", Mistake::SecretDecoded, |c| key(c, &c.post, &STANDARD.decode(&c.secret.as_bytes()[6..]).unwrap())),
    ("stripe", Mistake::SecretPrefix, |c| key(c, &c.post, &c.secret.as_bytes()[6..])),
    ("stripe", Mistake::TimestampLeftOut, |c| text(c, &c.post, |text| text.split_once('.').unwrap().1.to_owned())),
    ("stripe", Mistake::LinesJoined, |c| text(c, &c.post, |text| text.replacen('.', ":", 1))),
    ("stripe", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = INDENTED.into())),

    ("slack", Mistake::PartLeftOut, |c| text(c, &c.post, |text| text.strip_prefix("v0:").unwrap().to_owned())),
    ("slack", Mistake::BodyNewline, |c| text(c, &c.post, |text| format!("{text}\n"))),
    ("slack", Mistake::SecretQuoted, |c| key(c, &c.post, format!("'{}'", c.secret).as_bytes())),

    ("github", Mistake::PrefixMissing, |c| pair(&c.post, |sent| {
        let mut request = c.right(sent);
        request.replace("sha256=", "");
        request
    })),
    ("github", Mistake::OtherAlgorithm, |c| pair(&c.post, |sent| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, c.secret.as_bytes()), ORDER.as_bytes());
        c.encoded(sent, |_| hex(tag.as_ref()))
    })),
    ("github", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = COMPACT.replace('/', "\\/").into())),
    ("github", Mistake::KeyAndStringSwapped, |c| pair(&c.post, |sent| c.encoded(sent, |_| hex(&mac(ORDER.as_bytes(), c.secret.as_bytes()))))),

    ("hawk", Mistake::QueryLeftOut, |c| view(c, &c.get, |r| r.target = "/Orders/List".to_owned())),
    ("hawk", Mistake::TrailingNewline, |c| text(c, &c.get, |text| text.strip_suffix('\n').unwrap().to_owned())),
    ("hawk", Mistake::HostPort, |c| {
        let mut sent = c.get.clone();
        sent.host = "api.example.com:8443";
        text(c, &sent, |text| replaced(text, "api.example.com\n", "api.example.com:8443\n"))
    }),
    ("hawk", Mistake::OtherScheme, |c| view(c, &c.get, |r| r.scheme = Scheme::Http)),
    ("hawk", Mistake::HexForBase64, |c| pair(&c.get, |sent| c.encoded(sent, hex))),
    ("hawk", Mistake::JsonRewritten, |c| view(c, &c.post, |r| r.body = COMPACT.into())),

    ("hawk", Mistake::StepLeftOut, |c| {
        let sent = Request::post("/orders", "application/json; charset=utf-8", ORDER);
        let hash = |content_type: &str| {
            base64(digest::digest(&digest::SHA256, format!("hawk.1.payload\n{content_type}\n{ORDER}\n").as_bytes()).as_ref())
        };
        let (right, own) = (hash("application/json"), hash("application/json; charset=utf-8"));
        let (sent, mut request) = text(c, &sent, |text| replaced(text, &right, &own));
        request.replace(&right, &own);
        (sent, request)
    }),

    ("edgegrid", Mistake::QueryLeftOut, |c| view(c, &c.get, |r| r.target = "/Orders/List".to_owned())),
    ("edgegrid", Mistake::DerivationLeftOut, |c| key(c, &c.get, c.secret.as_bytes())),
    ("edgegrid", Mistake::DerivedKeyForm, |c| key(c, &c.get, &mac(c.secret.as_bytes(), b"20251124T16:00:00+0000"))),
    ("edgegrid", Mistake::OtherHost, |c| view(c, &c.get, |r| r.host = "localhost")),
    ("edgegrid", Mistake::BodyLeftOut, |c| view(c, &c.post, |r| r.body.clear())),
];

/// Every broken request, with the name of its profile.
pub(super) fn cases() -> Vec<(&'static str, Broken)> {
    let make = |(name, expected, make): &(&'static str, Mistake, Make)| {
        let (sent, request) = make(&Client::of(name));
        (*name, Broken { expected: *expected, request, sent })
    };
    CASES.iter().map(make).collect()
}

#[test]
fn each_mistake_is_named_and_putting_it_right_verifies() {
    let (mut first, mut wrong) = (0, Vec::new());
    let all = cases();
    for (number, (name, broken)) in all.iter().enumerate() {
        let client = Client::of(name);
        assert!(client.accepts(&broken.request).is_err(), "{name} {number}, {}: is not broken", broken.expected);
        let diagnosis = client.diagnose(&broken.request);
        // The fix is to do it right: what every finding tells to change is then as the scheme asks.
        client.accepts(&client.right(&broken.sent)).unwrap_or_else(|refusal| panic!("{name} {number}: {refusal}"));
        let found: Vec<&[Mistake]> = diagnosis.findings.iter().map(|finding| &*finding.mistakes).collect();
        if found.first().is_some_and(|mistakes| mistakes[0] == broken.expected) {
            first += 1;
            if broken.expected.kind() == mistake::Kind::Tried && !diagnosis.findings[0].verifies {
                wrong.push(format!("{name} {number}, {}: not shown to verify: {:?}", broken.expected, diagnosis.findings));
            }
        } else {
            wrong.push(format!("{name} {number}, {}: {:#?}", broken.expected, diagnosis.findings));
        }
    }
    for mistake in Mistake::ALL {
        let elsewhere = cases::SHOWN.contains(mistake);
        assert!(
            elsewhere != all.iter().any(|(_, broken)| broken.expected == *mistake),
            "{mistake} must be shown once, here or in cases.rs"
        );
    }
    assert!(wrong.is_empty(), "{first} of {} were first; not:\n{}", all.len(), wrong.join("\n"));
}
