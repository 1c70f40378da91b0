//! What was looked at when a signature was judged: for tools that explain, never for letting anything through.

use super::coverage::{Coverage, Parts, Provenance};
use super::evaluate::{Context, Credential};
use super::fields::Fields;
use super::request::Body;
use super::secret::LiveSecret;
use super::value::Data;
use crate::code::Refusal;
use crate::now::UnixMillis;

/// A judgement with everything that it rests on. It is no proof.
#[derive(Debug)]
pub struct Trace {
    /// Whether the signature is good, or why not.
    pub judged: Result<(), Refusal>,
    /// The fields of the signature, by name, as they were read.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The string to sign as this request gives it, and what may be signed instead. Where the scheme puts the secret into it,
    /// a placeholder stands for it.
    pub strings_to_sign: Vec<Vec<u8>>,
    /// The named pieces of text that it is made of, such as a canonical request.
    pub pieces: Vec<(String, Vec<u8>)>,
    /// The parts of the request that the MAC reaches in full, and those that it reaches in part, by name.
    pub covered: Vec<String>,
    /// See `covered`.
    pub partly: Vec<String>,
    /// The parts that it does not reach, of those that every signature should.
    pub uncovered: Vec<String>,
    /// When it was signed, as the time check reads it.
    pub signed_at: Option<UnixMillis>,
    /// Until when it passes the time check.
    pub good_until: Option<UnixMillis>,
}

impl Trace {
    /// A judgement for which nothing was looked at: the request shows no signature, or one that cannot be read.
    pub const fn unread(judged: Result<(), Refusal>) -> Self {
        Self {
            judged,
            fields: Vec::new(),
            strings_to_sign: Vec::new(),
            pieces: Vec::new(),
            covered: Vec::new(),
            partly: Vec::new(),
            uncovered: Vec::new(),
            signed_at: None,
            good_until: None,
        }
    }
}

impl Fields<'_> {
    /// Judges a signature and keeps what was looked at. `secrets` are those of the key that the request names.
    pub fn trace(&self, body: Body<'_>, secrets: &[LiveSecret], now: UnixMillis) -> Trace {
        let mut trace = Trace::unread(Ok(()));
        let whole = match self.complete(body) {
            Ok(whole) => whole,
            Err(refusal) => {
                trace.fields = self.shown();
                trace.judged = Err(refusal);
                return trace;
            }
        };
        trace.fields = whole.shown();
        trace.signed_at = whole.times.map(|times| times.signed_at);
        trace.good_until = whole.times.map(|times| times.good_until);
        let nobody = std::slice::from_ref(&whole.profile.nobody);
        trace.judged = whole.judge(body, if secrets.is_empty() { nobody } else { secrets }, now).map(|_| ());
        if let Err(refusal) = whole.look_at(body, secrets, &mut trace)
            && trace.judged.is_ok()
        {
            trace.judged = Err(refusal);
        }
        trace
    }

    /// The fields as text. Those that are maps are shown by their members.
    fn shown(&self) -> Vec<(String, Vec<u8>)> {
        let label = self.signature.iter().map(|found| ("label".to_owned(), found.label().as_bytes().to_vec()));
        let secret = self.profile.secret_parts();
        let all = self.profile.fields.iter().zip(&self.values).filter(|(field, _)| !secret.contains(Parts::slot(field.slot)));
        let there = all.filter_map(|(field, value)| Some((field, value.as_ref()?)));
        label
            .chain(there.flat_map(|(field, value)| {
                match &value.data {
                    Data::One(bytes) => vec![(field.name.to_string(), bytes.as_slice().to_vec())],
                    Data::Many(list) => list.iter().map(|bytes| (format!("{}[]", field.name), bytes.as_slice().to_vec())).collect(),
                    Data::Map(members) => members
                        .iter()
                        .map(|(name, value)| {
                            (format!("{}.{}", field.name, String::from_utf8_lossy(name.as_slice())), value.as_slice().to_vec())
                        })
                        .collect(),
                }
            }))
            .collect()
    }

    fn look_at(&self, body: Body<'_>, secrets: &[LiveSecret], trace: &mut Trace) -> Result<(), Refusal> {
        let mut context: Context<'_, '_> = self.context_with(body);
        context.algorithm = self.profile.algorithm(&context)?;
        context.credential = Some(Credential { secret: b"<secret>", attributes: &[], stands_in: true });
        for (name, template) in self.profile.let_names.iter().zip(&self.profile.lets) {
            let mut text = Vec::new();
            if context.write(template, &mut text, &mut Provenance::default()).is_ok() {
                trace.pieces.push((name.to_string(), text));
            }
        }
        let messages = self.messages(&context)?;
        let mut from = messages.first().map_or(Provenance::NONE, |message| message.from);
        trace.strings_to_sign = messages.into_iter().map(|message| message.text).collect();
        let secret = secrets.first().unwrap_or(&self.profile.nobody);
        secret.key(&context, &mut from, &mut Vec::new())?;
        let coverage = self.coverage(&context, from)?;
        self.say_coverage(&context, coverage, trace);
        Ok(())
    }

    fn say_coverage(&self, context: &Context<'_, '_>, coverage: Coverage, trace: &mut Trace) {
        let names = |parts: Parts| -> Vec<String> {
            let slots = parts.slots().map(|slot| self.profile.slot_words(slot));
            parts.names().map(str::to_owned).chain(slots).collect()
        };
        trace.covered = names(coverage.whole());
        trace.partly = names(coverage.partly());
        let mut all = Parts::METHOD.and(Parts::PATH).and(Parts::HOST);
        if context.head.query().is_some() {
            all = all.and(Parts::QUERY);
        }
        if context.body.is_there() {
            all = all.and(Parts::BODY);
        }
        trace.uncovered = names(coverage.lacks(all, &|slot| self.parent(slot)));
    }
}
