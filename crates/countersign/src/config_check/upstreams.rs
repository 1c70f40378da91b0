//! Where requests are forwarded to.

use std::collections::BTreeMap;

use countersign_core::id::UpstreamName;
use http::uri::Authority;
use toml::Spanned;

use super::Reading;
use crate::config::Upstream;
use crate::config_error::Finding;
use crate::config_file::UpstreamTable;

impl Reading<'_> {
    pub(super) fn upstreams(&mut self, tables: &BTreeMap<Spanned<String>, Spanned<UpstreamTable>>) -> BTreeMap<UpstreamName, Upstream> {
        let mut upstreams = BTreeMap::new();
        for (name, table) in tables {
            let named = name.get_ref().parse::<UpstreamName>();
            if let Err(bad) = &named {
                self.error(name.span(), bad.to_string(), "write [upstream.orders]");
            }
            let upstream = self.upstream(table.get_ref());
            if let (Ok(name), Some(upstream)) = (named, upstream) {
                upstreams.insert(name, upstream);
            }
        }
        upstreams
    }

    fn upstream(&mut self, table: &UpstreamTable) -> Option<Upstream> {
        let authority = self.upstream_authority(&table.url);
        let usual = Upstream::at(Authority::from_static("usual.invalid:80"));
        let connect_time = self.seconds(table.connect_seconds.as_ref(), 1..=60, usual.connect_time);
        let response_time = self.seconds(table.response_seconds.as_ref(), 1..=3600, usual.response_time);
        let idle_time = self.seconds(table.idle_seconds.as_ref(), 0..=3600, usual.idle_time);
        let idle_connections = self.count(table.idle_connections.as_ref(), 0..=10_000, usual.idle_connections);
        Some(Upstream { authority: authority?, connect_time, response_time, idle_time, idle_connections })
    }

    fn upstream_authority(&mut self, url: &Spanned<String>) -> Option<Authority> {
        match read_upstream(url.get_ref()) {
            Ok(authority) => Some(authority),
            Err(BadUpstream { message, help, secret }) => {
                let finding = Finding::error(Some(url.span()), message).help(help);
                self.findings.push(if secret { finding.hiding(url.span()) } else { finding });
                None
            }
        }
    }
}

/// Why an URL is not that of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {help}")]
pub struct BadUpstream {
    message: String,
    help: String,
    /// Whether the URL may hold a password.
    secret: bool,
}

/// Reads `http://host:port`; the port is 80 when absent.
///
/// # Errors
///
/// It is anything else.
pub fn read_upstream(url: &str) -> Result<Authority, BadUpstream> {
    let bad = |message: String, help: &str| BadUpstream { message, help: help.into(), secret: false };
    if url.contains('@') {
        return Err(BadUpstream {
            message: "the URL of an upstream has no user and password".into(),
            help: "write http://host:port".into(),
            secret: true,
        });
    }
    if url.starts_with("https://") {
        return Err(bad(
            format!("{url} cannot be reached: upstreams are plain http for now"),
            "write http://host:port; https to upstreams comes with a later version",
        ));
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(bad(format!("{url:?} is not the URL of an upstream"), "write http://host:port"));
    };
    if let Some((authority, path)) = rest.split_once(['/', '?', '#'])
        && !(path.is_empty() && rest.len() == authority.len() + 1 && rest.ends_with('/'))
    {
        return Err(bad(
            format!("{url:?} has a path: an upstream is a host and a port"),
            "write http://host:port; requests keep the path that they came with",
        ));
    }
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let authority = host.parse::<Authority>().ok().filter(|authority| !authority.host().is_empty() && !host.ends_with(':'));
    let with_port = authority.and_then(|authority| match authority.port() {
        Some(_) => authority.port_u16().filter(|port| *port != 0).map(|_| authority),
        None => format!("{authority}:80").parse().ok(),
    });
    with_port.ok_or_else(|| bad(format!("{url:?} is not the URL of an upstream"), "write http://host:port"))
}
