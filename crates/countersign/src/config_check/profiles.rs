//! Signature profiles: those that the file names, and the built-in ones that rules name; and the routes that can use them.

use std::collections::BTreeMap;
use std::ops::Range;

use countersign_core::id::KeyId;
use countersign_core::rule::Rule;
use countersign_core::signature::Profile;
use countersign_core::signature::built_in::{BUILT_IN, built_in};
use countersign_core::signature::load::{BadProfile, Constants, MOST_BYTES};
use toml::Spanned;

use super::{Reading, did_you_mean};
use crate::config_error::Finding;
use crate::config_file::{OneOrMany, ProfileTable, RouteTable};

impl Reading<'_> {
    /// Reads the profiles that the file names, and the native one.
    pub(super) fn profiles(&mut self, tables: &[Spanned<ProfileTable>]) {
        for table in tables {
            let ProfileTable { name, file, set } = table.get_ref();
            match (name, file) {
                (Some(name), None) => match built_in(name.get_ref()) {
                    Some(text) => self.load_profile(name.span(), name.get_ref(), text, set),
                    None => {
                        let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                        let help = near(name.get_ref(), &known);
                        self.error(name.span(), format!("there is no built-in signature profile {:?}", name.get_ref()), help);
                    }
                },
                (None, Some(file)) => {
                    let path = self.directory.join(file.get_ref());
                    match read_profile(&path) {
                        Ok(text) => self.load_profile(file.span(), &path.display().to_string(), &text, set),
                        Err(error) => self.error(file.span(), format!("the profile cannot be read: {error}"), "name a file that is there and readable"),
                    }
                }
                _ => self.error(table.span(), "a profile is built in or a file", "write name = \"edgegrid\" or file = \"acme.toml\""),
            }
        }
        if self.find_profile("v3.0").is_none() {
            self.findings.push(Finding::error(None, "the native profile cannot be read"));
        }
    }

    fn load_profile(&mut self, span: Range<usize>, file: &str, text: &str, set: &BTreeMap<String, String>) {
        match Profile::load(text, set) {
            Ok(profile) if self.profiles.iter().any(|known| known.name() == profile.name()) => {
                self.error(span, format!("there are two profiles {}", profile.name()), "give one of them another name");
            }
            Ok(profile) => self.profiles.push(profile),
            Err(bad) => {
                let BadProfile { message, help, .. } = &bad;
                let (line, column) = bad.line_and_column(text);
                self.error(span, format!("{file}:{line}:{column}: {message}"), help.as_str());
            }
        }
    }

    /// A profile that was read, or the built-in one of this name.
    pub(super) fn find_profile(&mut self, name: &str) -> Option<&Profile> {
        let index = match self.profiles.iter().position(|known| known.name().as_str() == name) {
            Some(index) => index,
            None => {
                let text = built_in(name)?;
                match Profile::load(text, &Constants::new()) {
                    Ok(profile) => {
                        self.profiles.push(profile);
                        self.profiles.len() - 1
                    }
                    Err(bad) => {
                        let help = format!("add:\n\n    [[profile]]\n    name = \"{name}\"\n    set = {{ ... }}\n");
                        self.findings.push(Finding::error(None, format!("the profile {name} cannot be used: {}", bad.message)).help(help));
                        return None;
                    }
                }
            }
        };
        self.profiles.get(index)
    }

    /// Checks that the route of a rule can use the profiles that the rule names. Gives the key of signatures that name none.
    pub(super) fn route_profiles(&mut self, route: &RouteTable, rule: &Rule, text: &Spanned<String>) -> Option<KeyId> {
        let key = route.signing_key.as_ref().and_then(|key| match key.get_ref().parse::<KeyId>() {
            Ok(id) => Some(id),
            Err(error) => {
                self.error(key.span(), error.to_string(), "write the id of a signing key: countersign key list");
                None
            }
        });
        let mut needs_key = false;
        for named in rule.profiles() {
            let span = self.inside(text, named.offset, named.length);
            let found = self.find_profile(named.name.as_str()).map(|profile| {
                let holes: Vec<&str> = profile.uncovered().names().collect();
                (holes.join(", "), profile.names_key())
            });
            let Some((holes, names_key)) = found else {
                let mut known: Vec<String> = self.profiles.iter().map(|profile| profile.name().to_string()).collect();
                known.extend(BUILT_IN.iter().map(|(name, _)| (*name).to_owned()));
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let help = near(named.name.as_str(), &known);
                self.error(span, format!("there is no signature profile {:?}", named.name.as_str()), help);
                continue;
            };
            if !holes.is_empty() && !is_bound(route) {
                let message = format!("signatures of {} do not cover: {holes}", named.name);
                let help = "use it on a route with one method and a path without wildcards, so that a signature cannot be carried elsewhere";
                self.error(span.clone(), message, help);
            }
            needs_key |= !names_key;
            if !names_key && route.signing_key.is_none() {
                let help = "add signing_key = \"ck_...\" to the route: the key whose secret the sender has";
                self.error(span, format!("signatures of {} name no key", named.name), help);
            }
        }
        if let Some(written) = route.signing_key.as_ref().filter(|_| !needs_key) {
            self.error(written.span(), "every scheme of this rule names its key itself, so this has no meaning", "remove signing_key");
        }
        self.overlaps(rule, text);
        key
    }

    /// Profiles of one rule must be told apart by what requests show.
    fn overlaps(&mut self, rule: &Rule, text: &Spanned<String>) {
        let find = |name: &str| self.profiles.iter().find(|profile| profile.name().as_str() == name);
        let mut clash = None;
        for (index, later) in rule.profiles().iter().enumerate() {
            for earlier in rule.profiles().iter().take(index) {
                if let (Some(a), Some(b)) = (find(earlier.name.as_str()), find(later.name.as_str()))
                    && a.detection_overlaps(b)
                {
                    clash = Some((earlier.name.clone(), later));
                }
            }
        }
        if let Some((earlier, later)) = clash {
            let span = self.inside(text, later.offset, later.length);
            let message = format!("requests signed in {} cannot be told from those in {earlier}", later.name);
            self.error(span, message, "put them on routes of their own");
        }
    }
}

/// One method and fixed paths only.
fn is_bound(route: &RouteTable) -> bool {
    let fixed = |path: &str| !path.contains(['*', '{']);
    let paths = match route.path.get_ref() {
        OneOrMany::One(path) => fixed(path),
        OneOrMany::Many(paths) => paths.iter().all(|path| fixed(path.get_ref())),
    };
    paths && route.methods.as_ref().is_some_and(|methods| methods.len() == 1)
}

fn near(written: &str, known: &[&str]) -> String {
    if known.len() > 20 && countersign_core::nearest::nearest(written, known.iter().copied()).is_none() {
        return "countersign profiles lists those that there are".to_owned();
    }
    did_you_mean(written, known)
}

fn read_profile(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MOST_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
