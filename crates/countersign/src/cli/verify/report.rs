//! A judgement for people and for programs.

use std::borrow::Cow;

use countersign_core::code::Refusal;
use countersign_core::now::UnixMillis;
use countersign_core::request_view::Scheme;
use countersign_core::signature::Profile;
use countersign_core::signature::Trace;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::raw_request::RawRequest;
use super::visible::{self, Difference};
use super::{Compared, Judgement};
use crate::cli::show::{Style, wrapped};
use crate::explain::{hints, seconds, trace_members};

/// A judgement with what it is about.
pub struct Report<'r> {
    pub profile: &'r Profile,
    pub request: &'r RawRequest,
    pub scheme: Scheme,
    pub scheme_is_assumed: bool,
    pub host: &'r str,
    pub at: UnixMillis,
    /// What a gateway would refuse before it looks at the signature.
    pub gateway: Option<Refusal>,
    pub judgement: Judgement,
}

impl Report<'_> {
    /// For people: what cannot be seen is made visible, so that nothing in the request can steer a terminal.
    pub fn words(&self, style: Style) -> String {
        let mut page = Page { text: String::new(), style };
        self.decision_words(&mut page);
        self.diagnosis_words(&mut page);
        self.request_words(&mut page);
        let trace = &self.judgement.trace;
        let fields: Vec<_> = trace.fields.iter().map(|(name, value)| (name.as_str(), visible::line(value))).collect();
        page.rows("Fields", &fields);
        for (at, string) in trace.strings_to_sign.iter().enumerate() {
            let what = if at == 0 { "String to sign" } else { "Also accepted as the string to sign" };
            page.lines(&format!("{what} ({})", bytes(string.len())), string);
        }
        for (name, piece) in &trace.pieces {
            page.lines(&format!("{} ({})", visible::line(name.as_bytes()), bytes(piece.len())), piece);
        }
        if !trace.strings_to_sign.is_empty() {
            self.coverage_words(trace, &mut page);
        }
        if !trace.fields.is_empty() {
            self.time_words(trace, &mut page);
        }
        self.comparison_words(&mut page);
        page.text
    }

    fn decision_words(&self, page: &mut Page) {
        let Style { good, bad, plain, .. } = page.style;
        let profile = format!("{} ({})", self.profile.name().as_str(), self.profile.title());
        match &self.judgement.trace.judged {
            Ok(()) => {
                page.text.push_str(&format!("{good}accept{plain}  {profile}"));
                if let Some(id) = &self.judgement.key_id {
                    page.text.push_str(&format!(", key {}", visible::line(id.as_bytes())));
                }
                if let Some(nth) = self.judgement.secret {
                    page.text.push_str(&format!(", secret {nth} of its list"));
                }
                page.text.push('\n');
            }
            Err(refusal) => {
                page.text.push_str(&format!("{bad}refuse{plain}  {}: {}\n", refusal.code, refusal.code.title()));
                page.text.push_str(&format!("        {profile}\n"));
                if let Some(detail) = &refusal.detail {
                    page.text.push_str(&format!("        {}\n", visible::line(detail.as_bytes())));
                }
                page.text.push_str(&format!("        {}\n", refusal.code.fix()));
            }
        }
    }

    /// What the caller did wrong: the first thing that somebody with a refused signature wants to read.
    fn diagnosis_words(&self, page: &mut Page) {
        let findings = &self.judgement.diagnosis.findings;
        if findings.is_empty() {
            return;
        }
        page.heading("Diagnosis");
        let Style { good, plain, .. } = page.style;
        for finding in findings {
            // What cannot be seen is written out in them already.
            let words = wrapped(&finding.words, "  ");
            page.text.push_str(&if finding.verifies { format!("{good}{words}{plain}\n") } else { format!("{words}\n") });
            page.text.push_str(&format!("{}\n", wrapped(&finding.fix, "    ")));
        }
    }

    fn request_words(&self, page: &mut Page) {
        let assumed = if self.scheme_is_assumed { " (assumed; --scheme says otherwise)" } else { "" };
        let mut body = bytes(self.request.body.len());
        if self.request.left_over > 0 {
            body.push_str(&format!(", followed by {} beyond the request", bytes(self.request.left_over)));
        }
        if let Some(why) = &self.request.bad_body {
            body.push_str(&format!("; {why}"));
        }
        let mut rows = vec![
            ("method", visible::line(self.request.method.as_bytes())),
            ("scheme", format!("{}{assumed}", self.scheme.as_str())),
            ("host", visible::line(self.host.as_bytes())),
            ("target", visible::line(self.request.target().as_bytes())),
            ("body", body),
        ];
        if let Some(refusal) = &self.gateway {
            rows.push((
                "gateway",
                format!("refuses this request before it looks at the signature: {}", visible::line(refusal.to_string().as_bytes())),
            ));
            rows.push(("", refusal.code.fix().into()));
        }
        page.rows("Request", &rows);
    }

    fn coverage_words(&self, trace: &Trace, page: &mut Page) {
        let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
        let named: Vec<String> = self.profile.uncovered().names().map(str::to_owned).collect();
        let mut rows = vec![("signed", list(&trace.covered))];
        if !trace.partly.is_empty() {
            rows.push(("in part", list(&trace.partly)));
        }
        rows.push(("not signed", list(&trace.uncovered)));
        rows.push(("never signed", format!("{}{}", list(&named), if named.is_empty() { "" } else { " (the profile says so)" })));
        page.rows("Coverage", &rows);
    }

    fn time_words(&self, trace: &Trace, page: &mut Page) {
        let mut rows = Vec::new();
        match (trace.signed_at, trace.good_until) {
            (Some(signed_at), Some(good_until)) => {
                let (age, lead) = (self.at.since(signed_at), signed_at.since(self.at));
                let how_old =
                    if lead.is_zero() { format!("{} s old", age.as_secs_f64()) } else { format!("{} s in the future", lead.as_secs_f64()) };
                rows.push(("signed at", format!("{}, {how_old}", moment(signed_at))));
                rows.push(("good until", format!("{}, {} s after", moment(good_until), good_until.since(signed_at).as_secs_f64())));
            }
            _ => rows.push(("signed at", "- (the signature has no time)".to_owned())),
        }
        rows.push(("judged at", moment(self.at)));
        page.rows("Time", &rows);
    }

    fn comparison_words(&self, page: &mut Page) {
        let Some(compared) = &self.judgement.compared else { return };
        let rows = match compared {
            Compared::Same => vec![("your string", "is the string to sign".to_owned())],
            Compared::Nothing => vec![("your string", "cannot be compared: this request gives no string to sign".to_owned())],
            Compared::Differs(Difference { line, byte, expected, given }) => {
                let shown =
                    |line: &Option<Vec<u8>>| line.as_ref().map_or_else(|| "(it has ended)".into(), |line| visible::lines(line).join(""));
                vec![
                    ("your string", format!("differs first in line {line}, byte {byte}")),
                    ("expected", shown(expected)),
                    ("yours", shown(given)),
                ]
            }
        };
        page.rows("Comparison", &rows);
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let Judgement { trace, key_id, secret, compared, diagnosis } = &self.judgement;
        let refusal = trace.judged.as_ref().err();
        let mut all = Map::new();
        let mut add = |name: &str, value: Value| _ = all.insert(name.into(), value);
        add("decision", if refusal.is_none() { "accept" } else { "refuse" }.into());
        add("code", refusal.map(|refusal| refusal.code.as_str()).into());
        add("detail", refusal.and_then(|refusal| refusal.detail.clone()).into());
        add("profile", self.profile.name().as_str().into());
        add("key_id", key_id.clone().into());
        if secret.is_some() {
            add("secret", (*secret).into());
        }
        add("scheme", self.scheme.as_str().into());
        add("gateway", self.gateway.as_ref().map(|refusal| json!({"code": refusal.code.as_str(), "detail": refusal.detail})).into());
        match compared {
            Some(Compared::Differs(Difference { line, byte, expected, given })) => {
                let text = |line: &Option<Vec<u8>>| line.as_deref().map(String::from_utf8_lossy).map(Cow::into_owned);
                add("difference", json!({"line": line, "byte": byte, "expected": text(expected), "given": text(given)}));
            }
            Some(Compared::Same) => add("difference", Value::Null),
            Some(Compared::Nothing) | None => {}
        }
        add("diagnosis", hints(diagnosis));
        all.extend(trace_members(trace, self.profile));
        Value::Object(all)
    }
}

/// Headings with rows under them.
struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        let Style { bold, plain, .. } = self.style;
        self.text.push_str(&format!("\n{bold}{heading}{plain}\n"));
    }

    fn rows(&mut self, heading: &str, rows: &[(&str, String)]) {
        if rows.is_empty() {
            return;
        }
        self.heading(heading);
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let Style { dim, plain, .. } = self.style;
        for (name, value) in rows {
            self.text.push_str(&format!("  {dim}{name:width$}{plain}  {value}\n"));
        }
    }

    fn lines(&mut self, heading: &str, bytes: &[u8]) {
        self.heading(heading);
        for line in visible::lines(bytes) {
            self.text.push_str(&format!("  {line}\n"));
        }
    }
}

fn bytes(count: usize) -> String {
    format!("{count} {}", if count == 1 { "byte" } else { "bytes" })
}

/// A moment with its Unix seconds.
fn moment(at: UnixMillis) -> String {
    match Timestamp::from_millisecond(at.millis()) {
        Ok(time) => format!("{time} ({})", seconds(at)),
        Err(_) => seconds(at).to_string(),
    }
}
