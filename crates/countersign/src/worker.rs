//! What one data thread has: its view of the rules, its upstream connections, its memory of verified tokens.
//! Nothing here is shared between threads except through an `Arc` that is only read.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use countersign_core::fresh::Fresh;
use countersign_core::id::{RequestId, UpstreamName};
use countersign_core::identity_headers::KeptValues;
use countersign_core::now::UnixMillis;
use countersign_store::{SharedReplay, Use};
use tokio::sync::mpsc;

use crate::ambient::Clock;
use crate::body::Budget;
use crate::config::Config;
use crate::control_bridge::ControlBridge;
use crate::decision_log::DecisionLog;
use crate::explain::Allowance;
use crate::snapshot::Snapshot;
use crate::spool::Spool;
use crate::token_memory::TokenMemory;
use crate::upstream::Upstream;
use crate::use_tally::UseTally;

/// How many verified tokens a data thread remembers; about 500 bytes each.
const REMEMBERED_TOKENS: usize = 16_384;

/// What all data threads are given. Note what is absent: there is no way to the store from here.
#[derive(Clone)]
pub struct Shared {
    /// The rules in force.
    pub live: Arc<ArcSwap<Snapshot>>,
    /// What does not change while the program runs.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What was used once.
    pub replay: SharedReplay,
    /// The way to the control side.
    pub control: ControlBridge,
    /// Memory for bodies that are read ahead.
    pub body_budget: Arc<Budget>,
    /// Files for bodies that are too large for memory.
    pub spool: Spool,
    /// The last refusals of signed requests.
    pub decisions: Arc<DecisionLog>,
    /// How often refusals are explained to keys that are being diagnosed.
    pub explanations: Arc<Allowance>,
    /// How often refusals are explained on self-checks.
    pub self_checks: Arc<Allowance>,
    /// Where counts of uses go.
    pub uses: mpsc::Sender<Vec<Use>>,
}

/// One data thread.
pub struct Worker {
    /// What all threads share.
    pub shared: Shared,
    /// Tokens that were verified a moment ago.
    pub tokens: RefCell<TokenMemory>,
    /// How upstreams were told of identities a moment ago.
    pub identity_values: RefCell<KeptValues>,
    /// The upstreams, by name.
    pub upstreams: foldhash::HashMap<UpstreamName, Rc<Upstream>>,
    /// How many connections this thread has; the acceptor gives the next one to the thread with the fewest.
    pub open: Arc<AtomicUsize>,
    /// What was used since the control side was last told.
    pub uses: RefCell<UseTally>,
    snapshot: RefCell<Held>,
    request_ids: RequestIds,
}

/// The snapshot as this thread last saw it. Counted by `Rc`, so that a request does not touch a counter that all cores share.
struct Held {
    cache: arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    #[allow(clippy::redundant_allocation, reason = "the outer count is this thread's own, the inner one is shared by all cores")]
    held: Rc<Arc<Snapshot>>,
}

impl Worker {
    /// A data thread; `seed` sets it apart in the request ids that it makes.
    pub fn new(shared: Shared, open: Arc<AtomicUsize>, seed: Fresh<10>, token_key: Fresh<32>) -> Rc<Self> {
        let mut cache = arc_swap::Cache::new(Arc::clone(&shared.live));
        let held = Rc::new(Arc::clone(cache.load()));
        let upstreams = shared.config.upstreams.iter().map(|(name, upstream)| (name.clone(), Upstream::new(upstream.clone()))).collect();
        let tokens = RefCell::new(TokenMemory::new(REMEMBERED_TOKENS, token_key));
        let uses = RefCell::new(UseTally::new(shared.uses.clone()));
        let request_ids = RequestIds::new(seed);
        let identity_values = RefCell::default();
        Rc::new(Self { shared, tokens, identity_values, upstreams, open, uses, snapshot: RefCell::new(Held { cache, held }), request_ids })
    }

    /// The rules in force now. One request is decided under one of these.
    #[allow(clippy::redundant_allocation, reason = "the outer count is this thread's own, the inner one is shared by all cores")]
    pub fn snapshot(&self) -> Rc<Arc<Snapshot>> {
        let mut snapshot = self.snapshot.borrow_mut();
        let Held { cache, held } = &mut *snapshot;
        let newest = cache.load();
        if !Arc::ptr_eq(newest, held) {
            *held = Rc::new(Arc::clone(newest));
        }
        Rc::clone(held)
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        self.shared.clock.now()
    }

    /// The ids of this thread's requests.
    pub const fn request_ids(&self) -> &RequestIds {
        &self.request_ids
    }
}

/// Makes request ids: distinct, not secret. Random start, then counted, so that a request costs no system call.
#[derive(Clone)]
pub struct RequestIds(Arc<(u128, AtomicU64)>);

impl RequestIds {
    fn new(seed: Fresh<10>) -> Self {
        Self(Arc::new((seed.take().into_iter().fold(0, |id, byte| id << 8 | u128::from(byte)), AtomicU64::new(0))))
    }

    /// An id for the next request.
    pub fn next(&self) -> RequestId {
        let (start, count) = &*self.0;
        // Only this thread counts: a load and a store do, without a locked instruction.
        let number = count.load(Ordering::Relaxed).wrapping_add(1);
        count.store(number, Ordering::Relaxed);
        let [.., a, b, c, d, e, f, g, h, i, j] = start.wrapping_add(number.into()).to_be_bytes();
        RequestId::new(Fresh::new([a, b, c, d, e, f, g, h, i, j]))
    }
}
