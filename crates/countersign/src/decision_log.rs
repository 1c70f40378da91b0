//! The last refusals of signed requests, so that an admin can ask why. Bounded, in memory, gone with the process.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::code::Refusal;
use countersign_core::id::{RequestId, Revision};

use crate::explain::Sample;

/// How many refusals are kept.
const MOST: usize = 1000;
/// How many bytes of bodies and heads are kept with them.
const MOST_BYTES: usize = 16 << 20;

/// A refusal of a signed request.
#[derive(Debug)]
pub struct Refused {
    /// The request.
    pub id: RequestId,
    /// Where it came from.
    pub client_address: IpAddr,
    /// The place of its route in the configuration, from 0.
    pub route: usize,
    /// The rules that it was decided under.
    pub revision: Revision,
    /// Why.
    pub refusal: Refusal,
    /// The request itself.
    pub sample: Arc<Sample>,
}

impl Refused {
    fn bytes(&self) -> usize {
        let headers: usize = self.sample.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        headers + self.sample.target.len() + self.sample.body.as_ref().map_or(0, bytes::Bytes::len) + 512
    }
}

/// All of them. One lock, taken when a signature was refused and when an admin asks, never for a request that passes.
#[derive(Debug, Default)]
pub struct DecisionLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    refusals: VecDeque<Arc<Refused>>,
    bytes: usize,
}

impl DecisionLog {
    /// Keeps a refusal; the oldest make room for it.
    pub fn keep(&self, refused: Refused) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes = kept.bytes.saturating_add(refused.bytes());
        kept.refusals.push_back(Arc::new(refused));
        while kept.refusals.len() > MOST || kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.refusals.pop_front() else { return };
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes());
        }
    }

    /// The refusal of one request.
    pub fn find(&self, id: &str) -> Option<Arc<Refused>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.refusals.iter().rev().find(|refused| refused.id.as_str() == id).cloned()
    }

    /// The newest, newest first.
    pub fn newest(&self, most: usize) -> Vec<Arc<Refused>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.refusals.iter().rev().take(most).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::code::Code;
    use countersign_core::fresh::Fresh;
    use countersign_core::now::UnixMillis;
    use countersign_core::request_view::Scheme;

    fn refused(n: u8, body: usize) -> Refused {
        let sample = Sample {
            at: UnixMillis::from_seconds(0),
            method: "GET".to_owned(),
            scheme: Scheme::Http,
            host: "api.test".to_owned(),
            target: "/".to_owned(),
            headers: http::HeaderMap::new(),
            body: Some(vec![0; body].into()),
            profile: "v3.0".parse().unwrap(),
            key: None,
        };
        Refused {
            id: RequestId::new(Fresh::new([n; 10])),
            client_address: "192.0.2.1".parse().unwrap(),
            route: 0,
            revision: Revision::default(),
            refusal: Code::SignatureMismatch.into(),
            sample: Arc::new(sample),
        }
    }

    #[test]
    fn the_oldest_make_room_by_number_and_by_size() {
        let log = DecisionLog::default();
        let id = refused(7, 0).id;
        log.keep(refused(7, 0));
        assert_eq!(log.find(id.as_str()).unwrap().id.as_str(), id.as_str());
        for _ in 0..MOST {
            log.keep(refused(1, 0));
        }
        assert!(log.find(id.as_str()).is_none());
        assert_eq!(log.newest(usize::MAX).len(), MOST);
        for _ in 0..3 {
            log.keep(refused(2, MOST_BYTES / 2));
        }
        assert_eq!(log.newest(usize::MAX).len(), 1, "two of them are more than there is room for");
    }
}
