//! An URL, taken apart without changing a byte of what will be signed.

use countersign_core::request_view::Scheme;
use http::uri::Authority;

use super::Failure;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port as they were written.
    pub authority: String,
    /// Path and query, exactly as they will be sent.
    pub path_and_query: String,
}

impl Target {
    /// Reads an URL. Nothing is corrected: what is signed must be what is sent.
    pub fn read(url: &str) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::Usage(format!("{url:?} cannot be signed: {why}"));
        let (scheme, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (Scheme::Http, rest),
            (_, Some(rest)) => (Scheme::Https, rest),
            _ => return Err(bad("write the whole URL, starting with http:// or https://")),
        };
        if url.contains('#') {
            return Err(bad("leave out # and what follows it; it is not sent to servers"));
        }
        if let Some(wrong) =
            url.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
        {
            return Err(bad(&format!("percent-encode {wrong:?}")));
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(bad("leave out the user and password; they would be another credential"));
        }
        if authority.parse::<Authority>().is_err() {
            return Err(bad("there is no host in it"));
        }
        let path_and_query = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        Ok(Self { scheme, authority: authority.into(), path_and_query })
    }

    /// The URL.
    pub fn url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}{}", self.authority, self.path_and_query)
    }
}
