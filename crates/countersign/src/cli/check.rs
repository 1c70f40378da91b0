//! `countersign check`: what a configuration means, before it runs.

use std::path::PathBuf;

use clap::Args;
use countersign_core::allow_list::Methods;
use countersign_core::path_pattern::PathPattern;
use countersign_core::request_view::{Relax, Scheme};
use countersign_core::routes::{Action, RouteSpec};
use countersign_core::signature::Profile;
use serde_json::{Value, json};

use super::{Failure, show};
use crate::config::Config;
use crate::config_check::{self, Checked};
use crate::config_error::{BadConfig, Finding, Findings};
use crate::data_directory;

/// `countersign check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_CONFIG", default_value = "countersign.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &CheckArgs) -> Result<String, Failure> {
    match config_check::read(&arguments.config).and_then(can_serve) {
        Ok(checked) if arguments.json => Ok(show::json(&report(&checked))),
        Ok(checked) => Ok(words(&checked)),
        Err(BadConfig(findings)) if arguments.json => {
            Err(Failure::ConfigReport(show::json(&json!({"valid": false, "file": findings.name, "errors": said(&findings)}))))
        }
        Err(bad) => Err(Failure::Config(bad)),
    }
}

/// What `serve` would refuse although the file is right. Not a part of reading a file: who asks a running gateway reads it, too.
fn can_serve(checked: Checked) -> Result<Checked, BadConfig> {
    let Checked { config, warnings } = &checked;
    if !data_directory::is_of_dev(&config.data) {
        return Ok(checked);
    }
    let message = format!("the data directory {} was made by countersign dev, and its secrets were printed", config.data.display());
    let finding = Finding::error(None, message).help("use this configuration in a directory of its own, or choose another `data`");
    Err(BadConfig(Findings { findings: vec![finding], ..warnings.clone() }))
}

fn words(checked: &Checked) -> String {
    let Checked { config, warnings } = checked;
    let mut text = String::new();
    if !warnings.findings.is_empty() {
        text.push_str(&format!("{warnings}\n"));
    }
    let rows = |rows: Vec<[String; 2]>| rows.into_iter().map(|[name, value]| format!("{name:<10} {value}\n")).collect::<String>();
    let mut places = Vec::new();
    for listener in &config.listeners {
        places.push(["listener".into(), format!("{}://{}", scheme(listener.public_scheme), listener.address)]);
    }
    places.push(["admin".into(), format!("http://{}, {}", config.admin.address, config.admin.socket.display())]);
    places.push(["data".into(), config.data.display().to_string()]);
    places.push(["issuer".into(), config.tokens.issuer.clone()]);
    for (name, upstream) in &config.upstreams {
        places.push(["upstream".into(), format!("{name} at http://{}", upstream.authority)]);
    }
    text.push_str(&rows(places));
    text.push('\n');
    let headings = ["HOST", "PATH", "METHODS", "RULE", "UPSTREAM", "RELAXED"].map(str::to_owned);
    let rows: Vec<Vec<String>> = by_precedence(&config.routes).iter().map(|(route, path)| row(route, path)).collect();
    text.push_str(&show::grid(&headings, &rows));
    text.push_str(&holes(config));
    text.push_str(&format!("\n{} is valid. The first row that matches decides; what matches none is refused.\n", warnings.name));
    text
}

/// What the signatures of the profiles in use do not cover: for whoever has to answer for it.
fn holes(config: &Config) -> String {
    let with_holes = config.profiles.iter().filter(|profile| !profile.uncovered().is_empty());
    let rows: Vec<Vec<String>> =
        with_holes.map(|profile| vec![profile.name().to_string(), profile.uncovered().to_string(), profile.title().to_owned()]).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "\nNot covered by signatures, and so bound to one method and path:\n\n{}",
        show::grid(&["PROFILE", "NOT COVERED", ""].map(str::to_owned), &rows)
    )
}

/// Each path of each route, in the order in which they are tried.
fn by_precedence(routes: &[RouteSpec]) -> Vec<(&RouteSpec, &PathPattern)> {
    let mut all: Vec<_> = routes.iter().flat_map(|route| route.paths.iter().map(move |path| (route, path))).collect();
    // A named host, then the longest end of one, then any.
    let host = |route: &RouteSpec| match &route.host {
        None => (2, std::cmp::Reverse(0), String::new()),
        Some(host) => {
            (u8::from(host.is_wildcard()), std::cmp::Reverse(if host.is_wildcard() { host.to_string().len() } else { 0 }), host.to_string())
        }
    };
    all.sort_by(|(a, a_path), (b, b_path)| {
        host(a).cmp(&host(b)).then_with(|| a_path.by_specificity(b_path)).then_with(|| a.methods.is_all().cmp(&b.methods.is_all()))
    });
    all
}

fn row(route: &RouteSpec, path: &PathPattern) -> Vec<String> {
    let host = route.host.as_ref().map_or_else(|| "any".into(), ToString::to_string);
    let (rule, upstream) = match &route.action {
        Action::Forward { rule, upstream } => (rule.text().split_whitespace().collect::<Vec<_>>().join(" "), upstream.to_string()),
        Action::SelfCheck { rule } => (rule.text().split_whitespace().collect::<Vec<_>>().join(" "), "self-check".into()),
        Action::Refuse => ("refused".into(), "-".into()),
    };
    let mut relaxed = relaxed(route.relax);
    relaxed.extend(route.allow_uncovered.iter().map(|name| format!("{name} unsigned")));
    if route.forward_credentials {
        relaxed.push("credentials forwarded".into());
    }
    vec![host, path.to_string(), methods(&route.methods), rule, upstream, if relaxed.is_empty() { "-".into() } else { relaxed.join(", ") }]
}

fn methods(methods: &Methods) -> String {
    if methods.is_all() { "all".into() } else { methods.to_string() }
}

fn relaxed(relax: Relax) -> Vec<String> {
    Relax::ALL.into_iter().filter(|(check, _)| relax.contains(*check)).map(|(_, code)| code.to_string()).collect()
}

const fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

/// The same for programs.
fn report(checked: &Checked) -> Value {
    let Checked { config, warnings } = checked;
    let route = |(route, path): &(&RouteSpec, &PathPattern)| {
        let (rule, upstream) = match &route.action {
            Action::Forward { rule, upstream } => (Some(rule.text()), Some(upstream.as_str())),
            Action::SelfCheck { rule } => (Some(rule.text()), None),
            Action::Refuse => (None, None),
        };
        json!({
            "host": route.host.as_ref().map(ToString::to_string),
            "path": path.as_str(),
            "methods": route.methods.iter().collect::<Vec<_>>(),
            "refuse": rule.is_none(),
            "require": rule,
            "upstream": upstream,
            "answer": matches!(route.action, Action::SelfCheck { .. }).then_some("self-check"),
            "signing_key": route.signing_key.as_ref().map(ToString::to_string),
            "allow": relaxed(route.relax),
            "allow_unsigned_headers": route.allow_uncovered.iter().map(http::HeaderName::as_str).collect::<Vec<_>>(),
            "forward_credentials": route.forward_credentials,
            "body_bytes": route.body_limit,
        })
    };
    json!({
        "valid": true,
        "file": warnings.name,
        "warnings": said(warnings),
        "listeners": config.listeners.iter().map(|l| json!({"address": l.address, "public_scheme": scheme(l.public_scheme)})).collect::<Vec<_>>(),
        "admin": {"address": config.admin.address, "socket": config.admin.socket},
        "data": config.data,
        "issuer": config.tokens.issuer,
        "upstreams": upstreams(config),
        "profiles": config.profiles.iter().map(profile).collect::<Vec<_>>(),
        "routes": by_precedence(&config.routes).iter().map(route).collect::<Vec<_>>(),
    })
}

fn profile(profile: &Profile) -> Value {
    json!({
        "name": profile.name().as_str(),
        "title": profile.title(),
        "uncovered": profile.uncovered().names().collect::<Vec<_>>(),
        "names_key": profile.names_key(),
    })
}

fn upstreams(config: &Config) -> Vec<Value> {
    config
        .upstreams
        .iter()
        .map(|(name, upstream)| json!({"name": name.as_str(), "url": format!("http://{}", upstream.authority)}))
        .collect()
}

fn said(findings: &Findings) -> Vec<Value> {
    let one = |finding: &Finding| {
        let place = finding.span.as_ref().map(|span| findings.position(span.start));
        json!({
            "severity": finding.severity.as_str(),
            "line": place.map(|(line, _)| line),
            "column": place.map(|(_, column)| column),
            "message": finding.message,
            "help": finding.help,
        })
    };
    findings.findings.iter().map(one).collect()
}
