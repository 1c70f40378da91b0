//! The string to sign (RFC 9421 section 2.5): a line for each covered component, and one for the signature's parameters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};

use super::component::{Reading, Source};
use super::{Found, MOST_READ, Message, Wrong, query_param, start_of, strict};
use crate::code::Refusal;

/// A part of the request that a signature reaches in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached<'n> {
    /// The method.
    Method,
    /// The scheme.
    Scheme,
    /// The host with its port.
    Host,
    /// The path.
    Path,
    /// The query, or that there is none.
    Query,
    /// All lines of a header.
    Header(&'n HeaderName),
}

/// Builds the string to sign, and reports what of the request it reaches.
///
/// `;key` and `@query-param` reach their field or query only in part, which is not reported. An empty query (`/path?`) is
/// not reached by `@query`, which reads the same when there is no query at all.
///
/// # Errors
///
/// `signature_malformed`, with a detail that names the component whose value cannot be had.
pub fn signature_base(found: &Found<'_>, message: &Message<'_>, reached: &mut dyn FnMut(Reached<'_>)) -> Result<Vec<u8>, Refusal> {
    let params = found.signature_params();
    let mut base = String::with_capacity(params.len().saturating_mul(2).saturating_add(512));
    let mut left = MOST_READ;
    for (component, source) in found.covered.sources() {
        base.push_str(component);
        base.push_str(": ");
        write(source, message, &mut left, &mut base).map_err(|wrong| Wrong::from(format!("component {}: {wrong}", start_of(component))))?;
        base.push('\n');
        report(source, message, reached);
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(params);
    Ok(base.into_bytes())
}

/// Writes the value of a component. None of them can hold a line feed: neither targets nor header values can.
fn write(source: &Source, message: &Message<'_>, left: &mut usize, base: &mut String) -> Result<(), Wrong> {
    match source {
        Source::Method => base.push_str(message.method),
        Source::TargetUri => {
            base.extend([message.scheme.as_str(), "://", message.host, message.target]);
        }
        Source::Authority => base.push_str(message.host),
        Source::Scheme => base.push_str(message.scheme.as_str()),
        Source::RequestTarget => base.push_str(message.target),
        Source::Path if message.path.is_empty() => base.push('/'),
        Source::Path => base.push_str(message.path),
        Source::Query => base.extend(["?", message.query.unwrap_or_default()]),
        Source::QueryParam(name) => {
            let query = message.query.unwrap_or_default();
            read(left, query.len())?;
            query_param::write(name, query, base)?;
        }
        Source::Field(name, reading) => {
            let lines = || message.headers.get_all(name).iter();
            if lines().next().is_none() {
                return Err("it is covered but was not sent".into());
            }
            match reading {
                Reading::Joined => joined(lines(), base)?,
                Reading::Wrapped => wrapped(lines(), base),
                Reading::Strict(kind) => strict::write(*kind, lines(), base)?,
                Reading::Member(key) => {
                    read(left, lines().map(HeaderValue::len).sum())?;
                    strict::write_member(key, lines(), base)?;
                }
            }
        }
    }
    Ok(())
}

/// Counts what is read once more for a part of it.
fn read(left: &mut usize, bytes: usize) -> Result<(), Wrong> {
    *left = left.checked_sub(bytes).ok_or("too many parts of long values: sign the whole field or query instead")?;
    Ok(())
}

/// The lines of a field as one value (section 2.1).
fn joined<'v>(lines: impl Iterator<Item = &'v HeaderValue>, base: &mut String) -> Result<(), Wrong> {
    for (i, line) in lines.enumerate() {
        if i > 0 {
            base.push_str(", ");
        }
        let line = line.to_str().map_err(|_| "the value is not ASCII: sign it with ;bs")?;
        base.push_str(line.trim_matches([' ', '\t']));
    }
    Ok(())
}

/// The lines of a field as a list of byte sequences (section 2.1.3).
fn wrapped<'v>(lines: impl Iterator<Item = &'v HeaderValue>, base: &mut String) {
    for (i, line) in lines.enumerate() {
        base.push_str(if i > 0 { ", :" } else { ":" });
        STANDARD.encode_string(line.as_bytes().trim_ascii(), base);
        base.push(':');
    }
}

/// Reports the parts that a component reaches in full.
fn report(source: &Source, message: &Message<'_>, reached: &mut dyn FnMut(Reached<'_>)) {
    use Reached::{Header, Host, Method, Path, Query, Scheme};
    match source {
        Source::Method => reached(Method),
        Source::TargetUri => [Scheme, Host, Path, Query].into_iter().for_each(reached),
        Source::Authority => reached(Host),
        Source::Scheme => reached(Scheme),
        Source::RequestTarget => [Path, Query].into_iter().for_each(reached),
        Source::Path => reached(Path),
        Source::Query if message.query == Some("") => {}
        Source::Query => reached(Query),
        Source::QueryParam(_) | Source::Field(_, Reading::Member(_)) => {}
        Source::Field(name, Reading::Joined | Reading::Strict(_) | Reading::Wrapped) => {
            if *name == http::header::HOST {
                reached(Host);
            }
            reached(Header(name));
        }
    }
}
