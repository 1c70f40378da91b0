//! Every reason to refuse, in one table: the stable code, the HTTP status, a title, and what to do next.
//! The page `docs/reference/codes.md` is printed from this table and a test holds them together.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $status:literal $title:literal $fix:literal;)*) => {
        /// Why a request was refused. The text form never changes once released; programs may match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text: `no_route`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// One line that says what happened. Does not vary (RFC 9457 section 3.1.4).
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What the reader can do about it.
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }
        }
    };
}

codes! {
    // The head of the request: judged on raw bytes, before anything is interpreted (RFC 9112).
    /// The request line is not `METHOD SP target SP HTTP/1.1`.
    BadRequestLine "bad_request_line" 400 "The request line is malformed" "Send METHOD, one space, the target, one space, HTTP/1.1.";
    /// A method that is not a token of at most 32 upper-case letters and dashes, or is CONNECT or TRACE.
    BadMethod "bad_method" 501 "The method is not supported" "Use an upper-case method that the API offers; CONNECT and TRACE are never forwarded.";
    /// Not HTTP/1.0 or HTTP/1.1.
    UnsupportedVersion "unsupported_version" 505 "This HTTP version is not supported" "Send HTTP/1.1.";
    /// The target does not start with `/`, or holds a byte that a target cannot hold.
    BadTarget "bad_target" 400 "The request target is malformed" "Send a path that starts with / in visible ASCII; percent-encode everything else.";
    /// The target holds `#`.
    FragmentInTarget "fragment_in_target" 400 "The request target has a fragment" "Leave out # and what follows it; fragments are not sent to servers.";
    /// A line does not end with CR LF, or CR, LF or NUL stands where it must not.
    BadLineEnding "bad_line_ending" 400 "A line does not end in CR LF" "End every line of the head with CR LF and send no other CR, LF or NUL.";
    /// A header line starts with white space (RFC 9112 section 5.2).
    FoldedHeader "folded_header" 400 "A header is folded over several lines" "Send each header on one line.";
    /// A header name is empty, not a token, or has white space before the colon.
    BadHeaderName "bad_header_name" 400 "A header name is malformed" "Use letters, digits and dashes, and put the colon straight after the name.";
    /// A header value holds a control character or a byte outside ASCII.
    BadHeaderValue "bad_header_value" 400 "A header value is malformed" "Send visible ASCII, space and tab only; encode everything else.";
    /// More bytes before the empty line than the limit.
    HeadTooLarge "head_too_large" 431 "The request head is too large" "Send fewer or shorter headers; see limits.head_bytes.";
    /// More header lines than the limit.
    TooManyHeaders "too_many_headers" 431 "The request has too many headers" "Send fewer headers; see limits.headers.";
    /// There is no Host header.
    NoHost "no_host" 400 "There is no Host header" "Send exactly one Host header.";
    /// There is more than one Host header.
    ManyHosts "many_hosts" 400 "There is more than one Host header" "Send exactly one Host header.";
    /// The Host header is not a host name or address with an optional port.
    BadHost "bad_host" 400 "The Host header is malformed" "Send a host name or address and an optional port.";
    /// An absolute-form target names another authority than Host.
    HostMismatch "host_mismatch" 400 "The target and the Host header disagree" "Send the same authority in both, or only a path in the target.";
    /// Content-Length is repeated, a list, or not plain digits.
    BadContentLength "bad_content_length" 400 "Content-Length is malformed" "Send one Content-Length of plain digits.";
    /// Transfer-Encoding is not exactly `chunked`, or the request is HTTP/1.0.
    BadTransferEncoding "bad_transfer_encoding" 400 "Transfer-Encoding is malformed" "Send exactly one Transfer-Encoding: chunked, with HTTP/1.1, or a Content-Length.";
    /// Content-Length and Transfer-Encoding together (RFC 9112 section 6.1).
    TwoLengths "two_lengths" 400 "Content-Length and Transfer-Encoding are both present" "Send one of the two.";
    /// The head did not arrive in time.
    HeadTimeout "head_timeout" 408 "The request head did not arrive in time" "Send the whole head within limits.head_seconds.";
    /// The body broke the rules of its framing, or the connection ended in it.
    BadBody "bad_body" 400 "The request body is malformed" "Send as many bytes as declared, or well-formed chunks.";
    /// The body did not arrive in time.
    BodyTimeout "body_timeout" 408 "The request body did not arrive in time" "Send the body without long pauses; see limits.body_idle_seconds.";
    /// An Expect header other than `100-continue`.
    ExpectationFailed "expectation_failed" 417 "The expectation cannot be met" "Send Expect: 100-continue or no Expect header.";
    /// An Upgrade other than to WebSocket, or a malformed one.
    BadUpgrade "bad_upgrade" 400 "This upgrade is not supported" "Only GET with Connection: upgrade and Upgrade: websocket is forwarded, and only without a body.";
    /// The request came through this gateway before (RFC 9110 section 7.6.3).
    ForwardingLoop "forwarding_loop" 508 "The request went round in a loop" "Correct the address of the upstream that points back at this gateway. Two gateways of this kind cannot stand behind each other.";

    // The request as it would be judged: what is judged is what is forwarded.
    /// `%2f` in the path.
    EncodedSlash "encoded_slash" 400 "The path has an encoded slash" "Leave %2F out of the path, or let the route allow it.";
    /// `\` or `%5c` in the path.
    Backslash "backslash" 400 "The path has a backslash" "Leave backslashes out of the path.";
    /// A control character in the path, in any encoding.
    ControlInPath "control_in_path" 400 "The path has a control character" "Leave control characters out of the path.";
    /// `%` that two hexadecimal digits do not follow, or an encoded percent sign before two of them.
    BadPercent "bad_percent" 400 "The target has a malformed percent-encoding" "Send % and two hexadecimal digits, and encode only once.";
    /// `.` or `..` as a segment, in any encoding.
    DotSegment "dot_segment" 400 "The path has a dot segment" "Resolve . and .. before sending.";
    /// `//` in the path.
    EmptySegment "empty_segment" 400 "The path has an empty segment" "Send single slashes.";
    /// `;` in the path, in any encoding.
    PathParameter "path_parameter" 400 "The path has a parameter" "Leave ; out of the path, or let the route allow it.";
    /// A letter, digit, `-`, `.`, `_` or `~` that is percent-encoded (RFC 3986 section 6.2.2.2).
    EncodedUnreserved "encoded_unreserved" 400 "The path encodes a character that needs no encoding" "Send letters, digits, - . _ ~ as they are.";
    /// A byte outside ASCII that is not UTF-8 once decoded.
    BadPathText "bad_path_text" 400 "The path is not UTF-8 once decoded" "Percent-encode UTF-8.";
    /// Only the case of the path keeps the request from a route with another rule.
    PathCase "path_case" 404 "The path differs from a route only in case" "Send the path in the case in which it is documented.";
    /// A header that may come once came more often.
    DuplicateHeader "duplicate_header" 400 "A header is repeated that may come once" "Send it once.";
    /// A header name that differs from one of the gateway's only in `_` or `.` for `-`.
    HeaderAlias "header_alias" 400 "A header name could be taken for another" "Use dashes, not underscores or dots, in this header's name.";
    /// The forwarded addresses cannot be read.
    UnclearClientAddress "unclear_client_address" 400 "The client's address cannot be told" "The proxy in front sends a malformed X-Forwarded-For or Forwarded header; correct it.";

    // Routes.
    /// No route matches.
    NoRoute "no_route" 404 "No route matches" "Check the host and the path; only declared endpoints are reachable.";
    /// The path is known, the method is not.
    MethodNotAllowed "method_not_allowed" 405 "The method is not allowed here" "Use one of the methods in the Allow header.";

    // Who and from where.
    /// Nothing was shown that the rule asks for.
    CredentialsRequired "credentials_required" 401 "Credentials are required" "Send one of the credentials named in WWW-Authenticate.";
    /// Two credentials of one kind, or one credential in two places.
    AmbiguousCredentials "ambiguous_credentials" 400 "More than one credential of a kind was sent" "Send exactly one credential of each kind.";
    /// The access token is not ours, not well-formed or not signed by us.
    InvalidToken "invalid_token" 401 "The access token is not valid" "Log in again and send the access token as Authorization: Bearer.";
    /// The access token has expired.
    TokenExpired "token_expired" 401 "The access token has expired" "Use the refresh token to get a new one.";
    /// The session of the access token has ended.
    SessionEnded "session_ended" 401 "The session has ended" "Log in again.";
    /// The API key is unknown, mistyped, disabled or expired.
    InvalidApiKey "invalid_api_key" 401 "The API key is not valid" "Send a current key as X-API-Key.";
    /// A field of the signature is missing or malformed.
    SignatureMalformed "signature_malformed" 401 "The request signature is incomplete or malformed" "Send every field of the signature scheme once, in its documented form.";
    /// The key is unknown or the signature does not match. Both say the same.
    SignatureMismatch "signature_mismatch" 401 "The request signature does not match" "Check the key id, the secret, and each line of the string to sign.";
    /// The signature does not reach a part of the request that it must reach.
    SignatureCoverage "signature_coverage" 401 "The signature does not cover enough of the request" "Sign the parts named in detail.";
    /// The timestamp is further in the past than the window.
    TimestampTooOld "timestamp_too_old" 401 "The timestamp is too far in the past" "Set the clock, use Unix seconds, and sign each request just before sending it.";
    /// The timestamp is further in the future than the window.
    TimestampTooNew "timestamp_too_new" 401 "The timestamp is too far in the future" "Set the clock and use Unix seconds.";
    /// The request was seen before.
    Replayed "replayed" 401 "This signed request was used before" "Sign again with a new nonce and timestamp to repeat it.";
    /// The request was signed before the gateway could be sure to remember it.
    SignedBeforeFence "signed_before_fence" 401 "The request was signed before the gateway's memory begins" "Sign again with the current time; the gateway lost what it remembered from before.";
    /// The key has as many live nonces as it may have.
    TooManyNonces "too_many_nonces" 429 "This key has too many live nonces" "Slow down; see limits.nonces_per_key.";
    /// The request has a header that the signature does not cover and that can change its meaning.
    UncoveredHeader "uncovered_header" 400 "A header that changes the meaning of the request is not signed" "Leave out Content-Encoding, method-override and URL-rewrite headers, sign them where the scheme can, or let the route allow them by name.";
    /// Credentials are good but not those of one principal.
    PrincipalsDiffer "principals_differ" 403 "The credentials belong to different principals" "Send credentials of one user or client.";
    /// The credential lacks a scope.
    InsufficientScope "insufficient_scope" 403 "A scope is missing" "Ask for the scope named in WWW-Authenticate.";
    /// The address is not on the list.
    AddressNotAllowed "address_not_allowed" 403 "Requests from this address are not allowed here" "Ask the operator to add the address to the allow-list.";
    /// A browser sent it from another site, and only the address would have let it in.
    CrossSite "cross_site" 403 "Cross-site requests are not allowed here" "Call from the same site, or send credentials.";

    // The body.
    /// The body is larger than the route allows.
    BodyTooLarge "body_too_large" 413 "The request body is too large" "Send a smaller body; see limits of the route.";
    /// A large signed body needs its digest in the head.
    BodyDigestRequired "body_digest_required" 413 "A body of this size needs its digest in the head" "Send Content-Digest: sha-256=:...: (RFC 9530) and sign with it.";
    /// Content-Digest is malformed or has no sha-256.
    BadContentDigest "bad_content_digest" 400 "Content-Digest is malformed" "Send Content-Digest: sha-256=:<base64>: (RFC 9530).";
    /// The body is not the one that was declared.
    BodyDigestMismatch "body_digest_mismatch" 400 "The body does not match its declared digest" "Compute the digest over exactly the bytes that are sent.";
    /// All body buffers are in use.
    BodyBuffersFull "body_buffers_full" 503 "All body buffers are in use" "Try again shortly.";

    // Could not decide means no.
    /// Something that the decision needs did not answer.
    CouldNotDecide "could_not_decide" 503 "The gateway could not decide" "Try again shortly; the operator sees the cause in the log.";
    /// The clock is behind what was already accepted.
    ClockBehind "clock_behind" 503 "The gateway's clock is behind" "The operator must set the clock; signed requests are refused until then.";
    /// The accepted counters were lost.
    CounterLost "counter_lost" 503 "The gateway lost the counters it had accepted" "The operator must replace the secrets that sign with a counter, and then remove the file counters-lost.";
    /// Too much is going on.
    Overloaded "overloaded" 503 "The gateway is overloaded" "Try again shortly.";
    /// The gateway made a mistake.
    Internal "internal" 500 "The gateway failed" "Tell the operator the request id.";

    // The upstream.
    /// No connection to the upstream: it has seen nothing.
    UpstreamUnreachable "upstream_unreachable" 502 "The upstream cannot be reached" "The request was not forwarded; try again, with a new signature if it was signed.";
    /// The upstream failed after it may have seen the request.
    UpstreamOutcomeUnknown "upstream_outcome_unknown" 502 "The upstream failed; whether it acted is unknown" "Ask the API for the state before repeating the request.";
    /// The upstream did not answer in time.
    UpstreamTimeout "upstream_timeout" 504 "The upstream did not answer in time" "Ask the API for the state before repeating the request.";

    // Logging in (RFC 6749 section 5.2 in its own shape) and the admin API.
    /// Too many attempts, or all hashing places are taken.
    TooManyAttempts "too_many_attempts" 429 "Too many attempts" "Wait as long as Retry-After says.";
    /// Username, password or refresh token are not good.
    InvalidGrant "invalid_grant" 400 "The login or refresh token is not valid" "Check username and password, or log in again.";
    /// A field of the token request is missing, repeated or malformed.
    InvalidRequest "invalid_request" 400 "The token request is malformed" "Send each field once, in the body, as a form or as JSON.";
    /// A grant type other than `password` and `refresh_token`.
    UnsupportedGrantType "unsupported_grant_type" 400 "The grant type is not supported" "Send grant_type=password or grant_type=refresh_token.";
    /// More was asked for than the user or the session has.
    InvalidScope "invalid_scope" 400 "The scope goes beyond what was granted" "Ask for fewer scopes, or leave scope out.";
    /// A client secret was shown; applications that log in have none.
    InvalidClient "invalid_client" 401 "The application cannot be authenticated" "Send client_id without a secret; signed requests and API keys are for clients with secrets.";
    /// The body cannot be read as what it should be.
    InvalidBody "invalid_body" 422 "The request body is not what is expected here" "Correct what errors names.";
    /// The media type is not one of those that are read.
    UnsupportedMediaType "unsupported_media_type" 415 "The media type is not supported" "Send application/json (the token endpoint also reads forms).";
    /// No such thing.
    NotFound "not_found" 404 "There is no such thing" "Check the name or id.";
    /// There is one already.
    AlreadyExists "already_exists" 409 "There is one already" "Choose another name, or change the one there is.";
    /// A key has two live secrets already.
    OverlapOpen "overlap_open" 409 "The key has two live secrets" "Wait until the old secret has ended, or remove it.";
    /// The only secret of a key.
    LastSecret "last_secret" 409 "It is the only secret of its key" "Add another secret first, or remove the key.";
    /// What depends on it is not there.
    NoOwner "no_owner" 404 "What it would belong to is not there" "Check the name or id of the list or client, or make it first.";
    /// The change is stored, but the rules in force could not be renewed.
    NotYetInForce "not_yet_in_force" 503 "The change is saved but not yet in force" "Nothing needs to be repeated; the gateway keeps trying.";
    /// The request names a host that is not the admin address: a page that rebinds its name would.
    WrongAdminHost "wrong_admin_host" 421 "This is not the address of the admin API" "Use the address that the gateway prints at start.";
    /// The thing was changed by somebody else.
    Stale "stale" 412 "It was changed in the meantime" "Read it again and repeat the change with the new ETag.";
    /// There is no If-Match.
    PreconditionRequired "precondition_required" 428 "If-Match is required" "Send If-Match with the ETag that was read, or * for whatever is there.";
    /// The admin key is missing, unknown, disabled or expired.
    InvalidAdminKey "invalid_admin_key" 401 "An admin key is required" "Send Authorization: Bearer csa_...";
    /// The admin key may not do this.
    AdminScope "admin_scope" 403 "The admin key may not do this" "Use a key with the scope named in detail.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: the code, and what can be said about this one case without giving anything away.
///
/// Never holds a credential: it is answered, logged and recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}{}{}", if .detail.is_some() { ": " } else { "" }, .detail.as_deref().unwrap_or(""))]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// More about this case, for the caller to read.
    pub detail: Option<Cow<'static, str>>,
    /// When to come back, for `Retry-After` (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with a detail.
    pub fn with(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: Some(detail.into()), retry_after: None }
    }

    /// This refusal, with a time to come back.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, detail: None, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_lower_case_words() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            assert!((400..600).contains(&code.status()), "{code}");
            assert!(code.fix().ends_with('.') || code.fix().ends_with("..."), "{code}: {}", code.fix());
        }
    }
}
