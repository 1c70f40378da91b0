//! The head of an HTTP/1.1 request on the wire, judged byte by byte before anybody interprets it (RFC 9112).
//!
//! Two readers who disagree about where a request ends let one sender put words into another's mouth. So the head is let
//! through only in the one form that all readers agree on. Whether a byte is wrong depends only on the bytes before it:
//! however the head is cut into reads, the answer is the same, and it comes with the first wrong byte.

mod bytes;

use self::bytes::{AUTHORITY, PATH, QUERY, TOKEN, is, plain_length, run};
use crate::code::Code;
use crate::host::Authority;
use crate::request_view::Scheme;

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes, the empty line included; at most 65 000, because readers behind the gate take no longer target.
    pub bytes: usize,
    /// Header lines.
    pub headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 32 * 1024, headers: 100 }
    }
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The beginning of a good head.
    Partial,
    /// A good head, and perhaps more.
    Complete(Head),
    /// Not the beginning of any good head.
    Refuse(Code),
}

/// What must be known of a head to find the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its bytes, the empty line included.
    pub length: usize,
    /// What follows it.
    pub body: BodyLength,
    /// Whether it asks for WebSocket; then it has no body.
    pub upgrade: bool,
    /// Whether it says HTTP/1.0.
    pub version_10: bool,
}

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// So many bytes, by Content-Length.
    Known(u64),
    /// Until the last chunk.
    Chunked,
}

/// Scans one head that arrives in pieces, from where it was.
#[derive(Debug, Clone)]
pub struct HeadScanner {
    limits: HeadLimits,
    /// Bytes scanned.
    at: usize,
    place: Place,
    /// Where the method, target, name or value that is being read began.
    began: usize,
    headers: usize,
    method: Method,
    version_10: bool,
    /// Where the authority of an absolute-form target stands.
    authority: Option<(usize, usize, Scheme)>,
    kind: Kind,
    host: Option<(usize, usize)>,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Method,
    TargetStart,
    /// In `http://` or `https://`: how many bytes of it matched, and whether it is the longer one.
    TargetScheme(usize, bool),
    TargetAuthority(Scheme),
    Path,
    Query,
    /// In `HTTP/1.1`: how many bytes of it matched.
    Version(usize),
    LineEnd,
    LineStart,
    Name,
    Value,
    ValueEnd,
    HeadEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Other,
}

/// The headers that the gate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    ContentLength,
    TransferEncoding,
    Upgrade,
    Connection,
    Other,
}

impl HeadScanner {
    /// A scanner at the start of a head.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits: HeadLimits { bytes: limits.bytes.min(65_000), ..limits },
            at: 0,
            place: Place::Method,
            began: 0,
            headers: 0,
            method: Method::Other,
            version_10: false,
            authority: None,
            kind: Kind::Other,
            host: None,
            length: None,
            chunked: false,
            upgrade: false,
            connection_upgrade: false,
        }
    }

    /// Scans on. `buffer` holds everything since the start of the head: what was shown before, and perhaps more.
    pub fn scan(&mut self, buffer: &[u8]) -> Scan {
        let within = buffer.get(..self.limits.bytes).unwrap_or(buffer);
        loop {
            self.skip_plain(within);
            if self.place == Place::LineStart {
                self.skip_ordinary_lines(within);
            }
            let Some(&byte) = within.get(self.at) else {
                // The limit is reached without an end: nothing that follows can make it good.
                return if self.at >= self.limits.bytes { Scan::Refuse(Code::HeadTooLarge) } else { Scan::Partial };
            };
            let place = self.place;
            self.at = self.at.saturating_add(1);
            match self.step(byte, within) {
                Ok(()) if place == Place::HeadEnd => {
                    return match self.finish(within) {
                        Ok(head) => Scan::Complete(head),
                        Err(code) => Scan::Refuse(code),
                    };
                }
                Ok(()) => {}
                Err(code) => return Scan::Refuse(code),
            }
        }
    }

    /// Skips whole good lines of Host and of headers that the gate does not read. Only for speed: byte by byte comes to the same.
    fn skip_ordinary_lines(&mut self, buffer: &[u8]) {
        while self.headers < self.limits.headers {
            let Some(rest) = buffer.get(self.at..) else { return };
            let Some((name, [b':', rest @ ..])) = rest.split_at_checked(run(rest, TOKEN)) else { return };
            let value = plain_length(rest);
            if name.is_empty() || !matches!(rest.get(value..), Some([b'\r', b'\n', ..])) {
                return;
            }
            let began = self.at.saturating_add(name.len()).saturating_add(1);
            let end = began.saturating_add(value);
            match kind(name) {
                Kind::Other => {}
                Kind::Host if self.judge_host(buffer, began, end).is_ok() => {}
                _ => return,
            }
            self.headers = self.headers.saturating_add(1);
            self.at = end.saturating_add(2);
        }
    }

    /// Passes over the bytes that neither end nor spoil what is being read, which `step` leaves to it, and, for speed, over the
    /// version that nearly every request has.
    fn skip_plain(&mut self, buffer: &[u8]) {
        let Some(rest) = buffer.get(self.at..) else { return };
        let plain = match self.place {
            Place::Method if self.at == 0 => rest.iter().take(16).take_while(|b| b.is_ascii_uppercase()).count(),
            Place::Version(0) if rest.starts_with(b"HTTP/1.1\r\n") => {
                self.place = Place::LineStart;
                10
            }
            Place::Path => run(rest, PATH),
            Place::Query => run(rest, QUERY),
            Place::Name => run(rest, TOKEN),
            Place::Value => plain_length(rest),
            _ => return,
        };
        self.at = self.at.saturating_add(plain);
    }

    fn step(&mut self, byte: u8, buffer: &[u8]) -> Result<(), Code> {
        match self.place {
            Place::Method => self.in_method(byte, buffer),
            Place::TargetStart | Place::TargetScheme(..) | Place::TargetAuthority(_) | Place::Path | Place::Query => {
                self.in_target(byte, buffer)
            }
            Place::Version(matched) => self.in_version(byte, matched),
            Place::LineEnd => expect_line_feed(byte).map(|()| self.place = Place::LineStart),
            Place::LineStart => match byte {
                b'\r' => self.go(Place::HeadEnd),
                b' ' | b'\t' => Err(Code::FoldedHeader),
                b'\n' | 0 => Err(Code::BadLineEnding),
                _ if self.headers >= self.limits.headers => Err(Code::TooManyHeaders),
                _ if is(byte, TOKEN) => {
                    self.headers = self.headers.saturating_add(1);
                    self.begin(Place::Name, self.at.saturating_sub(1));
                    Ok(())
                }
                _ => Err(Code::BadHeaderName),
            },
            Place::Name => match byte {
                b':' => {
                    self.kind = kind(self.since(buffer));
                    self.begin(Place::Value, self.at);
                    Ok(())
                }
                b'\n' | 0 => Err(Code::BadLineEnding),
                _ => Err(Code::BadHeaderName),
            },
            Place::Value => match byte {
                b'\r' => self.go(Place::ValueEnd),
                b'\n' | 0 => Err(Code::BadLineEnding),
                _ => Err(Code::BadHeaderValue),
            },
            Place::ValueEnd => {
                expect_line_feed(byte)?;
                self.place = Place::LineStart;
                self.judge_header(buffer)
            }
            Place::HeadEnd => expect_line_feed(byte),
        }
    }

    fn in_method(&mut self, byte: u8, buffer: &[u8]) -> Result<(), Code> {
        let length = self.at.saturating_sub(1);
        match byte {
            b'A'..=b'Z' | b'-' if length < 32 => Ok(()),
            b' ' if length > 0 => {
                match buffer.get(..length) {
                    Some(b"CONNECT" | b"TRACE") => return Err(Code::BadMethod),
                    Some(b"GET") => self.method = Method::Get,
                    _ => {}
                }
                self.place = Place::TargetStart;
                Ok(())
            }
            b'\r' | b'\n' | 0 => Err(Code::BadLineEnding),
            _ if is(byte, TOKEN) => Err(Code::BadMethod),
            _ => Err(Code::BadRequestLine),
        }
    }

    fn in_target(&mut self, byte: u8, buffer: &[u8]) -> Result<(), Code> {
        const LONG: &[u8] = b"https://";
        const SHORT: &[u8] = b"http://";
        match byte {
            b'#' => return Err(Code::FragmentInTarget),
            b'\n' | 0 => return Err(Code::BadLineEnding),
            b'\r' => return Err(Code::BadRequestLine),
            _ => {}
        }
        match (self.place, byte) {
            (Place::TargetStart, b' ') => Err(Code::BadRequestLine),
            (Place::TargetStart, b'/') => self.go(Place::Path),
            (Place::TargetStart, b'h' | b'H') => self.go(Place::TargetScheme(1, false)),
            (Place::TargetScheme(4, false), b's' | b'S') => self.go(Place::TargetScheme(5, true)),
            (Place::TargetScheme(matched, https), _) => {
                let wanted = if https { LONG } else { SHORT };
                if wanted.get(matched) != Some(&byte.to_ascii_lowercase()) {
                    return Err(Code::BadTarget);
                }
                let matched = matched.saturating_add(1);
                if matched == wanted.len() {
                    self.begin(Place::TargetAuthority(if https { Scheme::Https } else { Scheme::Http }), self.at);
                } else {
                    self.place = Place::TargetScheme(matched, https);
                }
                Ok(())
            }
            (Place::TargetAuthority(scheme), b'/') => {
                let end = self.at.saturating_sub(1);
                text(buffer, self.began, end).and_then(Authority::parse).ok_or(Code::BadTarget)?;
                self.authority = Some((self.began, end, scheme));
                self.place = Place::Path;
                Ok(())
            }
            (Place::TargetAuthority(_), _) if is(byte, AUTHORITY) => Ok(()),
            (Place::Path, b'?') => self.go(Place::Query),
            (Place::Path | Place::Query, b' ') => self.go(Place::Version(0)),
            _ => Err(Code::BadTarget),
        }
    }

    fn in_version(&mut self, byte: u8, matched: usize) -> Result<(), Code> {
        const VERSION: &[u8] = b"HTTP/1.1\r";
        self.place = match (matched, byte) {
            (_, b'\n' | 0) => return Err(Code::BadLineEnding),
            (5 | 7, b'0'..=b'9') if VERSION.get(matched) != Some(&byte) && (matched, byte) != (7, b'0') => {
                return Err(Code::UnsupportedVersion);
            }
            (7, b'0') => {
                self.version_10 = true;
                Place::Version(8)
            }
            (8, b'\r') => Place::LineEnd,
            _ if VERSION.get(matched) == Some(&byte) => Place::Version(matched.saturating_add(1)),
            _ => return Err(Code::BadRequestLine),
        };
        Ok(())
    }

    /// Judges the header that has just ended.
    fn judge_header(&mut self, buffer: &[u8]) -> Result<(), Code> {
        if self.kind == Kind::Other {
            return Ok(());
        }
        let end = self.at.saturating_sub(2);
        let value = text(buffer, self.began, end).unwrap_or_default().trim_matches([' ', '\t']);
        match self.kind {
            Kind::Host => self.judge_host(buffer, self.began, end)?,
            Kind::ContentLength => {
                if self.chunked {
                    return Err(Code::TwoLengths);
                }
                // Nineteen digits stay below 2^63, which is what every reader can count to.
                let plain = (1..=19).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
                let length = if plain { value.parse().ok().filter(|length| *length < 1 << 63) } else { None };
                if self.length.is_some() {
                    return Err(Code::BadContentLength);
                }
                self.length = Some(length.ok_or(Code::BadContentLength)?);
            }
            Kind::TransferEncoding => {
                if self.length.is_some() {
                    return Err(Code::TwoLengths);
                }
                if self.chunked || self.version_10 || !value.eq_ignore_ascii_case("chunked") {
                    return Err(Code::BadTransferEncoding);
                }
                self.chunked = true;
            }
            Kind::Upgrade => {
                if self.upgrade || self.version_10 || self.method != Method::Get || !value.eq_ignore_ascii_case("websocket") {
                    return Err(Code::BadUpgrade);
                }
                self.upgrade = true;
            }
            Kind::Connection => {
                self.connection_upgrade |= value.split(',').any(|option| option.trim_matches([' ', '\t']).eq_ignore_ascii_case("upgrade"));
            }
            Kind::Other => {}
        }
        Ok(())
    }

    fn judge_host(&mut self, buffer: &[u8], began: usize, end: usize) -> Result<(), Code> {
        if self.host.is_some() {
            return Err(Code::ManyHosts);
        }
        authority(buffer, began, end).ok_or(Code::BadHost)?;
        self.host = Some((began, end));
        Ok(())
    }

    /// Judges the head as a whole.
    fn finish(&self, buffer: &[u8]) -> Result<Head, Code> {
        let host = self.host.ok_or(Code::NoHost)?;
        if let Some((began, end, scheme)) = self.authority {
            let named = authority(buffer, began, end).ok_or(Code::BadTarget)?;
            if !named.is_same(&authority(buffer, host.0, host.1).ok_or(Code::BadHost)?, scheme) {
                return Err(Code::HostMismatch);
            }
        }
        let body = match self.length {
            _ if self.chunked => BodyLength::Chunked,
            None | Some(0) => BodyLength::None,
            Some(length) => BodyLength::Known(length),
        };
        // Upgrade is a matter of this hop only if Connection says so (RFC 9110 section 7.8), and what would follow it is not HTTP.
        if self.upgrade && !(self.connection_upgrade && body == BodyLength::None) {
            return Err(Code::BadUpgrade);
        }
        Ok(Head { length: self.at, body, upgrade: self.upgrade, version_10: self.version_10 })
    }

    #[expect(clippy::unnecessary_wraps, reason = "the last word of a step that went well")]
    const fn go(&mut self, place: Place) -> Result<(), Code> {
        self.place = place;
        Ok(())
    }

    const fn begin(&mut self, place: Place, at: usize) {
        self.place = place;
        self.began = at;
    }

    /// What has been read since `began`, without the byte that ended it.
    fn since<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        buffer.get(self.began..self.at.saturating_sub(1)).unwrap_or_default()
    }
}

fn authority(buffer: &[u8], began: usize, end: usize) -> Option<Authority<'_>> {
    Authority::parse(text(buffer, began, end)?.trim_matches([' ', '\t']))
}

fn kind(name: &[u8]) -> Kind {
    // The length alone sorts out most names.
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"host") => Kind::Host,
        7 if name.eq_ignore_ascii_case(b"upgrade") => Kind::Upgrade,
        10 if name.eq_ignore_ascii_case(b"connection") => Kind::Connection,
        14 if name.eq_ignore_ascii_case(b"content-length") => Kind::ContentLength,
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Kind::TransferEncoding,
        _ => Kind::Other,
    }
}

const fn expect_line_feed(byte: u8) -> Result<(), Code> {
    if byte == b'\n' { Ok(()) } else { Err(Code::BadLineEnding) }
}

fn text(buffer: &[u8], began: usize, end: usize) -> Option<&str> {
    buffer.get(began..end).and_then(|bytes| std::str::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests;
