//! `countersign profiles`: the built-in signature profiles. Also how every command finds the profile that it is told to use.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::str::FromStr;

use clap::{Args, Subcommand};
use countersign_core::nearest::nearest;
use countersign_core::signature::Profile;
use countersign_core::signature::built_in::{BUILT_IN, built_in};
use countersign_core::signature::load::{self, BadProfile, Constants};
use serde_json::{Value, json};

use super::{Failure, show};
use crate::config_error::{Finding, Findings};

/// `countersign profiles`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProfilesArgs {
    #[command(subcommand)]
    command: Option<ProfilesCommand>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ProfilesCommand {
    /// Print the file of a built-in profile, to read or to start one of your own
    Show {
        /// Its name
        name: String,
    },
}

pub(super) fn run(arguments: &ProfilesArgs) -> Result<String, Failure> {
    match &arguments.command {
        Some(ProfilesCommand::Show { name }) => built_in(name).map(str::to_owned).ok_or_else(|| unknown(name)),
        None => list(arguments.json),
    }
}

fn list(as_json: bool) -> Result<String, Failure> {
    let mut items = Vec::with_capacity(BUILT_IN.len());
    for (name, text) in BUILT_IN {
        let profile = Profile::load(text, &Constants::new()).map_err(|bad| unusable(name, text, &bad))?;
        items.push(json!({
            "name": name,
            "title": profile.title(),
            "source": profile.source(),
            "uncovered": profile.uncovered().names().collect::<Vec<_>>(),
            "names_key": profile.names_key(),
            "constants": constants(text).into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "attributes": profile.attributes().collect::<Vec<_>>(),
            "signs": profile.can_sign(),
        }));
    }
    if as_json {
        return Ok(show::json(&Value::Array(items)));
    }
    let signs = |item: &Value| if item.get("signs") == Some(&Value::Bool(true)) { "yes" } else { "no" }.to_owned();
    let columns: [show::Column; 5] = [
        ("NAME", |item| show::member(item, "name")),
        ("TITLE", |item| show::member(item, "title")),
        ("NOT SIGNED", |item| show::member(item, "uncovered")),
        ("CAN SIGN", signs),
        ("CONSTANTS", |item| show::member(item, "constants")),
    ];
    Ok(show::table(&columns, &items, "There are none."))
}

/// `--set NAME=VALUE`: a constant of a profile.
#[derive(Debug, Clone)]
pub(super) struct Setting(String, String);

impl FromStr for Setting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        Ok(Self(name.into(), value.into()))
    }
}

/// The profile that a command was told to use: a built-in one by its name, or a file. A file has a `/` in it or ends in `.toml`.
pub(super) fn find(profile: &str, settings: &[Setting]) -> Result<Profile, Failure> {
    let mut constants = Constants::new();
    for Setting(name, value) in settings {
        if constants.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::Usage(format!("--set {name} is given twice")));
        }
    }
    let text = text_of(profile)?;
    Profile::load(&text, &constants).map_err(|bad| unusable(profile, &text, &bad))
}

/// The constants of a profile that neither it nor the command line gives a value.
pub(super) fn without_value(profile: &str, settings: &[Setting]) -> Vec<String> {
    let all = text_of(profile).map_or_else(|_| Vec::new(), |text| constants(&text));
    let open = all.into_iter().filter(|(name, is_open)| *is_open && !settings.iter().any(|Setting(set, _)| set == name));
    open.map(|(name, _)| name).collect()
}

/// The names of the constants, and whether they are empty.
fn constants(text: &str) -> Vec<(String, bool)> {
    let parsed: toml::Table = text.parse().unwrap_or_default();
    let constants = parsed.get("constants").and_then(toml::Value::as_table);
    constants.into_iter().flatten().map(|(name, value)| (name.clone(), value.as_str().is_none_or(str::is_empty))).collect()
}

fn text_of(profile: &str) -> Result<Cow<'static, str>, Failure> {
    if profile.contains('/') || profile.ends_with(".toml") {
        return read_file(profile).map(Cow::Owned);
    }
    built_in(profile).map(Cow::Borrowed).ok_or_else(|| unknown(profile))
}

/// Every built-in profile that can sign.
pub(super) fn that_sign() -> Vec<&'static str> {
    let signs = |text: &str| Profile::load(text, &Constants::new()).is_ok_and(|profile| profile.can_sign());
    BUILT_IN.iter().filter(|(_, text)| signs(text)).map(|(name, _)| *name).collect()
}

fn read_file(path: &str) -> Result<String, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::Usage(format!("{path} cannot be read: {error}"));
    let mut text = String::new();
    // One byte more than a profile may have, so that the loader says so.
    let file = File::open(path).map_err(|error| cannot(&error))?;
    file.take(load::MOST_BYTES as u64 + 1).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    Ok(text)
}

fn unknown(name: &str) -> Failure {
    let meant = match nearest(name, BUILT_IN.iter().map(|(known, _)| *known)) {
        Some(known) => format!("did you mean {known}?"),
        None => "countersign profiles lists them; a file has a / in its name or ends in .toml".into(),
    };
    Failure::Usage(format!("there is no built-in profile {name:?}: {meant}"))
}

/// Says where in the file of a profile a mistake is, as `countersign check` does. What was said on the command line is nowhere in
/// the file.
fn unusable(name: &str, text: &str, bad: &BadProfile) -> Failure {
    let finding = Finding::error((!bad.at.is_empty()).then(|| bad.at.clone()), bad.message.clone()).help(bad.help.clone());
    let findings = Findings { name: name.into(), source: text.into(), findings: vec![finding] };
    // The prefix `error: ` is written where failures are.
    let said = findings.to_string();
    Failure::Usage(said.strip_prefix("error: ").unwrap_or(&said).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(failure: Failure) -> String {
        let Failure::Usage(text) = failure else { panic!("{failure:?}") };
        text
    }

    #[test]
    fn a_profile_is_found_by_its_name_or_as_a_file() {
        assert_eq!(find("v3.0", &[]).unwrap().name().as_str(), "v3.0");
        assert!(said(find("v3.O", &[]).unwrap_err()).ends_with("did you mean v3.0?"));
        assert!(said(find("nothing-like-it", &[]).unwrap_err()).contains("countersign profiles"));
        assert!(said(find("./nowhere", &[]).unwrap_err()).starts_with("./nowhere cannot be read: "));
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), built_in("github").unwrap()).unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(find(path, &[]).unwrap().name().as_str(), "github");
        std::fs::write(file.path(), "name = \"x\"\ntitle = 7\n").unwrap();
        let text = said(find(path, &[]).unwrap_err());
        assert!(text.contains(&format!("{path}:2:9")), "{text}");
        std::fs::write(file.path(), "#".repeat(load::MOST_BYTES + 1)).unwrap();
        assert!(said(find(path, &[]).unwrap_err()).contains("65536 bytes"));
    }

    #[test]
    fn constants_are_set_once_and_only_those_that_there_are() {
        let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Setting>>();
        assert!(find("rfc9421", &set(&["key_encoding=base64"])).is_ok());
        assert!(said(find("rfc9421", &set(&["key_encoding=a", "key_encoding=b"])).unwrap_err()).contains("twice"));
        assert!(said(find("rfc9421", &set(&["other=a"])).unwrap_err()).contains("no constant other"));
        assert_eq!(without_value("sigv4", &set(&["region=x"])), ["service"]);
        assert!("no-value".parse::<Setting>().is_err());
    }

    #[test]
    fn every_built_in_profile_is_listed_and_shown() {
        let listed = list(false).unwrap();
        let programs: Value = serde_json::from_str(&list(true).unwrap()).unwrap();
        assert_eq!(programs.as_array().unwrap().len(), BUILT_IN.len());
        for (name, text) in BUILT_IN {
            assert!(listed.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}");
            let arguments = ProfilesArgs { command: Some(ProfilesCommand::Show { name: (*name).into() }), json: false };
            assert_eq!(run(&arguments).unwrap(), *text);
        }
        assert!(that_sign().contains(&"sigv4"));
    }
}
