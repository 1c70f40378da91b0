//! Tokens, the paths of their endpoints, and the headers in which the upstream is told who came.

use countersign_core::request_view::Scheme;
use http::HeaderName;
use toml::Spanned;

use super::Reading;
use crate::config::{IdentityHeaders, Listener, TokenPaths, Tokens};
use crate::config_error::Finding;
use crate::config_file::{IdentityHeadersTable, PathOrOff, TokensTable};

impl Reading<'_> {
    pub(super) fn tokens(&mut self, table: &TokensTable, listener: Option<&Listener>) -> Tokens {
        let issuer = match &table.issuer {
            Some(text) => self.issuer(text),
            None => listener.map(|listener| self.derived_issuer(listener)),
        };
        let usual = Tokens::for_issuer(issuer.unwrap_or_default());
        let audience = match &table.audience {
            Some(text) if text.get_ref().is_empty() || text.get_ref().len() > 255 || text.get_ref().chars().any(char::is_control) => {
                self.error(text.span(), "an audience has 1 to 255 characters", "leave it out to use the issuer");
                usual.audience
            }
            Some(text) => text.get_ref().clone(),
            None => usual.audience,
        };
        let refresh_idle_time = self.seconds(table.refresh_idle_seconds.as_ref(), 60..=31_536_000, usual.refresh_idle_time);
        let session_time = self.seconds(table.session_seconds.as_ref(), 60..=31_536_000, usual.session_time.max(refresh_idle_time));
        if let Some(session) = &table.session_seconds
            && table.refresh_idle_seconds.is_some()
            && session_time < refresh_idle_time
        {
            let help = "a session cannot outlive session_seconds: lower refresh_idle_seconds or raise session_seconds";
            self.error(session.span(), "session_seconds is less than refresh_idle_seconds", help);
        }
        if let Some(access) = &table.access_seconds
            && (1..60).contains(access.get_ref())
        {
            let finding = Finding::warning(Some(access.span()), format!("access tokens live {} s", access.get_ref()));
            self.findings.push(finding.help("clients will refresh all the time; 300 to 900 is usual"));
        }
        Tokens {
            issuer: usual.issuer,
            audience,
            access_time: self.seconds(table.access_seconds.as_ref(), 1..=3600, usual.access_time),
            refresh_idle_time: refresh_idle_time.min(session_time),
            session_time,
            grace_time: self.seconds(table.grace_seconds.as_ref(), 0..=60, usual.grace_time),
            paths: self.token_paths(table),
        }
    }

    fn issuer(&mut self, text: &Spanned<String>) -> Option<String> {
        let good = text.get_ref().parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|a| !a.as_str().contains('@'))
                && uri.query().is_none()
        });
        if !good || text.get_ref().ends_with('/') || text.get_ref().contains('#') {
            let help = "write the URL under which clients reach the gateway, without a slash at the end: \"https://api.example.com\"";
            self.error(text.span(), format!("{:?} is not an issuer", text.get_ref()), help);
            return None;
        }
        Some(text.get_ref().clone())
    }

    fn derived_issuer(&mut self, listener: &Listener) -> String {
        let scheme = match listener.public_scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let issuer = format!("{scheme}://{}", listener.address);
        if !listener.address.ip().is_loopback() {
            let finding = Finding::warning(None, format!("tokens.issuer is not set; access tokens will say {issuer}"));
            self.findings.push(finding.help(
                "set issuer below [tokens] to the URL under which clients reach the gateway: changing it later ends all access tokens",
            ));
        }
        issuer
    }

    fn token_paths(&mut self, table: &TokensTable) -> TokenPaths {
        let usual = TokenPaths::default();
        let mut taken: Vec<String> = Vec::new();
        let mut path = |reading: &mut Self, written: &Option<Spanned<PathOrOff>>, usual: Option<String>| {
            let path = match written.as_ref().map(|w| (w.span(), w.get_ref())) {
                None => usual,
                Some((_, PathOrOff::Off(false))) => None,
                Some((span, PathOrOff::Off(true))) => {
                    reading.error(
                        span,
                        "true is not a path",
                        "leave the setting out for the usual path, or write false to switch the endpoint off",
                    );
                    None
                }
                Some((span, PathOrOff::Path(path))) => {
                    if !is_plain_path(path) {
                        reading.error(
                            span,
                            format!("{path:?} is not the path of an endpoint"),
                            "write one fixed path without a slash at the end: \"/token\"",
                        );
                    }
                    Some(path.clone())
                }
            };
            if let (Some(path), Some(written)) = (&path, written)
                && taken.contains(&path.to_ascii_lowercase())
            {
                reading.error(written.span(), format!("two endpoints want {path}"), "give each a path of its own");
            }
            taken.extend(path.as_ref().map(|path| path.to_ascii_lowercase()));
            path
        };
        // Those that were not moved first, so that a clash is reported where something was written.
        let mut settings = [
            (&table.token_path, usual.token, None),
            (&table.refresh_path, usual.refresh, None),
            (&table.revoke_path, usual.revoke, None),
            (&table.introspect_path, usual.introspect, None),
            (&table.logout_path, usual.logout, None),
            (&table.jwks_path, usual.jwks, None),
            (&table.metadata_path, usual.metadata, None),
        ];
        for moved in [false, true] {
            for (written, usual, result) in settings.iter_mut().filter(|(written, ..)| written.is_some() == moved) {
                *result = path(self, written, usual.take());
            }
        }
        let [(.., token), (.., refresh), (.., revoke), (.., introspect), (.., logout), (.., jwks), (.., metadata)] = settings;
        TokenPaths { token, refresh, revoke, introspect, logout, jwks, metadata }
    }

    pub(super) fn identity_headers(&mut self, table: &IdentityHeadersTable) -> IdentityHeaders {
        let usual = IdentityHeaders::default();
        let headers = IdentityHeaders {
            consumer_id: self.identity_header(table.consumer_id.as_ref(), usual.consumer_id),
            consumer_username: self.identity_header(table.consumer_username.as_ref(), usual.consumer_username),
            credential_identifier: self.identity_header(table.credential_identifier.as_ref(), usual.credential_identifier),
            consumer_scopes: self.identity_header(table.consumer_scopes.as_ref(), usual.consumer_scopes),
        };
        let written = [&table.consumer_id, &table.consumer_username, &table.credential_identifier, &table.consumer_scopes];
        let names = [&headers.consumer_id, &headers.consumer_username, &headers.credential_identifier, &headers.consumer_scopes];
        for (i, (written, name)) in written.iter().zip(names).enumerate() {
            if let Some(written) = written
                && names.iter().enumerate().any(|(j, other)| i != j && alike(name, other))
            {
                self.error(
                    written.span(),
                    format!("two identity headers are called {}", written.get_ref()),
                    "give each a name of its own; - and _ do not tell names apart",
                );
            }
        }
        headers
    }

    fn identity_header(&mut self, written: Option<&Spanned<String>>, usual: HeaderName) -> HeaderName {
        let Some(text) = written else { return usual };
        match text.get_ref().parse::<HeaderName>() {
            Ok(name) if name.as_str().starts_with("x-") && !name.as_str().starts_with("x-forwarded-") => name,
            _ => {
                let help = "write a name that starts with X- and stands for nothing else: it is stripped from every request";
                self.error(text.span(), format!("{:?} cannot be an identity header", text.get_ref()), help);
                usual
            }
        }
    }
}

/// One path and no pattern: no wildcard, no slash at the end, nothing that a request's path cannot hold.
fn is_plain_path(path: &str) -> bool {
    let pattern = path.parse::<countersign_core::path_pattern::PathPattern>();
    pattern.is_ok_and(|pattern| pattern.is_fixed()) && !path.ends_with('/') && !path.contains('%')
}

/// Whether an upstream might take one header for the other.
fn alike(a: &HeaderName, b: &HeaderName) -> bool {
    let fold = |name: &HeaderName| name.as_str().replace(['_', '.'], "-");
    fold(a) == fold(b)
}
