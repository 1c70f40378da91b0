//! From what the file says to what the program runs on. Finds everything that is wrong at once, each with its place.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_core::id::ProfileName;
use countersign_core::nearest::nearest;
use countersign_core::signature::Profile;
use toml::Spanned;

use crate::config::{Config, Limits, LogFormat, MasterKeySource, cores};
use crate::config_error::{BadConfig, Finding, Findings, Severity};
use crate::config_file::{ConfigFile, LimitsTable};

mod listeners;
mod profiles;
mod routes;
mod syntax;
mod tokens;
mod upstreams;

pub use self::upstreams::{BadUpstream, read_upstream};

/// A configuration that can be used, and what the operator should know about it.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// Warnings only.
    pub warnings: Findings,
}

/// What a configuration depends on besides its text.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The directory that relative paths start at: the file's own.
    pub directory: PathBuf,
    /// Whether `COUNTERSIGN_MASTER_KEY` is set.
    pub master_key: bool,
    /// The value of `COUNTERSIGN_MASTER_KEY_FILE`.
    pub master_key_file: Option<PathBuf>,
}

impl Surroundings {
    /// The surroundings of a file in this process.
    pub fn of_file(path: &Path) -> Self {
        Self {
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            master_key: std::env::var_os("COUNTERSIGN_MASTER_KEY").is_some(),
            master_key_file: std::env::var_os("COUNTERSIGN_MASTER_KEY_FILE").map(PathBuf::from),
        }
    }
}

/// The environment variables that the program reads.
const VARIABLES: [&str; 3] = ["COUNTERSIGN_CONFIG", "COUNTERSIGN_MASTER_KEY", "COUNTERSIGN_MASTER_KEY_FILE"];

/// The longest path of a Unix socket on Linux (`sun_path` without its closing NUL).
const LONGEST_SOCKET_PATH: usize = 107;

/// Reads and checks a file, with the surroundings of this process.
///
/// # Errors
///
/// The file cannot be read, is not TOML, or says something that cannot be used.
pub fn read(path: &Path) -> Result<Checked, BadConfig> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "write one with: countersign init".to_owned(),
            _ => "the file must be readable, and text in UTF-8".to_owned(),
        };
        let finding = Finding::error(None, format!("the configuration cannot be read: {error}")).help(help);
        BadConfig(Findings { name: name.clone(), source: String::new(), findings: vec![finding] })
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let mut checked = check(&name, &text, &Surroundings::of_file(path))?;
    let names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    checked.warnings.findings.extend(unknown_variables(names.iter().map(String::as_str)));
    Ok(checked)
}

/// Checks the text of a file that is called `name`.
///
/// # Errors
///
/// The text is not TOML, or says something that cannot be used.
pub fn check(name: &str, text: &str, surroundings: &Surroundings) -> Result<Checked, BadConfig> {
    let findings = |findings| Findings { name: name.into(), source: text.into(), findings };
    let file: ConfigFile = toml::from_str(text).map_err(|error| BadConfig(findings(vec![syntax::explain(text, &error)])))?;
    let mut reading = Reading { text, directory: &surroundings.directory, profiles: Vec::new(), bound: Vec::new(), findings: Vec::new() };
    let config = reading.config(&file, surroundings);
    let mut found = findings(reading.findings);
    found.findings.sort_by_key(|finding| finding.span.as_ref().map_or(usize::MAX, |span| span.start));
    match config {
        Some(config) if found.errors() == 0 => Ok(Checked { config, warnings: found }),
        _ => {
            // What follows from an error is not worth a warning.
            found.findings.retain(|finding| finding.severity == Severity::Error);
            Err(BadConfig(found))
        }
    }
}

/// Warns of variables that look like ours and are not: a mistyped name must not be lost without a word.
pub fn unknown_variables<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Finding> {
    let mut unknown: Vec<&str> = names.filter(|name| name.starts_with("COUNTERSIGN_") && !VARIABLES.contains(name)).collect();
    unknown.sort_unstable();
    let warn = |name: &str| {
        let finding = Finding::warning(None, format!("the environment variable {name} is not one that is read"));
        // Without what they all start with, which would make any two of them alike.
        let rest = |name: &'static str| name.strip_prefix("COUNTERSIGN_").unwrap_or(name);
        match nearest(name.trim_start_matches("COUNTERSIGN_"), VARIABLES.map(rest)) {
            Some(near) => finding.help(format!("did you mean COUNTERSIGN_{near}?")),
            None => finding.help(format!("these are read: {}", VARIABLES.join(", "))),
        }
    };
    unknown.into_iter().map(warn).collect()
}

/// The state of one check.
struct Reading<'t> {
    text: &'t str,
    directory: &'t Path,
    /// The signature profiles that were read so far.
    profiles: Vec<Profile>,
    /// Profiles with holes that have a route already, with the key that the route names.
    bound: Vec<(ProfileName, Option<String>)>,
    findings: Vec<Finding>,
}

impl Reading<'_> {
    fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding::error(Some(span), message).help(help));
    }

    fn warn(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding::warning(Some(span), message).help(help));
    }

    fn config(&mut self, file: &ConfigFile, surroundings: &Surroundings) -> Option<Config> {
        let data = self.directory.join(file.data.as_ref().map_or("countersign-data", |data| data.get_ref()));
        let master_key = self.master_key(file, surroundings, &data);
        let threads = self.number(file.threads.as_ref(), 1..=256).and_then(|n| NonZeroUsize::new(n as usize)).unwrap_or_else(cores);
        let listener = self.only_listener(&file.listener);
        let admin = self.admin(&file.admin, &data, listener.as_ref());
        let limits = self.limits(&file.limits);
        let upstreams = self.upstreams(&file.upstream);
        let tokens = self.tokens(&file.tokens, listener.as_ref());
        self.profiles(&file.profile);
        let routes = self.routes(&file.route, &upstreams, &tokens.paths, &file.upstream);
        let identity_headers = self.identity_headers(&file.identity_headers);
        let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
        let log = file.log.format.as_ref().and_then(|format| self.one_of(format, &formats)).unwrap_or_default();
        let listeners = vec![listener?];
        Some(Config {
            listeners,
            admin: admin?,
            data,
            master_key,
            threads,
            limits,
            upstreams,
            routes: routes?,
            profiles: std::mem::take(&mut self.profiles).into(),
            tokens,
            identity_headers,
            log,
        })
    }

    fn master_key(&mut self, file: &ConfigFile, surroundings: &Surroundings, data: &Path) -> MasterKeySource {
        let mut sources = Vec::new();
        if let Some(path) = &file.master_key_file {
            sources.push(("master_key_file", MasterKeySource::File(self.directory.join(path.get_ref()))));
        }
        if let Some(path) = &surroundings.master_key_file {
            sources.push(("COUNTERSIGN_MASTER_KEY_FILE", MasterKeySource::File(path.clone())));
        }
        if surroundings.master_key {
            sources.push(("COUNTERSIGN_MASTER_KEY", MasterKeySource::Environment));
        }
        if sources.len() > 1 {
            let names: Vec<_> = sources.iter().map(|(name, _)| *name).collect();
            let finding = Finding::error(
                file.master_key_file.as_ref().map(Spanned::span),
                format!("the master key is given more than once: by {}", names.join(" and by ")),
            );
            self.findings.push(finding.help("keep one of them: with the wrong key no stored secret can be read"));
        }
        sources.into_iter().next().map_or_else(|| MasterKeySource::Generated(data.join("master.key")), |(_, source)| source)
    }

    fn limits(&mut self, table: &LimitsTable) -> Limits {
        let usual = Limits::default();
        let limits = Limits {
            head_bytes: self.count(table.head_bytes.as_ref(), 1024..=65_000, usual.head_bytes),
            headers: self.count(table.headers.as_ref(), 10..=1000, usual.headers),
            head_time: self.seconds(table.head_seconds.as_ref(), 1..=300, usual.head_time),
            idle_time: self.seconds(table.idle_seconds.as_ref(), 1..=3600, usual.idle_time),
            body_idle_time: self.seconds(table.body_idle_seconds.as_ref(), 1..=3600, usual.body_idle_time),
            signed_body_bytes: self.bytes(table.signed_body_bytes.as_ref(), 0..=1 << 30, usual.signed_body_bytes),
            body_budget_bytes: self.bytes(table.body_budget_bytes.as_ref(), 1 << 20..=1 << 40, usual.body_budget_bytes),
            spool_bytes: self.bytes(table.spool_bytes.as_ref(), 0..=1 << 40, usual.spool_bytes),
            spool_total_bytes: self.bytes(table.spool_total_bytes.as_ref(), 0..=1 << 50, usual.spool_total_bytes),
            connections: self.count(table.connections.as_ref(), 1..=1_000_000, usual.connections),
            nonces_per_key: self.count(table.nonces_per_key.as_ref(), 100..=100_000_000, usual.nonces_per_key),
            drain_time: self.seconds(table.drain_seconds.as_ref(), 0..=3600, usual.drain_time),
            hashing_threads: self.at_least_one(table.hashing_threads.as_ref(), 256, usual.hashing_threads),
            hashing_queue: self.count(table.hashing_queue.as_ref(), 0..=100_000, usual.hashing_queue),
            control_requests: self.at_least_one(table.control_requests.as_ref(), 100_000, usual.control_requests),
        };
        let pairs = [
            (
                "signed_body_bytes",
                &table.signed_body_bytes,
                limits.signed_body_bytes,
                "body_budget_bytes",
                &table.body_budget_bytes,
                limits.body_budget_bytes,
            ),
            (
                "spool_bytes",
                &table.spool_bytes,
                limits.spool_bytes,
                "spool_total_bytes",
                &table.spool_total_bytes,
                limits.spool_total_bytes,
            ),
        ];
        for (one, one_at, one_bytes, all, all_at, all_bytes) in pairs {
            if let Some(at) = one_at.as_ref().or(all_at.as_ref())
                && one_bytes > all_bytes
            {
                let help = format!("raise {all}, which holds for all requests together, or lower {one}, which holds for each");
                self.error(at.span(), format!("{one} ({one_bytes}) is more than {all} ({all_bytes})"), help);
            }
        }
        limits
    }

    fn one_of<T: Copy>(&mut self, text: &Spanned<String>, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| word == text.get_ref()).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.error(text.span(), format!("{:?} is not known here", text.get_ref()), did_you_mean(text.get_ref(), &known));
        }
        found
    }

    fn number(&mut self, number: Option<&Spanned<i64>>, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = number?;
        if range.contains(number.get_ref()) {
            return Some(*number.get_ref());
        }
        let help = format!("write a number from {} to {}", range.start(), range.end());
        self.error(number.span(), format!("{} is out of range", number.get_ref()), help);
        None
    }

    fn count(&mut self, number: Option<&Spanned<i64>>, range: std::ops::RangeInclusive<i64>, usual: usize) -> usize {
        self.number(number, range).and_then(|n| n.try_into().ok()).unwrap_or(usual)
    }

    fn at_least_one(&mut self, number: Option<&Spanned<i64>>, most: i64, usual: NonZeroUsize) -> NonZeroUsize {
        self.number(number, 1..=most).and_then(|n| NonZeroUsize::new(n.try_into().ok()?)).unwrap_or(usual)
    }

    fn bytes(&mut self, number: Option<&Spanned<i64>>, range: std::ops::RangeInclusive<i64>, usual: u64) -> u64 {
        self.number(number, range).and_then(|n| n.try_into().ok()).unwrap_or(usual)
    }

    fn seconds(&mut self, number: Option<&Spanned<i64>>, range: std::ops::RangeInclusive<i64>, usual: Duration) -> Duration {
        self.number(number, range).and_then(|n| n.try_into().ok()).map_or(usual, Duration::from_secs)
    }
}

/// Where the local socket of a data directory is when nothing else is said.
pub fn control_socket(data: &Path) -> PathBuf {
    data.join("control").join("countersign.sock")
}

/// The known word that was probably meant, or all of them.
fn did_you_mean(written: &str, known: &[&str]) -> String {
    match nearest(written, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("write one of: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;
