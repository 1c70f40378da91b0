//! Requests that two parsers would delimit differently. None reaches the upstream, and what is smuggled behind them is never a request.

use countersign_e2e::{RecordingUpstream, Reply, Scene, eventually};

/// What is hidden behind each case. If anything parsed it as a request, it would be forwarded.
const SMUGGLED: &str = "GET /open/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n";

/// Heads after `POST /open/x HTTP/1.1` and Host, with what follows the empty line. `~` stands for CR LF.
const REFUSED: &[(&str, &str)] = &[
    ("both lengths", "Content-Length: 4~Transfer-Encoding: chunked~~0~~"),
    ("both lengths, turned round", "Transfer-Encoding: chunked~Content-Length: 4~~0~~"),
    ("length twice, the same", "Content-Length: 3~Content-Length: 3~~abc"),
    ("length twice, different", "Content-Length: 3~Content-Length: 0~~abc"),
    ("length as a list", "Content-Length: 3, 3~~abc"),
    ("length with a sign", "Content-Length: +3~~abc"),
    ("negative length", "Content-Length: -3~~abc"),
    ("hexadecimal length", "Content-Length: 0x3~~abc"),
    ("length with an underscore", "Content-Length: 1_0~~abc"),
    ("empty length", "Content-Length: ~~"),
    ("length beyond 64 bits", "Content-Length: 99999999999999999999~~abc"),
    ("space before the colon of a length", "Content-Length : 3~~abc"),
    ("unknown coding", "Transfer-Encoding: xchunked~~0~~"),
    ("identity", "Transfer-Encoding: identity~~"),
    ("chunked and identity", "Transfer-Encoding: chunked, identity~~0~~"),
    ("chunked twice", "Transfer-Encoding: chunked, chunked~~0~~"),
    ("chunked in two lines", "Transfer-Encoding: chunked~Transfer-Encoding: chunked~~0~~"),
    ("chunked after an empty member", "Transfer-Encoding: , chunked~~0~~"),
    ("chunked before an empty member", "Transfer-Encoding: chunked,~~0~~"),
    ("quoted chunked", "Transfer-Encoding: \"chunked\"~~0~~"),
    ("chunked with a parameter", "Transfer-Encoding: chunked;q=1~~0~~"),
    ("vertical tab before chunked", "Transfer-Encoding: \u{b}chunked~~0~~"),
    ("space before the colon of a coding", "Transfer-Encoding : chunked~~0~~"),
    ("folded coding", "Transfer-Encoding:~ chunked~~0~~"),
    ("bare LF before a coding", "X: y\nTransfer-Encoding: chunked~~0~~"),
    ("bare CR in a value", "X: y\rTransfer-Encoding: chunked~~0~~"),
    ("NUL in a value", "X: y\0z~~"),
    ("a line without a colon", "nothing~~"),
    ("an empty name", ": x~~"),
];

/// Chunked bodies that are not. The route is signed, so that the body is read before anything is forwarded.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a sign", "+3\r\nabc\r\n0\r\n\r\n"),
    ("a size that is no number", "zz\r\nabc\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ("a negative size", "-1\r\nabc\r\n0\r\n\r\n"),
    ("no size", "\r\nabc\r\n0\r\n\r\n"),
    ("more data than the size", "3\r\nabcd\r\n0\r\n\r\n"),
    ("a bare LF after the data", "3\r\nabc\n0\r\n\r\n"),
];

#[test]
fn an_unclear_length_is_refused_and_nothing_behind_it_is_a_request() {
    let scene = Scene::start();
    for (name, rest) in REFUSED {
        let request = format!("POST /open/x HTTP/1.1\r\nHost: api.test\r\n{}{SMUGGLED}", rest.replace('~', "\r\n"));
        let mut connection = scene.connect();
        let _closed_early = connection.try_send(request.as_bytes());
        let answer = connection.answer();
        assert!((400..=501).contains(&answer.status) && !answer.code().is_empty(), "{name}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
        assert_eq!(String::from_utf8_lossy(&connection.rest()), "", "{name}: there is a second answer");
        assert_eq!(scene.upstream.total_bytes(), 0, "{name}: {:?}", scene.upstream.bytes());
    }
    scene.get("/open/x", "").assert_ok();
}

#[test]
fn a_chunked_body_that_is_none_is_refused_and_nothing_behind_it_is_a_request() {
    let scene = Scene::start();
    for (name, chunks) in BAD_CHUNKS {
        let head = scene.signed("POST", "/signed/x").body("text/plain", b"abc").head();
        let mut connection = scene.connect();
        let _closed_early = connection.try_send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}").as_bytes());
        let answer = connection.answer();
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        assert_eq!(String::from_utf8_lossy(&connection.rest()), "", "{name}: there is a second answer");
        assert_eq!(scene.upstream.total_bytes(), 0, "{name}: {:?}", scene.upstream.bytes());
    }
}

#[test]
fn nothing_behind_a_chunked_request_escapes_the_gate() {
    let scene = Scene::start();
    let mut connection = scene.connect();
    connection.send(
        format!("POST /open/x HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{SMUGGLED}").as_bytes(),
    );
    connection.answer().assert_ok();
    connection.rest();
    assert_eq!(scene.upstream.count("smuggled"), 0);
    assert_eq!(scene.upstream.requests()[0].body, b"abc");
}

#[test]
fn each_request_of_a_connection_is_judged_by_itself() {
    let scene = Scene::start();
    let mut connection = scene.connect();
    connection.send(b"GET /open/1 HTTP/1.1\r\nHost: api.test\r\n\r\n");
    connection.answer().assert_ok();
    connection.send(b"GET /api/2 HTTP/1.1\r\nHost: api.test\r\n\r\n");
    connection.answer().assert_refused("credentials_required");
    connection.send(b"GET /open/3 HTTP/1.1\r\nHost: api.test\r\n\r\n");
    connection.answer().assert_ok();
    let targets: Vec<String> = scene.upstream.requests().iter().map(|r| r.request_line().to_owned()).collect();
    assert_eq!(targets, ["GET /open/1 HTTP/1.1", "GET /open/3 HTTP/1.1"]);
}

#[test]
fn pipelined_requests_are_answered_in_order_up_to_a_bad_one() {
    let scene = Scene::start();
    let mut connection = scene.connect();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n\r\n");
    connection.send(format!("{}{}{}{}", get("/open/1"), get("/api/2"), "GET /open/3 HTTP/1.1\r\n\r\n", get("/open/4")).as_bytes());
    connection.answer().assert_ok();
    connection.answer().assert_refused("credentials_required");
    connection.answer().assert_refused("no_host");
    assert_eq!(connection.rest(), b"");
    assert_eq!(scene.upstream.count("/open/4"), 0);
}

#[test]
fn a_body_that_was_not_read_is_never_a_request() {
    let scene = Scene::start();
    let mut connection = scene.connect();
    let body = SMUGGLED.repeat(3);
    connection.send(format!("POST /api/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    connection.answer().assert_refused("credentials_required");
    let _gone = connection.try_send(b"GET /open/after HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n");
    let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert!(rest.matches("HTTP/1.1 ").count() <= 1, "{rest}");
    assert_eq!(scene.upstream.count("smuggled"), 0);
}

#[test]
fn what_is_forwarded_has_one_length_and_the_same_target() {
    let scene = Scene::start();
    scene.raw(b"POST http://api.test/open/x?a=%2F&b HTTP/1.1\r\nHost: API.test\r\nContent-Length: 3\r\n\r\nabc").assert_ok();
    let seen = scene.upstream.requests().remove(0);
    assert_eq!(seen.request_line(), "POST /open/x?a=%2F&b HTTP/1.1");
    assert_eq!((seen.headers("content-length"), seen.headers("transfer-encoding").len()), (vec!["3"], 0));
    assert_eq!(seen.headers("host").len(), 1);
    assert_eq!(seen.body, b"abc");
}

#[test]
fn a_body_in_chunks_cannot_grow_beyond_the_limit_of_its_route() {
    let scene = Scene::start();
    let mut connection = scene.connect();
    connection.send(b"POST /small/x HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 600, "a".repeat(600));
    let _refused_early = connection.try_send(format!("{chunk}{chunk}0\r\n\r\n").as_bytes());
    connection.answer().assert_refused("body_too_large");
    assert!(scene.upstream.requests().is_empty(), "the upstream's message was completed");
}

#[test]
fn an_old_client_is_forwarded_in_our_own_version() {
    let scene = Scene::start();
    let answer = scene.connect().send(b"GET /open/old HTTP/1.0\r\nHost: api.test\r\n\r\n").rest();
    assert!(answer.starts_with(b"HTTP/1.0 200 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(scene.upstream.requests()[0].request_line(), "GET /open/old HTTP/1.1");
}

#[test]
fn an_answer_of_an_old_upstream_that_was_cut_does_not_look_whole() {
    let answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello";
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::BytesAndClose(answer.to_vec())), "");
    // In chunks, of which a client misses the last one when there is none.
    let answer = scene.connect().send(b"GET /open/old HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n").rest();
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 ") && answer.contains("transfer-encoding: chunked"), "{answer}");
}

#[test]
fn an_answer_that_cannot_be_relayed_is_not_the_clients_fault() {
    let answer = b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok";
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::Bytes(answer.to_vec())), "");
    scene.get("/open/x", "").assert_refused("upstream_outcome_unknown");
}

#[test]
fn a_client_that_has_gone_takes_its_request_from_the_upstream() {
    let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nseen\r\n";
    let upstream = RecordingUpstream::start_with(move |request| match request.request_line().contains("/silent") {
        true => Reply::Silence,
        false => Reply::EchoAfter(begun.into()),
    });
    let patient = Scene::patient(&upstream);
    let scene = Scene::start_with(upstream, &patient);
    let requests = [
        "GET /patient/silent HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "POST /patient/silent HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "GET /patient/stream HTTP/1.1\r\nHost: api.test\r\n\r\n",
    ];
    for (request, ends_its_side_only) in requests.into_iter().flat_map(|request| [(request, false), (request, true)]) {
        scene.upstream.forget();
        let mut connection = scene.connect();
        connection.send(request.as_bytes());
        if request.contains("stream") {
            assert_eq!(connection.answer_to_head().status, 200);
        }
        eventually("the request arrives", || scene.upstream.requests().len() == 1);
        assert_eq!(scene.upstream.given_up(), 0, "{request}");
        let half_open = ends_its_side_only.then(|| {
            connection.finish_sending();
            connection
        });
        eventually("the upstream is told", || scene.upstream.given_up() == 1);
        drop(half_open);
    }
}
