//! A raw HTTP request as text that people paste: read as it is meant, also where a gateway would refuse it. Whether one would is
//! asked elsewhere.

use countersign_core::request_view::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A request, taken apart.
#[derive(Debug)]
pub struct RawRequest {
    pub method: String,
    /// The authority of an absolute-form target (RFC 9112 section 3.2.2), if it is one.
    authority: Option<(Scheme, String)>,
    /// The target as it was written.
    written: String,
    /// Where path and query begin in it.
    path_at: usize,
    pub headers: HeaderMap,
    /// The head as it would be sent: each line ends in CR LF.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
    /// Bytes behind the body, which are none of it.
    pub left_over: usize,
    /// What is wrong with the framing of the body.
    pub bad_body: Option<String>,
}

impl RawRequest {
    /// Reads a request: the request line, header lines, an empty line, the body. Lines of the head end in LF or CR LF. The body is
    /// what Content-Length says if there is as much, the data of well-formed chunks, and else all of the rest.
    ///
    /// # Errors
    /// What keeps it from being an HTTP request, in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = bytes;
        // A server skips empty lines before a request (RFC 9112 section 2.2).
        while let Some(more) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
            rest = more;
        }
        let line = next_line(&mut rest).ok_or("it is empty")?;
        let mut head = sent(line);
        let line = std::str::from_utf8(line).map_err(|_| "its first line is not UTF-8")?;
        // The target is all between the first space and the last: some have spaces in them that should not be there.
        let parts = line.split_once(' ').and_then(|(method, more)| Some((method, more.rsplit_once(' ')?)));
        let Some((method, (written, _))) = parts.filter(|(method, (target, version))| {
            method.bytes().all(|b| b.is_ascii_graphic()) && !method.is_empty() && !target.is_empty() && version.starts_with("HTTP/")
        }) else {
            return Err("its first line must be METHOD target HTTP/1.1".into());
        };
        let (authority, path_at) = split_target(written);
        let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut number = 1_usize;
        while let Some(line) = next_line(&mut rest).filter(|line| !line.is_empty()) {
            number = number.saturating_add(1);
            head.extend_from_slice(&sent(line));
            match (line.first(), lines.last_mut()) {
                // A folded line goes on (RFC 9112 section 5.2).
                (Some(b' ' | b'\t'), Some((_, before))) => {
                    before.push(b' ');
                    before.extend_from_slice(trim(line));
                }
                _ => lines.push((number, line.to_vec())),
            }
        }
        head.extend_from_slice(b"\r\n");
        let mut headers = HeaderMap::new();
        for (number, line) in lines {
            let (name, value) = header(&line).ok_or_else(|| format!("line {number} is not a header"))?;
            headers.try_append(name, value).map_err(|_| "it has too many headers")?;
        }
        let mut request = Self {
            method: method.into(),
            authority,
            written: written.into(),
            path_at,
            headers,
            head,
            body: Vec::new(),
            left_over: 0,
            bad_body: None,
        };
        request.take_body(rest);
        Ok(request)
    }

    /// Path and query, as a signature sees them.
    pub fn target(&self) -> &str {
        let target = self.written.get(self.path_at..).unwrap_or_default();
        if target.is_empty() { "/" } else { target }
    }

    /// The whole target as it was written.
    pub fn written_target(&self) -> &str {
        &self.written
    }

    /// The authority: Host, or that of an absolute-form target; empty when there is none.
    pub fn host(&self) -> &str {
        let host = self.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        host.or_else(|| self.authority.as_ref().map(|(_, authority)| authority.as_str())).unwrap_or_default()
    }

    /// The scheme that the request itself suggests: by its target, its port, or because it goes to this machine.
    pub fn suggested_scheme(&self) -> Option<Scheme> {
        if let Some((scheme, _)) = &self.authority {
            return Some(*scheme);
        }
        let host = self.host();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
            _ => (host, None),
        };
        match port {
            Some("80") => Some(Scheme::Http),
            Some("443") => Some(Scheme::Https),
            _ if name.eq_ignore_ascii_case("localhost") || name.starts_with("127.") || name == "[::1]" => Some(Scheme::Http),
            _ => None,
        }
    }

    fn take_body(&mut self, rest: &[u8]) {
        let is_chunked =
            self.headers.get_all(http::header::TRANSFER_ENCODING).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if is_chunked {
            match dechunk(rest) {
                Some((body, left)) => (self.body, self.left_over) = (body, left.len()),
                None => {
                    self.body = rest.to_vec();
                    self.bad_body = Some("Transfer-Encoding says chunked, and these are no chunks: taken as they are".into());
                }
            }
            return;
        }
        let declared = self.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let (body, left) = rest.split_at_checked(declared.unwrap_or(rest.len())).unwrap_or((rest, b""));
        self.body = body.to_vec();
        self.left_over = left.len();
        if let Some(declared) = declared.filter(|declared| *declared > body.len()) {
            self.bad_body = Some(format!("Content-Length says {declared} bytes, and {} follow the head", body.len()));
        }
    }
}

/// Takes the next line off `rest`, without its end. `None` when nothing is left.
fn next_line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, more) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, b""));
    *rest = more.strip_prefix(b"\n").unwrap_or(more);
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

fn sent(line: &[u8]) -> Vec<u8> {
    [line, b"\r\n"].concat()
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = value.strip_prefix(b":")?;
    Some((HeaderName::from_bytes(trim(name)).ok()?, HeaderValue::from_bytes(trim(value)).ok()?))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last.saturating_add(1));
    bytes.get(start..end).unwrap_or_default()
}

/// The authority of an absolute-form target, and where its path begins.
fn split_target(written: &str) -> (Option<(Scheme, String)>, usize) {
    for (prefix, scheme) in [("http://", Scheme::Http), ("https://", Scheme::Https)] {
        if let Some(rest) = written.strip_prefix(prefix) {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let authority = rest.get(..end).unwrap_or_default();
            return (Some((scheme, authority.into())), prefix.len().saturating_add(end));
        }
    }
    (None, 0)
}

/// The data of a chunked body (RFC 9112 section 7.1) and what follows it. `None` when it is malformed or ends early.
fn dechunk(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let line = std::str::from_utf8(next_line(&mut rest)?).ok()?;
        let digits = line.split(';').next().unwrap_or_default().trim_end();
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            // Trailers end with an empty line.
            while !next_line(&mut rest)?.is_empty() {}
            return Some((body, rest));
        }
        let (data, more) = rest.split_at_checked(size)?;
        body.extend_from_slice(data);
        rest = more.strip_prefix(b"\r\n").or_else(|| more.strip_prefix(b"\n"))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RawRequest {
        RawRequest::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    #[test]
    fn lines_end_in_lf_or_cr_lf() {
        for end in ["\n", "\r\n"] {
            let request = read(&["", "GET /a?b=c HTTP/1.1", "Host: h", "X-A:  1\t", "x-a: 2", "", "body\r\nof two lines\n"].join(end));
            assert_eq!((request.method.as_str(), request.target(), request.host()), ("GET", "/a?b=c", "h"));
            let values: Vec<_> = request.headers.get_all("x-a").iter().collect();
            assert_eq!(values, ["1", "2"]);
            assert_eq!(request.body, b"body\r\nof two lines\n");
            assert_eq!(request.head, b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-A:  1\t\r\nx-a: 2\r\n\r\n");
        }
    }

    #[test]
    fn what_people_paste_is_read_as_it_is_meant() {
        assert_eq!(read("GET / HTTP/1.1").target(), "/");
        assert_eq!(read("GET /a b/ HTTP/1.1\nHost: h").target(), "/a b/");
        assert_eq!(read("GET /\u{1234}?x HTTP/2").target(), "/\u{1234}?x");
        let folded = read("GET / HTTP/1.1\nX-A: 1\n  2\n\t3\n\n");
        assert_eq!(folded.headers["x-a"], "1 2 3");
        let absolute = read("GET http://h:81?x=1 HTTP/1.1\n\n");
        assert_eq!((absolute.target(), absolute.host(), absolute.suggested_scheme()), ("?x=1", "h:81", Some(Scheme::Http)));
        assert_eq!(read("GET https://h HTTP/1.1\n\n").target(), "/");
    }

    #[test]
    fn the_body_is_what_the_head_says() {
        let post = |head: &str, rest: &str| read(&format!("POST / HTTP/1.1\n{head}\n\n{rest}"));
        let cut = post("Content-Length: 3", "abc\n");
        assert_eq!((cut.body.as_slice(), cut.left_over, cut.bad_body), (b"abc".as_slice(), 1, None));
        let short = post("Content-Length: 4", "abc");
        assert_eq!((short.body.as_slice(), short.bad_body.is_some()), (b"abc".as_slice(), true));
        assert_eq!(post("A: b", "abc\n").body, b"abc\n");
        let chunked = post("Transfer-Encoding: Chunked", "3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n!");
        assert_eq!((chunked.body.as_slice(), chunked.left_over, chunked.bad_body), (b"abc0123456789".as_slice(), 1, None));
        for bad in ["", "abc", "3\r\nab", "3\r\nabcd\r\n0\r\n\r\n", "0\r\n", "fffffffff\r\n", "-1\r\n"] {
            let request = post("Transfer-Encoding: chunked", bad);
            assert!(request.bad_body.is_some(), "{bad:?}");
            assert_eq!(request.body, bad.as_bytes());
        }
    }

    #[test]
    fn the_scheme_is_told_by_target_port_and_loopback() {
        let scheme = |host: &str| read(&format!("GET / HTTP/1.1\nHost: {host}\n\n")).suggested_scheme();
        for (host, suggested) in [
            ("h", None),
            ("h:8443", None),
            ("h:80", Some(Scheme::Http)),
            ("h:443", Some(Scheme::Https)),
            ("localhost:8080", Some(Scheme::Http)),
            ("127.0.0.1:8080", Some(Scheme::Http)),
            ("[::1]", Some(Scheme::Http)),
            ("[2001:db8::1]:80", Some(Scheme::Http)),
            ("[2001:db8::80]", None),
        ] {
            assert_eq!(scheme(host), suggested, "{host}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_reason() {
        for bad in [
            "",
            "\n\n",
            "hello",
            "hello world",
            "GET  HTTP/1.1",
            " / HTTP/1.1",
            "GET / FTP/1",
            "GET / HTTP/1.1\nno colon\n",
            "GET / HTTP/1.1\na b: c\n",
        ] {
            assert!(RawRequest::read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(RawRequest::read(b"GET /\xff HTTP/1.1\n\n").is_err());
        assert_eq!(RawRequest::read(b"GET / HTTP/1.1\nA: b\nC: \x01\n").unwrap_err(), "line 3 is not a header");
    }
}
