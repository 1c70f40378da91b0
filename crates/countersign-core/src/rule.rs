//! The rule language: `jwt`, `hmac`, `hmac(profile)`, `api_key`, `mtls`, `from(list)`, `scope(name)`, `anyone`, with `and`, `or`
//! and parentheses.

/// The kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An access token.
    Jwt,
    /// A signed request.
    Hmac,
    /// An API key.
    ApiKey,
    /// A client certificate.
    Mtls,
}
