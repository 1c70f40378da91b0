//! Signing with the interpreter that verifies: what is added to a request is read back the way a gateway would read it, so a
//! profile that verifies is a profile that signs.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::bytes::Bytes;
use super::coverage::Provenance;
use super::evaluate::{Context, Credential, Signing};
use super::fields::Fields;
use super::percent::Percent;
use super::profile::Profile;
use super::request::{Body, Head};
use super::rules::{MacAlgorithm, SignTo};
use super::secret::{BadSecret, LiveSecret};
use crate::code::Refusal;
use crate::fresh::Fresh;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

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
    /// The headers that will be sent, Content-Type among them. Host is added.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Body<'a>,
}

/// What makes a request signed.
#[derive(Debug)]
pub struct Signed {
    /// The headers to add, in the order of the profile, by the names that its scheme writes.
    pub headers: Vec<(Box<str>, String)>,
    /// The target to send: the one that was given, with the parameters that the scheme adds.
    pub target: String,
    /// What was signed, for people to compare with.
    pub string_to_sign: Vec<u8>,
}

/// A request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The profile says how to verify only.
    #[error("the profile {0} has no [[sign]]: it verifies only")]
    VerifiesOnly(String),
    /// The secret does not fit the profile.
    #[error(transparent)]
    Secret(#[from] BadSecret),
    /// A header value that no request can carry.
    #[error("the value of {0} cannot be sent in a header")]
    Header(Box<str>),
    /// What was made does not verify: a part is missing that the profile signs.
    #[error("{0}")]
    Refused(Refusal),
}

impl From<Refusal> for CannotSign {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A request while it gets what makes it signed.
struct Draft {
    headers: HeaderMap,
    added: Vec<(Box<str>, String)>,
    target: String,
}

impl Profile {
    /// Signs a request.
    ///
    /// # Errors
    /// The profile, the secret or the request does not allow it.
    pub fn sign(
        &self,
        key_id: &str,
        secret: &SecretText,
        request: &ToSign<'_>,
        now: UnixMillis,
        fresh: Fresh<16>,
    ) -> Result<Signed, CannotSign> {
        if !self.can_sign() {
            return Err(CannotSign::VerifiesOnly(self.name.to_string()));
        }
        let secret = LiveSecret::of_any_length(self, secret)?;
        let fresh = fresh.bytes();
        let algorithm = self.rule.algorithm.or_else(|| self.rule.chosen.iter().flat_map(|(_, table)| table).map(|(_, a)| *a).next());
        let algorithm = algorithm.unwrap_or(MacAlgorithm::HmacSha256);
        let host = canonical_host(request.host, request.scheme);
        let placeholder = self.rule.encoding.encode([0; 64].get(..algorithm.length()).unwrap_or_default());
        let signing = Signing { now, fresh, key_id, mac: &placeholder, named: &[] };
        let draft = self.draft(request, &host, secret.credential(), signing)?;
        let (tag, string_to_sign) = self.mac(&draft, request, &host, &secret)?;
        let mac = self.rule.encoding.encode(&tag);
        let signed = self.draft(request, &host, secret.credential(), Signing { mac: &mac, ..signing })?;
        // Nothing leaves here that our own gateway would refuse.
        self.fields(&signed.head(request, &host), request.body)?.judge(request.body, std::slice::from_ref(&secret), now)?;
        Ok(Signed { headers: signed.added, target: signed.target, string_to_sign })
    }

    /// The request with everything that the profile adds.
    fn draft(&self, request: &ToSign<'_>, host: &str, credential: Credential<'_>, signing: Signing<'_>) -> Result<Draft, CannotSign> {
        let mut draft = Draft { headers: request.headers.clone(), added: Vec::new(), target: request.target.to_owned() };
        let value = |name: &str, text: &[u8]| HeaderValue::from_bytes(text).map_err(|_| CannotSign::Header(name.into()));
        draft.headers.insert(http::header::HOST, value("host", host.as_bytes())?);
        if let Body::Bytes(bytes, _) = request.body {
            draft.headers.insert(http::header::CONTENT_LENGTH, bytes.len().into());
        }
        let mut named: Vec<Vec<u8>> = Vec::new();
        for step in &self.sign {
            let mut text = Vec::new();
            {
                let mut context = Context {
                    profile: self,
                    head: draft.head(request, host),
                    body: request.body,
                    fields: &[],
                    credential: Some(credential),
                    signing: Some(Signing { named: &named, ..signing }),
                    algorithm: MacAlgorithm::HmacSha256,
                    item: None,
                };
                context.algorithm = self.algorithm(&context).unwrap_or(MacAlgorithm::HmacSha256);
                if let Some((condition, holds)) = &step.condition
                    && context.holds(condition)? != *holds
                {
                    if let SignTo::Let = step.to {
                        named.push(Vec::new());
                    }
                    continue;
                }
                context.write(&step.value, &mut text, &mut Provenance::default())?;
            }
            match &step.to {
                SignTo::Let => named.push(text),
                SignTo::Header(name, shown) => draft.add(name, shown, text)?,
                SignTo::Query(name) => {
                    let encode = |bytes: &[u8]| String::from_utf8_lossy(Percent::Strict.encode(Bytes::Lent(bytes)).as_slice()).into_owned();
                    draft.target.push(if draft.target.contains('?') { '&' } else { '?' });
                    draft.target.push_str(&encode(name.as_bytes()));
                    draft.target.push('=');
                    draft.target.push_str(&encode(&text));
                }
            }
        }
        if let Some(rule) = &self.builtin {
            let (input, signature) = rule.sign_headers(&draft.head(request, host), request.body.is_there(), signing)?;
            draft.add(&HeaderName::from_static("signature-input"), "Signature-Input", input.into_bytes())?;
            draft.add(&HeaderName::from_static("signature"), "Signature", signature.into_bytes())?;
        }
        Ok(draft)
    }

    /// The MAC of a request, and the string that it signs.
    fn mac(&self, draft: &Draft, request: &ToSign<'_>, host: &str, secret: &LiveSecret) -> Result<(Vec<u8>, Vec<u8>), CannotSign> {
        let head = draft.head(request, host);
        let fields = self.fields(&head, request.body)?;
        let mut context = fields.context(request.body);
        context.algorithm = self.algorithm(&context)?;
        context.credential = self.rule.reads_secret.then(|| secret.credential());
        let key = secret.key(&context, &mut Provenance::default(), &mut Vec::new())?;
        let message = fields.messages(&context)?.into_iter().next().map_or_else(Vec::new, |message| message.text);
        let tag = aws_lc_rs::hmac::sign(&key, &message).as_ref().to_vec();
        let shown = fields.shown_message(&context, message)?;
        Ok((tag, shown))
    }

    fn fields<'v>(&'v self, head: &Head<'v>, body: Body<'v>) -> Result<Fields<'v>, CannotSign> {
        let fields = self.find_fields(*head)?;
        let fields = fields.ok_or_else(|| CannotSign::VerifiesOnly(self.name.to_string()))?;
        Ok(fields.complete(body)?)
    }
}

impl Draft {
    fn head<'v>(&'v self, request: &ToSign<'v>, host: &'v str) -> Head<'v> {
        Head { method: request.method, scheme: request.scheme, host, target: &self.target, headers: &self.headers }
    }

    fn add(&mut self, name: &HeaderName, shown: &str, text: Vec<u8>) -> Result<(), CannotSign> {
        let wrong = || CannotSign::Header(shown.into());
        self.headers.insert(name, HeaderValue::from_bytes(&text).map_err(|_| wrong())?);
        self.added.push((shown.into(), String::from_utf8(text).map_err(|_| wrong())?));
        Ok(())
    }
}

/// The host as [`crate::request_view::RequestView::host`] gives it: lower case, no default port, no trailing dot.
pub fn canonical_host(host: &str, scheme: Scheme) -> String {
    let port = match scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
    };
    let host = host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    host.strip_suffix('.').map(str::to_owned).unwrap_or(host)
}
