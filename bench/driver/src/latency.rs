//! Latencies, counted in buckets that are a sixty-fourth of their size wide.

const STEPS: u64 = 64;

/// A histogram of nanoseconds.
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        Self { counts: vec![0; 64 * STEPS as usize], total: 0 }
    }

    /// Counts one.
    pub fn add(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
    }

    /// The value below which this share of them lies, in microseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return lowest(place as u64) as f64 / 1000.0;
            }
        }
        0.0
    }
}

fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = u64::from(value.ilog2()) - 6;
    ((power + 1) * STEPS + ((value >> power) & (STEPS - 1))) as usize
}

fn lowest(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    (STEPS + bucket % STEPS) << (bucket / STEPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_never_further_than_a_sixty_fourth_from_its_values() {
        for value in [0, 1, 63, 64, 65, 127, 128, 1000, 123_456, 987_654_321] {
            let low = lowest(bucket(value) as u64);
            assert!(low <= value && value - low <= value / STEPS, "{value} counts as {low}");
        }
    }
}
