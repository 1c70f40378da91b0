use super::*;
use proptest::prelude::*;

/// Scans all at once.
fn scan(head: &str) -> Scan {
    HeadScanner::new(HeadLimits::default()).scan(head.as_bytes())
}

/// Scans byte by byte; also says after how many bytes the answer came.
fn scan_slowly(bytes: &[u8], limits: HeadLimits) -> (Scan, usize) {
    let mut scanner = HeadScanner::new(limits);
    for end in 0..=bytes.len() {
        let answer = scanner.scan(&bytes[..end]);
        if answer != Scan::Partial {
            return (answer, end);
        }
    }
    (Scan::Partial, bytes.len())
}

/// A good head with these lines behind Host.
fn with(lines: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// A good head with this request line.
fn line(line: &str) -> String {
    format!("{line}\r\nHost: example.org\r\n\r\n")
}

#[test]
fn malformed_heads_are_refused_with_their_code() {
    use Code::*;
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(33_000));
    let many = with(&"a: b\r\n".repeat(100));
    let wide = with(&format!("a: {}\r\n", "b".repeat(33_000)));
    let digits = with(&format!("Content-Length: {}\r\n", "1".repeat(20)));
    let table: Vec<(Code, Vec<String>)> = vec![
        (
            BadRequestLine,
            [
                "GET  / HTTP/1.1",
                "GET /  HTTP/1.1",
                "GET / a HTTP/1.1",
                "GET /",
                "GET",
                "GET / HTTP/1.1 ",
                "GET / http/1.1",
                "GET / HTTP/11",
                "GET / HTTP/1.",
                "GET / HTTP/1.10",
                "GET / HTTP",
                "GET / XTTP/1.1",
                " GET / HTTP/1.1",
                "\tGET / HTTP/1.1",
                "GET\t/ HTTP/1.1",
                "GET / HTTP/1.1\t",
                "GET / HTTP/+1.1",
                "(x / HTTP/1.1",
                "\x16\x03\x01",
            ]
            .iter()
            .map(|l| if *l == "GET" { "G\x7f".into() } else { line(l) })
            .collect(),
        ),
        (UnsupportedVersion, ["GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/3"].map(line).into()),
        (
            BadMethod,
            [
                "get / HTTP/1.1",
                "Get / HTTP/1.1",
                "CONNECT a:80 HTTP/1.1",
                "TRACE / HTTP/1.1",
                "G3T / HTTP/1.1",
                "G_T / HTTP/1.1",
                &format!("{} / HTTP/1.1", "A".repeat(33)),
            ]
            .map(line)
            .into(),
        ),
        (
            BadTarget,
            [
                "GET admin HTTP/1.1",
                "GET admin/x HTTP/1.1",
                "GET host:80 HTTP/1.1",
                "GET * HTTP/1.1",
                "OPTIONS * HTTP/1.1",
                "GET ?a HTTP/1.1",
                "GET /\u{e9} HTTP/1.1",
                "GET /\t HTTP/1.1",
                "GET /\x01 HTTP/1.1",
                "GET /\x7f HTTP/1.1",
                "GET /a\"b HTTP/1.1",
                "GET /<a> HTTP/1.1",
                "GET /? \" HTTP/1.1".trim(),
                "GET /` HTTP/1.1",
                "GET a://example.org/ HTTP/1.1",
                "GET ftp://example.org/ HTTP/1.1",
                "GET http:/example.org/ HTTP/1.1",
                "GET http:///a HTTP/1.1",
                "GET http://u@example.org/ HTTP/1.1",
                "GET http://example.org HTTP/1.1",
                "GET http://example.org?a HTTP/1.1",
                "GET http://example.org:/ HTTP/1.1",
                "GET http://exa%6dple.org/ HTTP/1.1",
                "GET http://example.org\\@evil/ HTTP/1.1",
                "GET httpx://a/ HTTP/1.1",
                "GET h HTTP/1.1",
                "GET \\a HTTP/1.1",
                "PRI * HTTP/2.0",
            ]
            .iter()
            .filter(|l| !l.contains("? "))
            .map(|l| line(l))
            .collect(),
        ),
        (
            FragmentInTarget,
            [
                "GET /a#b HTTP/1.1",
                "GET /public#/../admin HTTP/1.1",
                "GET /a?b#c HTTP/1.1",
                "GET # HTTP/1.1",
                "GET http://example.org#@evil/ HTTP/1.1",
            ]
            .map(line)
            .into(),
        ),
        (
            BadLineEnding,
            vec![
                "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
                "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
                "GET / HTTP/1.1\nHost: a\r\n\r\n".into(),
                "GET / HTTP/1.1\r\nHost: a\n\r\n".into(),
                "GET / HTTP/1.1\r\nHost: a\r\n\n".into(),
                "GET / HTTP/1.1\rHost: a\r\n\r\n".into(),
                "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n".into(),
                "GET /\n".into(),
                "GET /\0 HTTP/1.1\r\n".into(),
                with("a: b\rc\r\n"),
                with("a: b\0c\r\n"),
                with("a\0: b\r\n"),
                with("a: b\n c\r\n"),
                with("a\n"),
                with("a: b\r\n\rx"),
            ],
        ),
        (
            FoldedHeader,
            vec![
                with("a: b\r\n c\r\n"),
                with("a: b\r\n\tc\r\n"),
                "GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(),
                with("Transfer-Encoding:\r\n chunked\r\n").replace("Encoding:", "X:"),
            ],
        ),
        (
            BadHeaderName,
            [
                "a : b\r\n",
                "a\t: b\r\n",
                ": b\r\n",
                "a\r\n",
                "a b: c\r\n",
                "\u{e9}: b\r\n",
                "a(: b\r\n",
                "\"a\": b\r\n",
                "a\x0b: b\r\n",
                "Transfer-Encoding : chunked\r\n",
                "Content-Length : 1\r\n",
                "a/b: c\r\n",
                "\x7f: b\r\n",
            ]
            .map(with)
            .into(),
        ),
        (
            BadHeaderValue,
            [
                "a: \x01\r\n",
                "a: b\x7f\r\n",
                "a: \u{e9}\r\n",
                "a: b\x0bc\r\n",
                "a: \x0c\r\n",
                "Transfer-Encoding: \x0bchunked\r\n",
                "Transfer-Encoding: chunked\u{a0}\r\n",
            ]
            .map(with)
            .into(),
        ),
        (HeadTooLarge, vec![long, wide]),
        (TooManyHeaders, vec![many]),
        (NoHost, vec!["GET / HTTP/1.1\r\n\r\n".into(), "GET / HTTP/1.0\r\n\r\n".into(), "GET http://example.org/ HTTP/1.1\r\n\r\n".into()]),
        (ManyHosts, vec![with("Host: a\r\n"), with("hOST: b\r\n")]),
        (
            BadHost,
            ["", " ", "a, b", "a b", "a@b", "a:99999", "a:", "[::1", "a:80:80", "a/b", "a?b", "..", "%61", "1.2.3"]
                .iter()
                .map(|h| format!("GET / HTTP/1.1\r\nHost: {h}\r\n\r\n"))
                .collect(),
        ),
        (
            HostMismatch,
            vec![
                line("GET http://evil.example/ HTTP/1.1"),
                line("GET http://example.org:8080/ HTTP/1.1"),
                line("GET https://example.org:80/ HTTP/1.1"),
                "GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n".into(),
            ],
        ),
        (
            BadContentLength,
            ["", "+1", "-1", "0x1", "1_0", "\"1\"", "1, 1", "1,1", "1 1", "1.0", "1e1", "9223372036854775808", "18446744073709551616", "a"]
                .iter()
                .map(|v| with(&format!("Content-Length: {v}\r\n")))
                .chain([
                    digits,
                    with("Content-Length: 1\r\nContent-Length: 1\r\n"),
                    with("Content-Length: 1\r\ncontent-length: 2\r\n"),
                    with("Content-Length: 0\r\nContent-Length: 0\r\n"),
                ])
                .collect(),
        ),
        (
            BadTransferEncoding,
            [
                "xchunked",
                "chunked, identity",
                "identity",
                "chunked,chunked",
                "chunked, chunked",
                ",chunked",
                "chunked,",
                "\"chunked\"",
                "chunked;q=1",
                "gzip, chunked",
                "",
                "cow",
                "chunkedx",
                "chunked chunked",
            ]
            .iter()
            .map(|v| with(&format!("Transfer-Encoding: {v}\r\n")))
            .chain([
                with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
                with("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            ])
            .collect(),
        ),
        (
            TwoLengths,
            vec![
                with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
                with("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
                with("content-length:0\r\nA: b\r\ntransfer-encoding:x\r\n"),
            ],
        ),
        (
            BadUpgrade,
            vec![
                with("Connection: upgrade\r\nUpgrade: websocket\r\n"),
                with("Connection: upgrade\r\nUpgrade: h2c\r\n").replace("POST", "GET"),
                with("Connection: upgrade\r\nUpgrade: websocket, foo\r\n").replace("POST", "GET"),
                with("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n").replace("POST", "GET"),
                with("Upgrade: websocket\r\n").replace("POST", "GET"),
                with("Connection: upgradex\r\nUpgrade: websocket\r\n").replace("POST", "GET"),
                with("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n").replace("POST", "GET"),
                with("Transfer-Encoding: chunked\r\nConnection: upgrade\r\nUpgrade: websocket\r\n").replace("POST", "GET"),
                with("Connection: upgrade\r\nUpgrade: websocket\r\n").replace("POST", "GET").replace("HTTP/1.1", "HTTP/1.0"),
            ],
        ),
    ];
    let mut count = 0;
    for (code, heads) in &table {
        for head in heads {
            count += 1;
            assert_eq!(scan(head), Scan::Refuse(*code), "{:?}", head.chars().take(120).collect::<String>());
            assert_eq!(
                scan_slowly(head.as_bytes(), HeadLimits::default()).0,
                Scan::Refuse(*code),
                "{:?}",
                head.chars().take(120).collect::<String>()
            );
        }
    }
    assert!(count > 140, "{count} heads in the table");
}

#[test]
fn a_refusal_comes_with_the_first_wrong_byte() {
    for (head, at) in [
        ("get / HTTP/1.1", 1),
        ("GET admin", 5),
        ("GET /a#", 7),
        ("GET / HTTP/2", 12),
        ("GET / HTTP/1.1\n", 15),
        ("GET / HTTP/1.1\r\nHost: a\r\n ", 26),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 34),
        ("GET / HTTP/1.1\r\nA: \x01", 20),
    ] {
        let (answer, end) = scan_slowly(head.as_bytes(), HeadLimits::default());
        assert!(matches!(answer, Scan::Refuse(_)), "{head:?}");
        assert_eq!(end, at, "{head:?}");
    }
}

#[test]
fn good_heads_are_measured() {
    let plain = Head { length: 0, body: BodyLength::None, upgrade: false, version_10: false };
    for (head, expected) in [
        (line("GET / HTTP/1.1"), plain),
        (line("GET /?a=`{|}^\\&b=/? HTTP/1.1"), plain),
        (line("GET http://Example.ORG:80/a?b HTTP/1.1"), plain),
        (line("GET HTTPS://example.org:443/ HTTP/1.1"), plain),
        (line("VERSION-CONTROL /a HTTP/1.1"), plain),
        (line("GET / HTTP/1.0"), Head { version_10: true, ..plain }),
        (with("Content-Length: 0\r\n"), plain),
        (with("content-LENGTH:\t 0017 \r\n"), Head { body: BodyLength::Known(17), ..plain }),
        (with("Content-Length: 9223372036854775807\r\n"), Head { body: BodyLength::Known(i64::MAX as u64), ..plain }),
        (with("transfer-encoding:Chunked\r\n"), Head { body: BodyLength::Chunked, ..plain }),
        (with("a:\r\nb: \t \r\n!#$%&'*+-.^_`|~0: ~\t~\r\n"), plain),
        (with("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n").replace("POST", "GET"), Head { upgrade: true, ..plain }),
    ] {
        let expected = Scan::Complete(Head { length: head.len(), ..expected });
        assert_eq!(scan(&head), expected, "{head:?}");
        assert_eq!(scan(&format!("{head}GARBAGE\0")), expected, "what follows the head does not matter");
        assert_eq!(scan_slowly(head.as_bytes(), HeadLimits::default()), (expected, head.len()));
    }
}

#[test]
fn the_limits_are_exact() {
    let head = with("a: b\r\n");
    let bytes = |bytes| HeadScanner::new(HeadLimits { bytes, headers: 2 }).scan(head.as_bytes());
    assert!(matches!(bytes(head.len()), Scan::Complete(_)));
    assert_eq!(bytes(head.len() - 1), Scan::Refuse(Code::HeadTooLarge));
    assert_eq!(HeadScanner::new(HeadLimits { bytes: 1000, headers: 1 }).scan(head.as_bytes()), Scan::Refuse(Code::TooManyHeaders));
    assert_eq!(HeadScanner::new(HeadLimits { bytes: usize::MAX, headers: 1 }).scan(&[b'A'; 32]), Scan::Partial);
}

proptest! {
    /// However the bytes are cut into reads, the answer is the same.
    #[test]
    fn the_cuts_do_not_matter(
        mut bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "(GET|POST|get) (/[a-z?#]{0,3}|\\*|http://a/) HTTP/1.[01]\r\n((Host|Content-Length|Transfer-Encoding|a|Upgrade|Connection):[ ]?(a|1|chunked|websocket|upgrade)\r\n){0,4}\r\n".prop_map(String::into_bytes),
        ],
        spoil in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(&b"\r\n\0 \t:#,\x80"[..]))),
        cuts in prop::collection::vec(0usize..200, 0..8),
        limit in 20usize..200,
    ) {
        if let Some((at, byte)) = spoil && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let limits = HeadLimits { bytes: limit, headers: 3 };
        let whole = HeadScanner::new(limits).scan(&bytes);
        prop_assert_eq!(scan_slowly(&bytes, limits).0, whole);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut scanner = HeadScanner::new(limits);
        let answer = cuts.iter().map(|end| scanner.scan(&bytes[..*end])).find(|answer| *answer != Scan::Partial);
        prop_assert_eq!(answer.unwrap_or(Scan::Partial), whole);
    }
}
