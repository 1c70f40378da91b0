use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

/// A request as the service saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    method: Method,
    target: String,
    /// What was read of the body, and whether its end came.
    body: Vec<u8>,
    whole: bool,
}

fn render(code: Code) -> Vec<u8> {
    format!("HTTP/1.1 {} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{code}", code.status(), code.as_str().len()).into_bytes()
}

/// Serves `io` by paths: `/unread` does not read the body, `/late` answers late, `/ws` upgrades and echoes one piece.
async fn serve(io: DuplexStream, state: Arc<GateState>, seen: Rc<RefCell<Vec<Seen>>>) {
    let gate = HeadGate::new(io, HeadLimits { bytes: 4096, headers: 20 }, Arc::clone(&state), render);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (state, seen) = (Arc::clone(&state), Rc::clone(&seen));
        async move {
            let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
            let index = seen.borrow().len();
            seen.borrow_mut().push(Seen { method: request.method().clone(), target: target.clone(), body: Vec::new(), whole: false });
            let mut response = Response::new(Full::new(Bytes::from(format!("<{target}>"))));
            if target == "/ws" {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                *response.body_mut() = Full::default();
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::task::spawn_local(async move {
                    let mut io = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
                    let mut piece = [0; 100];
                    let read = io.read(&mut piece).await.unwrap();
                    io.write_all(&piece[..read]).await.unwrap();
                    io.shutdown().await.unwrap();
                });
            } else if target != "/unread" {
                let mut body = request.into_body();
                let mut whole = true;
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => seen.borrow_mut()[index].body.extend(frame.into_data().unwrap_or_default()),
                        Err(_) => whole = false,
                    }
                }
                seen.borrow_mut()[index].whole = whole;
                match target.as_str() {
                    "/late" => pause().await,
                    "/never" => std::future::pending().await,
                    _ => {}
                }
            }
            Ok::<_, Infallible>(state.answer(response))
        }
    });
    // How a connection ends is seen on the other side.
    let _ = server().auto_date_header(false).max_headers(20).serve_connection(gate, service).with_upgrades().await;
}

/// Lets everybody else go on as far as they can.
async fn pause() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Sends pieces, then reads all that comes. With `end`, the client ends its side behind the last piece.
fn talk(pieces: &[&[u8]], end: bool) -> (Vec<Seen>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let local = tokio::task::LocalSet::new();
    let output = local.block_on(&runtime, async {
        let (client, server) = tokio::io::duplex(1 << 16);
        let served = tokio::task::spawn_local(serve(server, Arc::default(), Rc::clone(&seen)));
        let (mut from, mut to) = tokio::io::split(client);
        let mut output = Vec::new();
        let send = async {
            for piece in pieces {
                // A refusal may have ended the connection.
                if to.write_all(piece).await.is_err() {
                    break;
                }
                pause().await;
            }
            if end {
                let _ = to.shutdown().await;
            }
        };
        let talk = async { tokio::join!(send, from.read_to_end(&mut output)).1 };
        tokio::time::timeout(std::time::Duration::from_secs(20), talk).await.expect("the connection ends").unwrap();
        drop((from, to));
        served.await.unwrap();
        output
    });
    let seen = seen.borrow().clone();
    (seen, String::from_utf8(output).unwrap())
}

fn targets(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.target.as_str()).collect()
}

/// The positions of these texts in the output, which must all be there, in this order.
fn in_order(output: &str, texts: &[&str]) {
    let mut rest = output;
    for text in texts {
        rest = rest.split_once(text).unwrap_or_else(|| panic!("{text:?} is not behind the others in {output:?}")).1;
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET /z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn pipelined_requests_are_answered_one_after_the_other() {
    let post = "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /";
    let (seen, output) = talk(&[[GET, post, GET, LAST].concat().as_bytes()], false);
    assert_eq!(targets(&seen), ["/a", "/late", "/a", "/z"]);
    assert_eq!((seen[1].body.as_slice(), seen[1].whole), (&b"GET /"[..], true));
    in_order(&output, &["</a>", "</late>", "</a>", "</z>"]);
    assert_eq!(output.matches("HTTP/1.1 200 OK").count(), 4);
}

#[test]
fn it_does_not_matter_where_the_bytes_are_cut() {
    let body = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n..";
    let input = [GET, body, LAST].concat();
    let whole = talk(&[input.as_bytes()], false);
    assert_eq!(targets(&whole.0), ["/a", "/b", "/z"]);
    for cut in 1..input.len() {
        let (one, two) = input.as_bytes().split_at(cut);
        assert_eq!(talk(&[one, two], false), whole, "cut at {cut}");
    }
    let bytes: Vec<_> = input.as_bytes().chunks(1).collect();
    assert_eq!(talk(&bytes, false), whole);
}

#[test]
fn a_refusal_comes_behind_the_answers_that_were_due_and_ends_the_connection() {
    for bad in ["get /b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /b#c", "\r\n", "GET /b HTTP/1.1\nHost: a\r\n\r\n"] {
        for first in [
            GET,
            "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        ] {
            let (seen, output) = talk(&[[first, bad, LAST].concat().as_bytes()], false);
            assert_eq!(seen.len(), 1, "{bad:?}");
            in_order(&output, &["HTTP/1.1 200 OK", "</", "HTTP/1.1 ", " X\r\nconnection: close\r\n"]);
            assert_eq!(output.matches("HTTP/1.1").count(), 2);
            let (seen, again) = talk(&[first.as_bytes(), bad.as_bytes(), LAST.as_bytes()], false);
            assert_eq!((seen.len(), again), (1, output));
        }
        let (seen, output) = talk(&[bad.as_bytes()], false);
        assert_eq!(seen, []);
        in_order(&output, &["HTTP/1.1 ", " X\r\nconnection: close\r\n"]);
    }
}

#[test]
fn a_client_that_ends_its_side_behind_a_bad_head_still_gets_every_answer() {
    let input = ["POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "GET  /"].concat();
    let (seen, output) = talk(&[input.as_bytes()], true);
    assert_eq!(targets(&seen), ["/late"]);
    in_order(&output, &["</late>", "bad_request_line"]);
}

#[test]
fn nothing_behind_a_chunked_request_is_a_request() {
    let chunked = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for behind in [LAST, "GARBAGE", "\r\n\r\n", GET] {
        for pieces in [vec![[GET, chunked, behind].concat()], vec![[GET, chunked].concat(), behind.to_owned()]] {
            let pieces: Vec<_> = pieces.iter().map(String::as_bytes).collect();
            let (seen, output) = talk(&pieces, false);
            assert_eq!(targets(&seen), ["/a", "/c"]);
            assert_eq!((seen[1].body.as_slice(), seen[1].whole), (&b"abc"[..], true));
            assert_eq!(output.matches("HTTP/1.1").count(), 2);
            in_order(&output, &["</a>", "connection: close", "</c>"]);
        }
    }
}

#[test]
fn an_answer_before_the_body_was_read_arrives_and_what_is_left_is_never_a_request() {
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let head = format!("POST /unread HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        let (seen, output) = talk(&[head.as_bytes(), GET.as_bytes(), &vec![b'\n'; 1 << 17]], false);
        assert_eq!(targets(&seen), ["/unread"]);
        in_order(&output, &["</unread>"]);
        assert_eq!(output.matches("HTTP/1.1").count(), 1);
    }
}

#[test]
fn bytes_behind_an_upgrade_are_handed_over_only_to_the_upgraded_connection() {
    let upgrade = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    // Neither HTTP nor refused.
    let (seen, output) = talk(&[[upgrade("/ws").as_str(), "\r\n\0 hello"].concat().as_bytes()], false);
    assert_eq!(targets(&seen), ["/ws"]);
    in_order(&output, &["HTTP/1.1 101", "\r\n\r\n", "\r\n\0 hello"]);
    // Not upgraded: what follows is judged as a request.
    let (seen, output) = talk(&[[upgrade("/late").as_str(), LAST].concat().as_bytes()], false);
    assert_eq!(targets(&seen), ["/late", "/z"]);
    in_order(&output, &["</late>", "</z>"]);
    let (seen, output) = talk(&[upgrade("/late").as_bytes(), b"\0"], false);
    assert_eq!(targets(&seen), ["/late"]);
    in_order(&output, &["</late>", "bad_line_ending"]);
}

#[test]
fn the_end_of_the_client_is_the_end_of_the_connection() {
    assert_eq!(talk(&[], true), (vec![], String::new()));
    assert_eq!(talk(&[b"GET /a HTTP/1.1\r\nHost"], true), (vec![], String::new()));
    let (seen, output) = talk(&[GET.as_bytes(), &GET.as_bytes()[..10]], true);
    assert_eq!(targets(&seen), ["/a"]);
    in_order(&output, &["</a>"]);
    let (seen, _) = talk(&[b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"], true);
    assert_eq!((seen[0].body.as_slice(), seen[0].whole), (&b"abc"[..], false));
}

#[test]
fn a_connection_can_be_told_to_stop() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        // Idle, in a head, in a body: told that time is over.
        for (sent, waits, answer) in [
            ("", Wait::Idle, ""),
            ("GET /", Wait::Head, "head_timeout"),
            ("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na", Wait::Body, "</b>"),
            ("POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1", Wait::Stream, "</b>"),
        ] {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let state: Arc<GateState> = Arc::default();
            let seen = Rc::default();
            let mut served = Box::pin(serve(server, Arc::clone(&state), Rc::clone(&seen)));
            client.write_all(sent.as_bytes()).await.unwrap();
            tokio::select! { biased; () = &mut served => panic!("it ended"), () = pause() => {} }
            assert_eq!(state.waits_for(), waits, "{sent:?}");
            let mark = state.mark();
            tokio::select! { biased; () = &mut served => panic!("it ended"), () = pause() => {} }
            assert_eq!(state.mark(), mark, "nothing happened");
            state.time_out();
            let mut output = String::new();
            let (_, read) = tokio::join!(served, client.read_to_string(&mut output));
            read.unwrap();
            in_order(&output, &[answer]);
            assert!(seen.borrow().iter().all(|seen| !seen.whole));
        }
        // Waiting for an answer is not the client's fault, whatever the framing.
        for body in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let state: Arc<GateState> = Arc::default();
            let mut served = Box::pin(serve(server, Arc::clone(&state), Rc::default()));
            client.write_all(format!("POST /never HTTP/1.1\r\nHost: a\r\n{body}").as_bytes()).await.unwrap();
            tokio::select! { biased; () = &mut served => panic!("it ended"), () = pause() => {} }
            assert_eq!(state.waits_for(), Wait::Answer);
        }
        // An idle connection ends; a request that has begun is answered first.
        let (begun, rest) = GET.split_at(9);
        for (sent, later, answer) in [("", "", ""), (GET, "", "</a>"), (begun, rest, "connection: close")] {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let state: Arc<GateState> = Arc::default();
            let mut served = Box::pin(serve(server, Arc::clone(&state), Rc::default()));
            client.write_all(sent.as_bytes()).await.unwrap();
            tokio::select! { biased; () = &mut served => panic!("it ended"), () = pause() => {} }
            state.stop_keep_alive();
            client.write_all(later.as_bytes()).await.unwrap();
            let mut output = String::new();
            let (_, read) = tokio::join!(served, client.read_to_string(&mut output));
            read.unwrap();
            in_order(&output, &[answer]);
        }
    });
}

#[test]
fn a_client_that_goes_is_noticed_when_it_is_watched() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let posted = |body| format!("POST /never HTTP/1.1\r\nHost: a\r\n{body}");
        let bodies = ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"];
        for (request, goes_first) in bodies.into_iter().flat_map(|body| [(posted(body), true), (posted(body), false)]) {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let state: Arc<GateState> = Arc::default();
            let mut served = Box::pin(serve(server, Arc::clone(&state), Rc::default()));
            client.write_all(request.as_bytes()).await.unwrap();
            tokio::select! { biased; () = &mut served => panic!("it ended"), () = pause() => {} }
            if goes_first {
                drop(client);
                tokio::select! { biased; () = &mut served => panic!("it was not watched"), () = pause() => {} }
                assert!(state.watch_client());
            } else {
                assert!(state.watch_client());
                tokio::select! { biased; () = &mut served => panic!("the client is there"), () = pause() => {} }
                drop(client);
            }
            tokio::time::timeout(std::time::Duration::from_secs(20), served).await.expect("it is noticed");
        }
    });
}

/// What the input asks for, by the scan alone: each request with its body, and the code that ends it.
fn expected(input: &[u8]) -> (Vec<(String, Vec<u8>)>, Option<Code>) {
    let mut requests = Vec::new();
    let mut rest = input;
    loop {
        match HeadScanner::new(HeadLimits { bytes: 4096, headers: 20 }).scan(rest) {
            Scan::Partial => return (requests, None),
            Scan::Refuse(code) => return (requests, Some(code)),
            Scan::Complete(head) => {
                let line = std::str::from_utf8(&rest[..head.length]).unwrap();
                let target = line.split(' ').nth(1).unwrap().to_owned();
                let length = if let BodyLength::Known(length) = head.body { length as usize } else { 0 };
                let behind = &rest[head.length..];
                requests.push((target, behind[..length.min(behind.len())].to_vec()));
                if head.body == BodyLength::Chunked || behind.len() < length || line.contains("close") || head.version_10 {
                    return (requests, None);
                }
                rest = &behind[length..];
            }
        }
    }
}

/// Who reads slowly is seen by the sweep: `mark` moves whenever some of the answer is taken, and else it stands.
#[test]
fn a_client_that_does_not_read_its_answer_is_told_from_an_upstream_that_is_slow() {
    rig::with_timers(|| {
        let (wire, state, bell) = (rig::End::default(), Arc::new(GateState::new()), Arc::new(rig::Bell::default()));
        let answers = Arc::clone(&state);
        let service = service_fn(move |_: Request<Incoming>| {
            let response = answers.answer(Response::new(Full::new(Bytes::from_static(&[b'x'; 1000]))));
            async move { Ok::<_, Infallible>(response) }
        });
        let gate = HeadGate::new(wire.clone(), HeadLimits::default(), Arc::clone(&state), render);
        let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(gate, service));
        wire.read_only(Some(10));
        wire.send(GET.as_bytes());
        assert!(bell.drive(connection.as_mut()).is_none());
        assert_eq!(state.waits_for(), Wait::Reader);
        let mark = state.mark();
        assert!(bell.drive(connection.as_mut()).is_none());
        assert_eq!((state.waits_for(), state.mark()), (Wait::Reader, mark));
        wire.read_only(Some(10));
        assert!(bell.drive(connection.as_mut()).is_none());
        assert_eq!(state.waits_for(), Wait::Reader);
        assert_ne!(state.mark(), mark);
        wire.read_only(None);
        assert!(bell.drive(connection.as_mut()).is_none());
        assert_eq!(state.waits_for(), Wait::Idle);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Gate and hyper agree on where each request ends, whatever is sent and however it is cut.
    #[test]
    fn gate_and_hyper_agree(
        parts in prop::collection::vec(prop_oneof![
            4 => Just(GET.as_bytes().to_vec()),
            2 => "POST /[a-c]{0,3} HTTP/1.1\r\nhost:a\r\nContent-Length: [0-9]{1,2}\r\n(a: [a-z]{0,9}\r\n){0,2}\r\n".prop_map(String::into_bytes),
            2 => prop::collection::vec(prop::sample::select(&b"GET /ab HTTP/1.1\r\nHost: a\r\n\r\n012"[..]), 0..40),
            1 => Just(b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_vec()),
            1 => Just(LAST.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ], 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let input = parts.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
        let (seen, output) = talk(&pieces, true);
        let (requests, code) = expected(&input);
        prop_assert_eq!(seen.len(), requests.len());
        for (seen, (target, body)) in seen.iter().zip(&requests) {
            prop_assert_eq!(&seen.target, target);
            if !input.windows(7).any(|w| w == b"chunked") {
                prop_assert_eq!(&seen.body, body);
            }
        }
        if let Some(code) = code {
            prop_assert!(output.ends_with(code.as_str()), "{:?} does not end with {}", output, code);
        }
    }
}
