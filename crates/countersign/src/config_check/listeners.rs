//! Where the gateway and its admin API listen, and whom they believe about clients.

use std::net::SocketAddr;
use std::path::Path;

use countersign_core::network::Network;
use countersign_core::request_view::Scheme;
use toml::Spanned;

use super::{LONGEST_SOCKET_PATH, Reading, control_socket};
use crate::config::{Admin, ClientAddressFrom, Listener};
use crate::config_error::Finding;
use crate::config_file::{AdminTable, ListenerTable};

impl Reading<'_> {
    pub(super) fn only_listener(&mut self, tables: &[Spanned<ListenerTable>]) -> Option<Listener> {
        let listeners: Vec<_> = tables.iter().map(|table| self.listener(table.get_ref())).collect();
        if let Some(second) = tables.get(1) {
            self.error(
                second.span(),
                "there is more than one [[listener]]",
                "this version takes one: put the addresses behind one listener",
            );
        } else if tables.is_empty() {
            let finding = Finding::error(None, "there is no [[listener]]");
            self.findings.push(finding.help("add:\n\n    [[listener]]\n    address = \"127.0.0.1:8080\"\n"));
        }
        listeners.into_iter().next().flatten()
    }

    fn listener(&mut self, table: &ListenerTable) -> Option<Listener> {
        let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
        let public_scheme = table.public_scheme.as_ref().map_or(Some(Scheme::Http), |scheme| self.one_of(scheme, &schemes));
        let families = [
            ("connection", ClientAddressFrom::Connection),
            ("x-forwarded-for", ClientAddressFrom::XForwardedFor),
            ("forwarded", ClientAddressFrom::Forwarded),
        ];
        let from = table.client_address_from.as_ref();
        let client_address_from = from.map_or(Some(ClientAddressFrom::Connection), |from| self.one_of(from, &families));
        let trusted_proxies: Vec<Network> = table.trusted_proxies.iter().filter_map(|proxy| self.trusted_proxy(proxy)).collect();
        match (client_address_from, table.trusted_proxies.first(), from) {
            (Some(ClientAddressFrom::Connection), Some(proxy), _) => self.warn(
                proxy.span(),
                "trusted_proxies has no effect: client_address_from is \"connection\"",
                "set client_address_from to the header that the proxies write: \"x-forwarded-for\" or \"forwarded\"",
            ),
            (Some(ClientAddressFrom::XForwardedFor | ClientAddressFrom::Forwarded), None, Some(from)) => self.warn(
                from.span(),
                "the header is never read: there are no trusted_proxies",
                "name the addresses of the proxies in front: trusted_proxies = [\"10.0.0.5\"]",
            ),
            _ => {}
        }
        let address = self.address(&table.address)?;
        Some(Listener { address, public_scheme: public_scheme?, trusted_proxies, client_address_from: client_address_from? })
    }

    fn trusted_proxy(&mut self, text: &Spanned<String>) -> Option<Network> {
        match text.get_ref().parse::<Network>() {
            Ok(network) if network.length() == 0 => {
                self.error(
                    text.span(),
                    format!("{network} would let every client write its own address"),
                    "name only the addresses of proxies in front",
                );
                None
            }
            Ok(network) => Some(network),
            Err(bad) => {
                self.error(
                    text.span(),
                    bad.to_string(),
                    "a network is written 10.0.0.0/8 or 2001:db8::/32, a single address without a slash",
                );
                None
            }
        }
    }

    fn address(&mut self, text: &Spanned<String>) -> Option<SocketAddr> {
        let parsed = text.get_ref().parse().ok();
        if parsed.is_none() {
            let help = match text.get_ref().strip_prefix("localhost:") {
                Some(port) => format!("write an address, not a name: \"127.0.0.1:{port}\""),
                None => "write an IP address and a port: \"127.0.0.1:8080\", \"0.0.0.0:8080\", \"[::1]:8080\"".into(),
            };
            self.error(text.span(), format!("{:?} is not an address to listen on", text.get_ref()), help);
        }
        parsed
    }

    pub(super) fn admin(&mut self, table: &AdminTable, data: &Path, listener: Option<&Listener>) -> Option<Admin> {
        let socket = match &table.socket {
            Some(path) => self.directory.join(path.get_ref()),
            None => control_socket(data),
        };
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            let message = format!("the path of the local socket is too long: {}", socket.display());
            let finding = Finding::error(table.socket.as_ref().map(Spanned::span), message);
            self.findings.push(finding.help(format!("the system allows {LONGEST_SOCKET_PATH} bytes: set admin.socket to a shorter path")));
        }
        let address = match &table.address {
            Some(text) => self.address(text)?,
            None => SocketAddr::from(([127, 0, 0, 1], 8081)),
        };
        let span = table.address.as_ref().map(Spanned::span);
        if !address.ip().is_loopback() && !table.danger_admin_on_network {
            self.findings.push(Finding::error(span.clone(), format!("the admin API would be reachable from other machines at {address}")).help(
                "use a loopback address and reach it through SSH, or add danger_admin_on_network = true below [admin] if a network of your own protects it",
            ));
        }
        if let Some(listener) = listener
            && address.port() != 0
            && address.port() == listener.address.port()
            && (address.ip() == listener.address.ip() || address.ip().is_unspecified() || listener.address.ip().is_unspecified())
        {
            let finding =
                Finding::error(span, format!("the admin API and the listener want the same port: {address} and {}", listener.address));
            self.findings.push(finding.help("give the admin API a port of its own: it does not exist on the public listener"));
        }
        Some(Admin { address, socket })
    }
}
