//! For any input, the gate and hyper agree about where each request begins and ends.

use countersign_core::head::HeadLimits;
use proptest::prelude::*;

use super::rig::{Script, agree, with_timers};

/// Things that stand in requests, whole and in parts.
const WORDS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /b?c=d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "PUT /long HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "GET /w HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET http://a/abs HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /old HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "GET /old HTTP/1.0\r\nHost: a\r\n\r\n",
    "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 30\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Accept: */*\r\n",
    "\r\n",
    "0\r\n\r\n",
    "\n",
    " ",
    "abc",
    "\0",
];

fn script(most: usize) -> impl Strategy<Value = Script> {
    let word = prop_oneof![
        12 => proptest::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    let cuts = proptest::collection::vec(any::<proptest::sample::Index>(), 0..6);
    let manners = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.2), any::<bool>());
    (proptest::collection::vec(word, 0..8), cuts, manners).prop_map(move |(words, cuts, (late, stalls, early, grants))| {
        let all = words.concat();
        let mut cuts = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect::<Vec<_>>();
        cuts.extend([0, all.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).flat_map(|pair| all[pair[0]..pair[1]].chunks(most).map(<[u8]>::to_vec)).collect();
        Script { pieces, late, stalls, early, grants }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_gate_and_hyper_agree_where_a_request_ends(script in script(usize::MAX)) {
        with_timers(|| agree(&script, HeadLimits::default()));
    }

    #[test]
    fn the_cuts_between_reads_do_not_matter(script in script(1)) {
        with_timers(|| agree(&script, HeadLimits { bytes: 200, headers: 5 }));
    }
}
