//! What has to be claimed of a signature that verifies, so that it is used once.

use std::time::Duration;

use aws_lc_rs::digest;

use super::coverage::Parts;
use super::evaluate::Context;
use super::fields::Fields;
use super::secret::LiveSecret;
use super::times::{Times, plain_number};
use crate::code::{Code, Refusal};
use crate::now::UnixMillis;
use crate::replay::NewClaim;

/// How much longer than the time window a claim is kept, in case our clock is set back a little.
pub(super) const KEEP_LONGER: Duration = Duration::from_secs(60);

/// What is claimed beside the hash of what was signed.
pub(super) struct Once {
    pub(super) from: Parts,
    values: Vec<u8>,
    counter: Option<u64>,
}

impl Fields<'_> {
    pub(super) fn once(&self, context: &Context<'_, '_>) -> Result<Once, Refusal> {
        let rule = &context.profile.replay;
        // Enough for nonces of usual length.
        let mut once = Once { from: Parts::NONE, values: Vec::with_capacity(rule.once.len().saturating_mul(72)), counter: None };
        let mut shown = false;
        for expr in &rule.once {
            let value;
            let (bytes, from) = match context.at_hand(expr) {
                Some(at_hand) => at_hand,
                None => {
                    value = context.read(expr)?;
                    let Some(value) = &value else {
                        once.values.extend_from_slice(&0u64.to_le_bytes());
                        continue;
                    };
                    (value.bytes(), value.from)
                }
            };
            shown = true;
            once.values.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            once.values.extend_from_slice(bytes);
            once.from = once.from.and(from.direct);
        }
        if !shown {
            // Nothing to claim beside the hash of what was signed.
            once.values.clear();
        }
        if let Some(expr) = &rule.counter {
            let value = context.read(expr)?.ok_or_else(|| context.profile.absent(expr))?;
            let number = plain_number(value.bytes());
            once.counter = Some(number.ok_or_else(|| Refusal::with(Code::SignatureMalformed, "the counter is not a plain number"))?);
            once.from = once.from.and(value.from.direct);
        }
        Ok(once)
    }

    pub(super) fn claim(&self, secret: &LiveSecret, hash: [u8; 32], once: &Once, now: UnixMillis) -> NewClaim {
        let (message, rest) = halves(&hash);
        let nonce = if once.values.is_empty() { rest } else { halves(&sha256(&once.values)).0 };
        let (signed_at, good_until) = match &self.times {
            Some(Times { signed_at, good_until, .. }) => (*signed_at, *good_until),
            None => (now, now.plus(self.profile.replay.keep)),
        };
        let mut keep_until = good_until.plus(KEEP_LONGER);
        if once.counter.is_some() {
            // The counter holds without end what the claim holds for a while.
            keep_until = keep_until.min(now.plus(self.profile.tier.reach()));
        }
        NewClaim { fingerprint: secret.fingerprint, nonce, message, signed_at, keep_until, tier: self.profile.tier, counter: once.counter }
    }
}

/// The hash of everything that the MAC reached: the string to sign, and what the key was derived from.
pub(super) fn claimed(text: &[u8], inputs: &[u8]) -> [u8; 32] {
    if inputs.is_empty() {
        return sha256(text);
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(inputs.len() as u64).to_le_bytes());
    context.update(inputs);
    context.update(text);
    context.finish().as_ref().try_into().unwrap_or_default()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

fn halves(hash: &[u8; 32]) -> ([u8; 16], [u8; 16]) {
    let (halves, _) = hash.as_chunks::<16>();
    match halves {
        [first, second] => (*first, *second),
        _ => ([0; 16], [0; 16]),
    }
}
