//! The gate and hyper agree where each request begins and ends, and the gate's own answers come in their place.
//!
//! The first byte says how the two sides behave (see `MANNERS`); behind it is what the client sends, cut into reads at each
//! byte 0xff, which is dropped.

#![no_main]

// The gate alone, without the program around it: this builds in a minute and runs the same code.
#[path = "../../crates/countersign/src"]
#[allow(dead_code, unused_imports, reason = "the gate as the program has it, and the rig as the tests have it")]
mod source {
    pub mod head_gate;
    #[path = "head_gate/rig.rs"]
    pub mod rig;
}

use countersign_core::head::HeadLimits;
use libfuzzer_sys::fuzz_target;
use source::head_gate;
use source::rig::{Script, agree, with_timers};

/// Bits of the first byte; `@` is none, `A` the first, `O` all but the last two.
const MANNERS: [(u8, &str); 5] = [(1, "late"), (2, "stalls"), (4, "early"), (8, "grants"), (16, "small limits")];

fuzz_target!(|data: &[u8]| {
    let Some((manners, bytes)) = data.split_first() else { return };
    let is = |at: usize| manners & MANNERS[at].0 != 0;
    let pieces = bytes.split(|byte| *byte == 0xff).map(<[u8]>::to_vec).collect();
    let limits = if is(4) { HeadLimits { bytes: 200, headers: 5 } } else { HeadLimits::default() };
    with_timers(|| agree(&Script { pieces, late: is(0), stalls: is(1), early: is(2), grants: is(3) }, limits));
});
