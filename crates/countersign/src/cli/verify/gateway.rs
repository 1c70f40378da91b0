//! What a gateway would refuse a request for before it looks at the signature.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use countersign_core::code::{Code, Refusal};
use countersign_core::connection_headers::check_signed;
use countersign_core::head::{HeadLimits, HeadScanner, Scan};
use countersign_core::request_view::{Connection, RequestView, Scheme};
use countersign_core::signature::{Head, Profile, uncovered_header};

use super::raw_request::RawRequest;

/// The first such refusal, by the default limits and on a route that allows nothing by name.
pub fn refusal(request: &RawRequest, scheme: Scheme, profile: &Profile) -> Option<Refusal> {
    judge(request, scheme, profile).err()
}

fn judge(request: &RawRequest, scheme: Scheme, profile: &Profile) -> Result<(), Refusal> {
    if let Scan::Refuse(code) = HeadScanner::new(HeadLimits::default()).scan(&request.head) {
        return Err(code.into());
    }
    if let Some(why) = &request.bad_body {
        return Err(Refusal::with(Code::BadBody, why.clone()));
    }
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = http::Method::from_bytes(request.method.as_bytes()).map_err(|_| Code::BadMethod)?;
    parts.uri = request.written_target().parse().map_err(|_| Code::BadTarget)?;
    parts.headers = request.headers.clone();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let view = RequestView::judge(&parts, &Connection { peer, public_scheme: scheme, proxies: Arc::default() })?;
    if let Some(code) = view.first_finding() {
        return Err(Refusal::with(code, "a route may allow it"));
    }
    check_signed(view.headers())?;
    let fields = profile.find_fields(Head::of(&view)).ok().flatten();
    match fields.map_or_else(|| uncovered_header(view.headers(), &[]), |fields| fields.uncovered_header(&[])) {
        Some(name) => Err(Refusal::with(Code::UncoveredHeader, format!("{name}; a route may allow it"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_before_the_signature_are_those_of_the_gateway() {
        for (head, code) in [
            ("GET /a HTTP/1.1\nHost: h", None),
            ("GET /a HTTP/1.1", Some("no_host")),
            ("GET /a/../b HTTP/1.1\nHost: h", Some("dot_segment")),
            ("GET /a//b HTTP/1.1\nHost: h", Some("empty_segment")),
            ("GET /a b HTTP/1.1\nHost: h", Some("bad_request_line")),
            ("PoSt /a HTTP/1.1\nHost: h", Some("bad_method")),
            ("GET /a HTTP/2\nHost: h", Some("unsupported_version")),
            ("GET /a HTTP/1.1\nHost: h\nA: b\n c", Some("folded_header")),
            ("GET http://other/a HTTP/1.1\nHost: h", Some("host_mismatch")),
            ("POST /a HTTP/1.1\nHost: h\nContent-Length: 3", Some("bad_body")),
            ("POST /a HTTP/1.1\nHost: h\nContent-Encoding: gzip", Some("uncovered_header")),
            ("GET /a HTTP/1.1\nHost: h\nConnection: close, If-Match", Some("bad_header_value")),
        ] {
            let request = RawRequest::read(format!("{head}\n\n").as_bytes()).unwrap();
            assert_eq!(refusal(&request, Scheme::Http, &Profile::native().unwrap()).map(|refusal| refusal.code.as_str()), code, "{head}");
        }
    }
}
