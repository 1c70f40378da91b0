//! Signing with the interpreter that verifies: a profile that verifies is a profile that signs.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::body::BodyDigest;
use super::profile::{Field, MacEncoding, Profile};
use super::template::Readable;
use crate::fresh::Fresh;
use crate::id::KeyId;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::{SecretText, push_hex};

/// A request that is to be signed.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// The method, as it will be sent.
    pub method: &'a str,
    /// The scheme.
    pub scheme: Scheme,
    /// The authority: host and, if it is not the default one, port. Any case.
    pub host: &'a str,
    /// The target exactly as it will be sent: path and query.
    pub target: &'a str,
    /// The value of Content-Type, if it will be sent.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: BodyDigest,
}

/// What makes a request signed.
#[derive(Debug)]
pub struct Signed {
    /// The headers to add, in the order of the documentation.
    pub headers: Vec<(HeaderName, String)>,
    /// What was signed, for people to compare with.
    pub string_to_sign: String,
}

/// A request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The secret does not fit the profile.
    #[error(transparent)]
    Secret(#[from] super::BadSecret),
    /// A header value that no request can carry.
    #[error("{0} cannot be sent in a header")]
    Header(&'static str),
    /// A part of the request is missing that the profile signs.
    #[error("{0}")]
    Part(crate::code::Refusal),
}

impl Profile {
    /// Signs a request.
    pub fn sign(
        &self,
        key_id: &KeyId,
        secret: &SecretText,
        request: &ToSign<'_>,
        now: UnixMillis,
        fresh: Fresh<16>,
    ) -> Result<Signed, CannotSign> {
        let key = hmac::Key::new(self.draft.algorithm.hmac(), self.key_bytes(secret)?);
        let mut headers = HeaderMap::new();
        if let Some(content_type) = request.content_type {
            let value = HeaderValue::from_str(content_type).map_err(|_| CannotSign::Header("the Content-Type"))?;
            headers.insert(http::header::CONTENT_TYPE, value);
        }
        let mut nonce = String::with_capacity(32);
        push_hex(&mut nonce, fresh.bytes());
        let timestamp = self.draft.time.format.write(now);
        let host = canonical_host(request.host, request.scheme);
        let readable = Readable {
            method: request.method,
            scheme: request.scheme,
            host: &host,
            target: request.target,
            headers: &headers,
            body: request.body,
            key_id: key_id.as_str(),
            timestamp: &timestamp,
            nonce: &nonce,
        };
        let text = self.string_to_sign(&readable).map_err(CannotSign::Part)?;
        let mac = hmac::sign(&key, &text);
        let mut written = String::new();
        match self.draft.encoding {
            MacEncoding::Hex => push_hex(&mut written, mac.as_ref()),
            MacEncoding::Base64 => STANDARD.encode_string(mac.as_ref(), &mut written),
        }
        let header = |field: &Field, value: &str| {
            let name = self.draft.headers.get(usize::from(field.slot.0)).cloned();
            name.map(|name| (name, format!("{}{value}", field.prefix)))
        };
        let draft = &self.draft;
        let fields = [(&draft.key_id, key_id.as_str()), (&draft.timestamp, &timestamp), (&draft.nonce, &nonce), (&draft.mac, &written)];
        Ok(Signed {
            headers: fields.into_iter().filter_map(|(field, value)| header(field, value)).collect(),
            string_to_sign: String::from_utf8_lossy(&text).into_owned(),
        })
    }
}

/// The host as [`crate::request_view::RequestView::host`] gives it: lower case, no default port, no trailing dot.
fn canonical_host(host: &str, scheme: Scheme) -> String {
    let port = match scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
    };
    let host = host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    host.strip_suffix('.').map(str::to_owned).unwrap_or(host)
}
