//! A head is judged the same however it is cut, and a good head has one Host, one length at most and clean lines.

#![no_main]

use countersign_core::head::{BodyLength, HeadLimits, HeadScanner, Scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = HeadLimits { bytes: 2048, headers: 20 };
    let at_once = HeadScanner::new(limits).scan(data);
    let mut scanner = HeadScanner::new(limits);
    let mut piecewise = Scan::Partial;
    for end in 0..=data.len() {
        piecewise = scanner.scan(&data[..end]);
        if piecewise != Scan::Partial {
            break;
        }
    }
    assert_eq!(at_once, piecewise);
    let Scan::Complete(head) = at_once else { return };
    let text = std::str::from_utf8(&data[..head.length]).expect("a good head is ASCII");
    assert!(text.is_ascii() && text.ends_with("\r\n\r\n") && text.find("\r\n\r\n") == Some(text.len() - 4));
    let lines = text.strip_suffix("\r\n\r\n").expect("checked").split("\r\n").collect::<Vec<_>>();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n', '\0']) && !line.starts_with([' ', '\t'])));
    let values = |wanted: &str| {
        let fields = lines.iter().skip(1).map(|line| line.split_once(':').expect("a colon"));
        fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim_matches([' ', '\t'])).collect::<Vec<_>>()
    };
    assert_eq!(values("host").len(), 1);
    match (head.body, values("content-length").as_slice(), values("transfer-encoding").as_slice()) {
        (BodyLength::None, [], []) => {}
        (BodyLength::None, [zeros], []) => assert!(zeros.bytes().all(|byte| byte == b'0')),
        (BodyLength::Known(length), [text], []) => assert_eq!(text.parse(), Ok(length)),
        (BodyLength::Chunked, [], [coding]) => assert!(coding.eq_ignore_ascii_case("chunked")),
        other => panic!("two lengths: {other:?}"),
    }
});
