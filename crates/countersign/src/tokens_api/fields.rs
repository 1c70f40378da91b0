//! The fields of a token request: a form or JSON, names in any case, each once (RFC 6749 section 3.2).

use std::fmt;

use countersign_core::code::{Code, Refusal};
use countersign_core::secret::SecretText;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

/// What a body said. Every value is treated as a secret, since most are.
#[derive(Default)]
pub struct Fields(Vec<(String, Value)>);

enum Value {
    Text(SecretText),
    /// JSON that is not text. Fine for a name nobody asks for.
    Other,
}

impl Fields {
    /// Reads a body by its media type.
    ///
    /// # Errors
    /// `UnsupportedMediaType`, or `InvalidRequest` when a name is repeated or the body is not what it says it is.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        match MediaType::of(headers)? {
            MediaType::Form => Self::from_form(body),
            MediaType::Json => Self::from_json(body),
        }
    }

    /// Reads a body that must be JSON.
    ///
    /// # Errors
    /// As [`Fields::read`].
    pub fn read_json(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        match MediaType::of(headers)? {
            MediaType::Form => Err(Code::UnsupportedMediaType.into()),
            MediaType::Json => Self::from_json(body),
        }
    }

    /// Takes a field out. An empty one was not sent (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// `InvalidRequest` when it is not text.
    pub fn take(&mut self, name: &str) -> Result<Option<SecretText>, Refusal> {
        let folded = fold(name);
        let Some(at) = self.0.iter().position(|(known, _)| *known == folded) else { return Ok(None) };
        match self.0.swap_remove(at).1 {
            Value::Text(text) if text.expose().is_empty() => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Other => Err(invalid(format!("{name} must be text"))),
        }
    }

    /// Takes a field out that must be there.
    ///
    /// # Errors
    /// `InvalidRequest` when it is absent, empty or not text.
    pub fn require(&mut self, name: &str) -> Result<SecretText, Refusal> {
        self.take(name)?.ok_or_else(|| invalid(format!("{name} is missing")))
    }

    fn add(&mut self, name: &str, value: Value) -> Result<(), Refusal> {
        let name = fold(name);
        if self.0.iter().any(|(known, _)| *known == name) {
            // The name came from outside; a long one is not repeated back.
            let shown: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect();
            return Err(invalid(format!("{shown} is sent more than once")));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Strict where lenient readers guess: a bad percent-encoding or bytes that are not UTF-8 would make two passwords one.
    fn from_form(body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(parts.next().unwrap_or_default())?;
            let value = decode(parts.next().unwrap_or_default())?;
            fields.add(name.expose(), Value::Text(value))?;
        }
        Ok(fields)
    }

    fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        let not_json = |_error: serde_json::Error| invalid("the body is not one JSON object");
        let mut reader = serde_json::Deserializer::from_slice(body);
        let fields = reader.deserialize_map(JsonObject).map_err(not_json)?;
        reader.end().map_err(not_json)?;
        fields
    }
}

/// Names are the same in any case and with or without underscores: `grant_type`, `Grant_Type`, `GrantType`.
fn fold(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::with(Code::InvalidRequest, detail)
}

enum MediaType {
    Form,
    Json,
}

impl MediaType {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let parameters = parameters.trim();
        let charset_fits = parameters.is_empty() || parameters.replace('"', "").eq_ignore_ascii_case("charset=utf-8");
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" if charset_fits => Ok(Self::Form),
            "application/json" if charset_fits => Ok(Self::Json),
            _ => Err(Code::UnsupportedMediaType.into()),
        }
    }
}

/// Decodes one name or value of a form.
fn decode(text: &[u8]) -> Result<SecretText, Refusal> {
    let bad = || invalid("the form is not well-formed UTF-8 in percent-encoding");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
                digit().zip(digit()).map(|(high, low)| high << 4 | low).ok_or_else(bad)?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map(SecretText::new).map_err(|_not_utf8| bad())
}

struct JsonObject;

impl<'de> Visitor<'de> for JsonObject {
    type Value = Result<Fields, Refusal>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        let mut outcome = Ok(());
        while let Some(name) = map.next_key::<String>()? {
            if outcome.is_err() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match map.next_value::<serde_json::Value>()? {
                serde_json::Value::String(text) => Value::Text(SecretText::new(text)),
                // As if it had not been sent.
                serde_json::Value::Null => Value::Text(SecretText::new(String::new())),
                _ => Value::Other,
            };
            outcome = fields.add(&name, value);
        }
        Ok(outcome.map(|()| fields))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(media_type: &'static str, body: &[u8]) -> Result<Fields, Refusal> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        Fields::read(&headers, body)
    }

    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";

    fn text(fields: &mut Fields, name: &str) -> Option<String> {
        fields.take(name).ok().unwrap().map(|text| text.expose().to_owned())
    }

    #[test]
    fn forms_and_json_say_the_same() {
        for (media_type, body) in [
            (FORM, &b"Grant_Type=Password&PASSWORD=a%2Bb+%C3%A9&scope=&x=1"[..]),
            ("application/x-www-form-urlencoded; charset=UTF-8", b"&grant_type=Password&password=a%2bb+%c3%a9"),
            (JSON, r#"{"GRANT_TYPE":"Password","passWord":"a+b é","scope":null,"other":{"grant_type":[1]}}"#.as_bytes()),
            ("Application/JSON;charset=utf-8", r#"{"GrantType":"Password","password":"a+b \u00e9","scope":""}"#.as_bytes()),
        ] {
            let mut fields = read(media_type, body).unwrap_or_else(|refusal| panic!("{body:?}: {refusal}"));
            assert_eq!(text(&mut fields, "grant_type").as_deref(), Some("Password"));
            assert_eq!(text(&mut fields, "password").as_deref(), Some("a+b é"));
            assert_eq!(text(&mut fields, "scope"), None);
        }
    }

    #[test]
    fn a_name_that_comes_twice_in_any_spelling_is_refused() {
        for (media_type, body) in [
            (FORM, &b"username=a&username=a"[..]),
            (FORM, b"username=a&UserName=b"),
            (FORM, b"username=a&user%4eame=b"),
            (FORM, b"x=1&x="),
            (JSON, br#"{"username":"a","username":"a"}"#),
            (JSON, br#"{"username":"a","USERNAME":1}"#),
            (JSON, br#"{"username":"a","user\u006eame":"b"}"#),
        ] {
            let refusal = read(media_type, body).err().unwrap();
            assert_eq!(refusal.code, Code::InvalidRequest, "{body:?}");
            assert!(refusal.detail.unwrap().ends_with("is sent more than once"));
        }
    }

    #[test]
    fn what_cannot_be_read_for_sure_is_refused() {
        for body in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff", b"%c3=1", b"a=\xff", b"a=%+1"] {
            assert_eq!(read(FORM, body).err().unwrap().code, Code::InvalidRequest, "{body:?}");
        }
        for body in [&b""[..], b"[]", b"\"a\"", b"{", b"{} x", b"{\"a\":1,}", b"\xff{}", b"{\"a\":\"\xff\"}"] {
            assert_eq!(read(JSON, body).err().unwrap().code, Code::InvalidRequest, "{body:?}");
        }
        for media_type in ["", "text/plain", "multipart/form-data", "application/json; charset=utf-16", "application/jsonx"] {
            assert_eq!(read(media_type, b"{}").err().unwrap().code, Code::UnsupportedMediaType, "{media_type}");
        }
        assert_eq!(read(JSON, b"{\"username\":5}").ok().unwrap().take("username").err().unwrap().code, Code::InvalidRequest);
    }
}
