//! Every built-in profile loads, and every published vector comes out as published.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::super::built_in::BUILT_IN;
use super::super::signing::canonical_host;
use super::super::*;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

pub(super) fn profile(name: &str, set: &BTreeMap<String, String>) -> Profile {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("there is no profile {name}"));
    Profile::load(text, set).unwrap_or_else(|bad| {
        let (line, column) = bad.line_and_column(text);
        panic!("{name}.toml:{line}:{column}: {bad}")
    })
}

#[test]
fn every_profile_loads() {
    let mut wrong = Vec::new();
    for (name, text) in BUILT_IN {
        if let Err(bad) = Profile::load(text, &load::Constants::new()) {
            let (line, column) = bad.line_and_column(text);
            wrong.push(format!("{name}.toml:{line}:{column}: {bad}"));
        }
    }
    assert!(wrong.is_empty(), "{} profiles do not load:\n{}", wrong.len(), wrong.join("\n"));
}

pub(super) struct Vector<'j> {
    json: &'j Value,
    headers: HeaderMap,
    host: String,
    scheme: Scheme,
}

impl<'j> Vector<'j> {
    fn of(json: &'j Value) -> Self {
        let inputs = &json["inputs"];
        let mut headers = HeaderMap::new();
        for pair in inputs["headers"].as_array().unwrap() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(pair[1].as_str().unwrap().as_bytes()).unwrap());
        }
        let scheme = if inputs["scheme"] == "https" { Scheme::Https } else { Scheme::Http };
        let host = canonical_host(headers["host"].to_str().unwrap(), scheme);
        Self { json, headers, host, scheme }
    }

    fn text(&self, name: &str) -> &'j str {
        self.json["inputs"][name].as_str().unwrap_or_else(|| panic!("{name}"))
    }

    /// The profile that it is for, with its constants.
    pub(super) fn profile(&self) -> Profile {
        let config = self.json["inputs"]["config"].as_object().unwrap();
        let set = config.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        profile(self.json["scheme"].as_str().unwrap(), &set)
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head { method: self.text("method"), scheme: self.scheme, host: &self.host, target: self.text("target"), headers: &self.headers }
    }

    pub(super) fn body(&self) -> &'j [u8] {
        self.text("body").as_bytes()
    }

    pub(super) fn now(&self) -> UnixMillis {
        UnixMillis::from_seconds(self.json["inputs"]["verify_at_unix"].as_i64().unwrap())
    }

    /// The secrets of the key that the request names.
    pub(super) fn secrets(&self, profile: &Profile, key_id: Option<&str>) -> Vec<LiveSecret> {
        let listed = match &self.json["inputs"]["secrets"][key_id.unwrap_or("@route")] {
            Value::Array(list) => list.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let texts = listed.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned));
        texts.map(|text| LiveSecret::of_any_length(profile, &SecretText::new(text)).unwrap()).collect()
    }

    /// What the judgement says, with the strings to sign.
    fn judge(&self) -> Trace {
        let profile = self.profile();
        let fields = profile.find_fields(self.head()).unwrap().expect("detected");
        let secrets = self.secrets(&profile, fields.key_id());
        fields.trace(Body::of(self.body()), &secrets, self.now())
    }
}

/// Calls `each` with every vector.
pub(super) fn each_vector(mut each: impl FnMut(&str, &Vector<'_>)) {
    let all: Value = serde_json::from_str(include_str!("../../../../../vectors/published.json")).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 187);
    for json in vectors {
        each(&format!("{} / {}", json["scheme"].as_str().unwrap(), json["name"].as_str().unwrap()), &Vector::of(json));
    }
}

#[test]
fn every_published_vector_comes_out_as_published() {
    let mut wrong = Vec::new();
    each_vector(|name, vector| {
        let json = vector.json;
        let Ok(trace) = std::panic::catch_unwind(|| vector.judge()) else {
            wrong.push(format!("{name}: panicked"));
            return;
        };
        let accepted = trace.judged.is_ok();
        if accepted != (json["expect"] == "accept") {
            wrong.push(format!("{name}: {:?}\n{}", trace.judged, String::from_utf8_lossy(&trace.strings_to_sign.concat())));
            return;
        }
        if let Some(expected) = json["string_to_sign"].as_str()
            && !trace.strings_to_sign.iter().any(|text| text == expected.as_bytes())
        {
            wrong.push(format!("{name}: the string to sign differs\n{}", String::from_utf8_lossy(&trace.strings_to_sign.concat())));
        }
        if let Some(expected) = json["string_to_sign_b64"].as_str() {
            use base64::Engine as _;
            let expected = base64::engine::general_purpose::STANDARD.decode(expected).unwrap();
            if !trace.strings_to_sign.contains(&expected) {
                wrong.push(format!("{name}: the string to sign differs"));
            }
        }
        if let Some(expected) = json["canonical_request"].as_str()
            && !trace.pieces.iter().any(|(_, text)| text == expected.as_bytes())
        {
            wrong.push(format!("{name}: the canonical request differs"));
        }
    });
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
