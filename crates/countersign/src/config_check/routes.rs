//! Routes: each checked by itself, then all of them together.

use std::collections::BTreeMap;
use std::ops::Range;

use countersign_core::allow_list::Methods;
use countersign_core::id::UpstreamName;
use countersign_core::path_pattern::PathPattern;
use countersign_core::request_view::Relax;
use countersign_core::routes::{self, Action, BadHostPattern, BadRoutes, HostPattern, RouteSpec};
use countersign_core::rule::{Kind, Rule};
use http::HeaderName;
use toml::Spanned;

use super::{Reading, did_you_mean};
use crate::config::{TokenPaths, Upstream};
use crate::config_error::Finding;
use crate::config_file::{OneOrMany, RouteTable, UpstreamTable};

impl Reading<'_> {
    pub(super) fn routes(
        &mut self,
        tables: &[Spanned<RouteTable>],
        upstreams: &BTreeMap<UpstreamName, Upstream>,
        reserved: &TokenPaths,
        written: &BTreeMap<Spanned<String>, Spanned<UpstreamTable>>,
    ) -> Option<Vec<RouteSpec>> {
        // An upstream that is there but wrong was reported already.
        let names: Vec<&str> = written.keys().map(|name| name.get_ref().as_str()).collect();
        let routes: Vec<_> = tables.iter().map(|table| self.route(table, &names, reserved)).collect();
        if tables.is_empty() {
            let help = "add a [[route]]; countersign init writes a file with examples";
            self.findings.push(Finding::warning(None, "there is no [[route]]: every request is refused").help(help));
        }
        for name in written.keys() {
            let used =
                tables.iter().any(|table| table.get_ref().upstream.as_ref().is_some_and(|upstream| upstream.get_ref() == name.get_ref()));
            if !used && upstreams.contains_key(name.get_ref().as_str()) {
                self.warn(
                    name.span(),
                    format!("no route leads to the upstream {:?}", name.get_ref()),
                    "name it in a [[route]], or remove it",
                );
            }
        }
        let routes: Vec<RouteSpec> = routes.into_iter().collect::<Option<_>>()?;
        self.together(tables, &routes).then_some(routes)
    }

    /// Whether the routes can stand beside each other.
    fn together(&mut self, tables: &[Spanned<RouteTable>], routes: &[RouteSpec]) -> bool {
        let Err(bad) = routes::RouteTable::build(routes.to_vec()) else { return true };
        let (message, later, earlier) = match &bad {
            BadRoutes::NoPath { route } => ("the route has no path".to_owned(), *route, None),
            BadRoutes::SameRequests { first, second, path, method } => {
                let what = if method == "*" { path.clone() } else { format!("{method} {path}") };
                (format!("two routes want {what}"), *second, Some(*first))
            }
            BadRoutes::OnlyCase { first, second, path } => {
                (format!("two routes differ only in the case of {path}, and their rules differ"), *second, Some(*first))
            }
        };
        // The path that clashes, if it can be found, else the whole table.
        let clashing = |table: &Spanned<RouteTable>| match table.get_ref().path.get_ref() {
            OneOrMany::One(_) => table.get_ref().path.span(),
            OneOrMany::Many(paths) => {
                paths.iter().find(|path| message.contains(path.get_ref().as_str())).map_or_else(|| table.span(), Spanned::span)
            }
        };
        let span = tables.get(later).map(clashing);
        let help = match earlier.and_then(|earlier| tables.get(earlier)) {
            Some(other) => {
                let before = self.text.get(..other.span().start).unwrap_or_default();
                format!("the other is in line {}: give one of them other paths, methods or another host", before.matches('\n').count() + 1)
            }
            None => "write path = \"/api/*\"".to_owned(),
        };
        self.findings.push(Finding::error(span, message).help(help));
        false
    }

    fn route(&mut self, table: &Spanned<RouteTable>, upstreams: &[&str], reserved: &TokenPaths) -> Option<RouteSpec> {
        let route = table.get_ref();
        let paths = self.paths(&route.path, reserved);
        let methods = self.methods(route.methods.as_deref());
        let action = self.action(table.span(), route, upstreams);
        let checks = Relax::ALL.map(|(check, code)| (code.as_str(), check));
        let mut relax = Relax::default();
        for check in route.allow.iter().filter_map(|name| self.one_of(name, &checks)) {
            relax.insert(check);
        }
        let host = match &route.host {
            Some(text) => Some(self.host(text)?),
            None => None,
        };
        let signing_key = match (&action, &route.require) {
            (Some(Action::Forward { rule, .. } | Action::SelfCheck { rule }), Some(text)) => self.route_profiles(route, rule, text),
            _ => None,
        };
        Some(RouteSpec {
            host,
            signing_key,
            paths: paths?,
            methods: methods?,
            action: action?,
            relax,
            forward_credentials: route.forward_credentials.as_ref().is_some_and(|forward| *forward.get_ref()),
            body_limit: self.number(route.body_bytes.as_ref(), 0..=1 << 50).and_then(|bytes| bytes.try_into().ok()),
            allow_uncovered: route.allow_unsigned_headers.iter().filter_map(|name| self.header_name(name)).collect(),
        })
    }

    fn host(&mut self, text: &Spanned<String>) -> Option<HostPattern> {
        match text.get_ref().parse() {
            Ok(host) => Some(host),
            Err(BadHostPattern { text: written, why }) => {
                self.error(text.span(), format!("{written:?} is not a host"), why);
                None
            }
        }
    }

    fn paths(&mut self, written: &Spanned<OneOrMany>, reserved: &TokenPaths) -> Option<Vec<PathPattern>> {
        let each: Vec<(Range<usize>, &str)> = match written.get_ref() {
            OneOrMany::One(path) => vec![(written.span(), path)],
            OneOrMany::Many(paths) => paths.iter().map(|path| (path.span(), path.get_ref().as_str())).collect(),
        };
        if each.is_empty() {
            self.error(written.span(), "the route has no path", "write path = \"/api/*\"");
            return None;
        }
        let paths: Vec<_> = each.into_iter().map(|(span, text)| self.path(span, text, reserved)).collect();
        paths.into_iter().collect()
    }

    fn path(&mut self, span: Range<usize>, text: &str, reserved: &TokenPaths) -> Option<PathPattern> {
        let pattern = match text.parse::<PathPattern>() {
            Ok(pattern) => pattern,
            Err(bad) => {
                self.error(span, bad.to_string(), "a path is written /api/orders, /api/*, /api/*/items or /api/v{digit}*/*");
                return None;
            }
        };
        let plain = text.strip_suffix('/').unwrap_or(text);
        if pattern.is_fixed()
            && let Some((setting, path)) = reserved.all().find(|(_, path)| path.eq_ignore_ascii_case(plain))
        {
            let help = format!("move that endpoint with tokens.{setting} = \"/another\", or switch it off with tokens.{setting} = false");
            self.error(span, format!("{path} is reserved: the gateway answers it itself and no request would reach this route"), help);
        }
        Some(pattern)
    }

    fn methods(&mut self, written: Option<&[Spanned<String>]>) -> Option<Methods> {
        let Some(written) = written else { return Some(Methods::default()) };
        let mut good = true;
        for method in written {
            if let Err(bad) = Methods::try_from(vec![method.get_ref().clone()]) {
                self.error(method.span(), bad.to_string(), format!("write {:?}", method.get_ref().to_ascii_uppercase()));
                good = false;
            }
        }
        if written.is_empty() {
            self.findings.push(Finding::error(None, "a route has an empty list of methods").help("leave methods out to mean all"));
            return None;
        }
        good.then(|| Methods::try_from(written.iter().map(|method| method.get_ref().clone()).collect::<Vec<_>>()).ok())?
    }

    fn action(&mut self, span: Range<usize>, route: &RouteTable, upstreams: &[&str]) -> Option<Action> {
        let upstream = route.upstream.as_ref().map(|name| self.upstream_name(name, upstreams));
        let rule = route.require.as_ref().map(|text| self.rule(text));
        if route.refuse.as_ref().is_some_and(|refuse| *refuse.get_ref()) {
            if let Some(other) = route.require.as_ref().or(route.upstream.as_ref()) {
                let help = "keep refuse = true alone, or remove it and keep require and upstream";
                self.error(other.span(), "the route refuses every request, so this has no meaning", help);
            }
            return Some(Action::Refuse);
        }
        if let Some(answer) = &route.answer {
            self.one_of(answer, &[("self-check", ())])?;
            if let Some(upstream) = &route.upstream {
                self.error(upstream.span(), "the route answers itself, so nothing is forwarded", "keep answer or upstream");
            }
            let Some(rule) = rule else {
                self.error(span, "the route does not say what a request must show", "add require = \"hmac\"");
                return None;
            };
            return Some(Action::SelfCheck { rule: rule? });
        }
        match (rule, upstream) {
            (Some(rule), Some(upstream)) => Some(Action::Forward { rule: rule?, upstream: upstream? }),
            (None, _) => {
                let help = "add require = \"jwt\" (or another rule; \"anyone\" lets everybody in), or refuse = true";
                self.error(span, "the route does not say what a request must show", help);
                None
            }
            (Some(_), None) => {
                self.error(span, "the route does not say where requests go", "add upstream = \"name\", or refuse = true");
                None
            }
        }
    }

    fn upstream_name(&mut self, name: &Spanned<String>, upstreams: &[&str]) -> Option<UpstreamName> {
        if upstreams.contains(&name.get_ref().as_str()) {
            return name.get_ref().parse().ok();
        }
        let help = if upstreams.is_empty() {
            format!("add:\n\n    [upstream.{}]\n    url = \"http://127.0.0.1:9000\"\n", name.get_ref())
        } else {
            did_you_mean(name.get_ref(), upstreams)
        };
        self.error(name.span(), format!("there is no upstream {:?}", name.get_ref()), help);
        None
    }

    fn rule(&mut self, text: &Spanned<String>) -> Option<Rule> {
        let rule = match Rule::parse(text.get_ref()) {
            Ok(rule) => rule,
            Err(bad) => {
                let span = self.inside(text, bad.offset, bad.length);
                self.error(
                    span,
                    bad.message,
                    "a rule is made of jwt, hmac, api_key, from(list), scope(name), anyone, with and, or and parentheses",
                );
                return None;
            }
        };
        if rule.kinds().contains(Kind::Mtls) {
            let at = text.get_ref().find("mtls").unwrap_or(0);
            let span = self.inside(text, at, "mtls".len());
            self.error(
                span,
                "mtls asks for a client certificate, and no listener speaks TLS yet",
                "use jwt, hmac or api_key: TLS comes with a later version",
            );
        }
        Some(rule)
    }

    fn header_name(&mut self, text: &Spanned<String>) -> Option<HeaderName> {
        let name = text.get_ref().parse().ok();
        if name.is_none() {
            self.error(text.span(), format!("{:?} is not a header name", text.get_ref()), "write a name such as \"Content-Encoding\"");
        }
        name
    }

    /// The place of a part of a string in the file. The whole string when it is written with escapes.
    pub(super) fn inside(&self, text: &Spanned<String>, offset: usize, length: usize) -> Range<usize> {
        let span = text.span();
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let content = ["\"\"\"", "'''", "\"", "'"].iter().find_map(|quote| {
            let inner = raw.strip_prefix(quote)?.strip_suffix(quote)?;
            // A newline right after three quotes is not part of the string.
            let trimmed = if quote.len() == 3 { inner.strip_prefix('\n').unwrap_or(inner) } else { inner };
            (trimmed == text.get_ref()).then_some(span.start + quote.len() + (inner.len() - trimmed.len()))
        });
        match content {
            Some(start) => {
                let from = (start + offset).min(span.end);
                from..(from + length).min(span.end)
            }
            None => span,
        }
    }
}
