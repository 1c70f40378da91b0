//! Who may come in: an admin key over TCP, or the owner of the process over the local socket; never a web page.

use std::net::{IpAddr, SocketAddr};

use countersign_core::audit::Actor;
use countersign_core::code::{Code, Refusal};
use countersign_core::directory::AdminScope;
use countersign_core::secret::{CredentialHash, MadeSecret};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

use super::call::Failure;
use crate::control::Control;

/// The other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp {
        /// The client's end.
        peer: SocketAddr,
        /// Our end: the address that the admin API is reached at.
        local: SocketAddr,
    },
    /// Over the local socket, a process of this user. Only our own user and root are let in, by `control_socket.rs`.
    Local {
        /// The user id, as the kernel says it.
        uid: u32,
    },
}

/// The peer, which the listener puts there.
pub(super) fn peer(head: &Parts) -> Result<Peer, Failure> {
    head.extensions.get::<Peer>().copied().ok_or_else(|| {
        tracing::error!("an admin request came without its peer");
        Code::Internal.into()
    })
}

/// Refuses what only a web page sends: another site's `Origin` (CSRF), and a name in `Host` that is not the admin address
/// (DNS rebinding). Browsers cannot reach the local socket.
pub(super) fn refuse_browsers_of_others(head: &Parts, peer: Peer) -> Result<(), Failure> {
    let Peer::Tcp { local, .. } = peer else { return Ok(()) };
    let text = |name| -> Result<Option<&str>, Failure> {
        let mut values = head.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_not_text| Code::BadHeaderValue.into()),
            (Some(_), Some(_)) => Err(Code::DuplicateHeader.into()),
        }
    };
    let host = text(HOST)?.or_else(|| head.uri.authority().map(Authority::as_str)).ok_or(Code::NoHost)?;
    let host: Authority = host.parse().map_err(|_malformed| Failure::from(Code::BadHost))?;
    if !is_admin_host(host.host(), local.ip()) {
        return Err(Code::WrongAdminHost.into());
    }
    let same_origin = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority == host.as_str());
    let origin_fits = text(ORIGIN)?.is_none_or(same_origin);
    let site_fits = match head.headers.get("sec-fetch-site") {
        None => true,
        Some(site) => matches!(site.as_bytes(), b"same-origin" | b"none"),
    };
    if origin_fits && site_fits { Ok(()) } else { Err(Code::CrossSite.into()) }
}

/// Loopback by address or by its one name, or the very address that was connected to. No other name: it could be rebound.
fn is_admin_host(host: &str, local: IpAddr) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.to_canonical() == local.to_canonical(),
        Err(_name) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// As the audit log says it.
    pub actor: Actor,
    /// What it may do; everything when absent.
    scopes: Option<Vec<AdminScope>>,
}

impl Caller {
    /// Refuses without the scope.
    pub fn may(&self, scope: AdminScope) -> Result<(), Failure> {
        match &self.scopes {
            Some(scopes) if !scopes.contains(&scope) => {
                Err(Refusal::with(Code::AdminScope, format!("this needs the scope {}", scope.as_str())).into())
            }
            _ => Ok(()),
        }
    }
}

/// Finds out who asks.
pub(super) fn find_caller(control: &Control, head: &Parts, peer: Peer) -> Result<Caller, Failure> {
    if let Peer::Local { uid } = peer {
        return Ok(Caller { actor: Actor::LocalUser(uid), scopes: None });
    }
    let mut shown = head.headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (shown.next(), shown.next()) else { return Err(Code::InvalidAdminKey.into()) };
    let key = value.to_str().ok().and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let live = control.publisher.live();
    let now = control.now();
    key.filter(|(_, key)| MadeSecret::AdminKey.is_well_formed(key))
        .and_then(|(_, key)| live.keys.find_admin_key(&CredentialHash::of(key)))
        .filter(|key| key.enabled && key.expires.is_none_or(|expires| now < expires))
        .map(|key| Caller { actor: Actor::AdminKey(key.id.clone()), scopes: Some(key.scopes.clone()) })
        .ok_or_else(|| Code::InvalidAdminKey.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_the_address_that_was_connected_to_are_hosts() {
        let local: IpAddr = "192.0.2.7".parse().unwrap();
        for good in ["localhost", "LocalHost", "127.0.0.1", "127.8.8.8", "[::1]", "192.0.2.7", "[::ffff:192.0.2.7]"] {
            assert!(is_admin_host(good, local), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "192.0.2.8", "0.0.0.0", "127.1", "127.0.0.1.nip.example", ""] {
            assert!(!is_admin_host(bad, local), "{bad}");
        }
    }
}
