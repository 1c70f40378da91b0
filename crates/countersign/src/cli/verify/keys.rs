//! The keys file: which secrets there are under each key id.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use countersign_core::secret::SecretText;
use countersign_core::signature::{LiveSecret, Profile};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::cli::Failure;

/// How large a keys file may be, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// The entry for schemes whose requests name no key.
const OF_ROUTE: &str = "@route";
/// What stands for a secret where it would be shown.
pub const PLACEHOLDER: &[u8] = b"<secret>";

/// Secrets by key id.
pub struct Keys(BTreeMap<String, Secrets>);

/// The live secrets of one key.
struct Secrets(Vec<Secret>);

/// One secret: its text, and the JSON with its attributes if it has any.
struct Secret {
    text: Zeroizing<String>,
    with_attributes: Option<Zeroizing<String>>,
}

impl Keys {
    /// Reads a keys file.
    ///
    /// # Errors
    /// It cannot be read, or is not what a keys file should be. Nothing of what is in it is said: it holds secrets.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bad = |why: &dyn fmt::Display| Failure::Usage(format!("{} cannot be used: {why}", path.display()));
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        let file = File::open(path).map_err(|error| bad(&error))?;
        file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(|error| bad(&error))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(bad(&format_args!("it has more than {MOST_BYTES} bytes")));
        }
        serde_json::from_slice(&text).map_err(|error| {
            bad(&format_args!(
                "line {}, column {}: a keys file is a JSON object without repetitions: key id to secret, to a list of secrets, or to an object with \"secret\" and texts",
                error.line(),
                error.column()
            ))
        })
    }

    /// The secrets of the key that a request names, made ready for `profile`. Without a key id: those of `@route`, or of the only
    /// entry. Else why there are none.
    ///
    /// # Errors
    /// A secret does not fit the profile.
    pub fn find(&self, profile: &Profile, key_id: Option<&str>) -> Result<Found<'_>, Failure> {
        let entry = match key_id {
            Some(id) => self.0.get_key_value(id).ok_or_else(|| format!("the keys file has no key {id:?}")),
            None => match (self.0.get_key_value(OF_ROUTE), self.0.len()) {
                (Some(entry), _) => Ok(entry),
                (None, 1) => self.0.first_key_value().ok_or_else(String::new),
                (None, _) => Err(format!("this scheme names no key, so the keys file must have {OF_ROUTE:?} or one entry only")),
            },
        };
        let (name, secrets) = match entry {
            Ok(entry) => entry,
            Err(why) => return Ok(Found { live: Vec::new(), lacks: Some(why), secrets: None }),
        };
        let live = secrets.0.iter().map(|secret| secret.live(profile)).collect::<Result<Vec<_>, _>>();
        let live =
            live.map_err(|bad| Failure::Usage(format!("the key {name:?} cannot be used with {}: {bad}", profile.name().as_str())))?;
        Ok(Found { live, lacks: None, secrets: Some(secrets) })
    }
}

/// What was found in a keys file.
pub struct Found<'k> {
    /// The secrets, ready to verify with.
    pub live: Vec<LiveSecret>,
    /// Why there are none.
    pub lacks: Option<String>,
    secrets: Option<&'k Secrets>,
}

impl Found<'_> {
    /// The text without the secrets of this key, as a trace shows it.
    pub fn hide(&self, mut text: Vec<u8>) -> Vec<u8> {
        for secret in self.secrets.iter().flat_map(|secrets| &secrets.0).map(|secret| secret.text.as_bytes()) {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| rest.windows(secret.len().max(1)).position(|part| part == secret)) {
                let start = from.saturating_add(at);
                text.splice(start..start.saturating_add(secret.len()), PLACEHOLDER.iter().copied());
                from = start.saturating_add(PLACEHOLDER.len());
            }
        }
        text
    }
}

impl Secret {
    fn live(&self, profile: &Profile) -> Result<LiveSecret, String> {
        // A profile without attributes would take the JSON for the secret itself.
        if self.with_attributes.is_some() && profile.attributes().next().is_none() {
            return Err("the scheme has no attributes beside \"secret\"".into());
        }
        let text = self.with_attributes.as_ref().unwrap_or(&self.text);
        LiveSecret::of_any_length(profile, &SecretText::new(text.to_string())).map_err(|bad| bad.to_string())
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Keys, A::Error> {
                let mut keys = BTreeMap::new();
                while let Some((id, secrets)) = entries.next_entry::<String, Secrets>()? {
                    if keys.insert(id, secrets).is_some() {
                        return Err(A::Error::custom("a key twice"));
                    }
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Secrets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secrets, E> {
                OneSecret.visit_str(text).map(|secret| Secrets(vec![secret]))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Secrets, A::Error> {
                OneSecret.visit_map(members).map(|secret| Secrets(vec![secret]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secrets, A::Error> {
                let mut secrets = Vec::new();
                while let Some(secret) = list.next_element()? {
                    secrets.push(secret);
                }
                Ok(Secrets(secrets))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneSecret)
    }
}

struct OneSecret;

impl<'de> Visitor<'de> for OneSecret {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret { text: Zeroizing::new(text.to_owned()), with_attributes: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Secret, A::Error> {
        let mut all: BTreeMap<String, Zeroizing<String>> = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, String>()? {
            if all.insert(name, Zeroizing::new(value)).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        let text = all.get("secret").cloned().ok_or_else(|| A::Error::custom("no secret"))?;
        if all.len() == 1 {
            return Ok(Secret { text, with_attributes: None });
        }
        let lent: BTreeMap<&str, &str> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let json = serde_json::to_string(&lent).map_err(|_| A::Error::custom("no text"))?;
        Ok(Secret { text, with_attributes: Some(Zeroizing::new(json)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Keys, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Keys::read(file.path())
    }

    fn profile(name: &str) -> Profile {
        crate::cli::profiles::find(name, &[]).unwrap()
    }

    #[test]
    fn secrets_are_found_by_key_id_or_as_the_only_ones() {
        let many = keys(r#"{"a": "one", "b": ["one", "two", {"secret": "three"}], "@route": "four"}"#).unwrap();
        let count = |key_id| many.find(&profile("v3.0"), key_id).unwrap().live.len();
        assert_eq!((count(Some("a")), count(Some("b")), count(None)), (1, 3, 1));
        let none = many.find(&profile("v3.0"), Some("c")).unwrap();
        assert_eq!((none.live.len(), none.lacks.as_deref()), (0, Some("the keys file has no key \"c\"")));
        assert_eq!(keys(r#"{"x": "one"}"#).unwrap().find(&profile("github"), None).unwrap().live.len(), 1);
        assert!(keys(r#"{"x": "one", "y": "two"}"#).unwrap().find(&profile("github"), None).unwrap().lacks.is_some());
    }

    #[test]
    fn attributes_are_for_profiles_that_have_them() {
        let found = keys(r#"{"k": {"secret": "s", "token": "t", "token_secret": "u"}}"#).unwrap();
        assert_eq!(found.find(&profile("oauth1"), Some("k")).unwrap().live.len(), 1);
        let wrong = keys(r#"{"k": {"secret": "s", "other": "t"}}"#).unwrap();
        for name in ["oauth1", "v3.0"] {
            assert!(matches!(wrong.find(&profile(name), Some("k")), Err(Failure::Usage(_))), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_keys_file_is_said_without_its_secrets() {
        for bad in [
            "",
            "\"hidden-hidden\"",
            "[\"hidden-hidden\"]",
            "{\"a\": 1}",
            "{\"a\": \"hidden-hidden\", \"a\": \"x\"}",
            "{\"a\": {\"secret\": \"x\", \"secret\": \"hidden-hidden\"}}",
            "{\"a\": {\"token\": \"hidden-hidden\"}}",
            "{\"a\": {\"secret\": [\"hidden-hidden\"]}}",
            "{\"a\": [[\"hidden-hidden\"]]}",
            "{\"a\": \"hidden-hidden\"",
            "{\"hidden-hidden\"}",
        ] {
            let Err(Failure::Usage(said)) = keys(bad) else { panic!("{bad}") };
            assert!(!said.contains("hidden") && said.contains("line "), "{said}");
        }
        let Err(Failure::Usage(said)) = keys(&" ".repeat((1 << 20) + 1)) else { panic!("too large") };
        assert!(said.contains("1048576"), "{said}");
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let keys = keys(r#"{"a": ["ab", "cde"]}"#).unwrap();
        let found = keys.find(&profile("v3.0"), Some("a")).unwrap();
        assert_eq!(found.hide(b"abxcde-ab".to_vec()), b"<secret>x<secret>-<secret>");
        assert_eq!(found.hide(Vec::new()), b"");
    }
}
