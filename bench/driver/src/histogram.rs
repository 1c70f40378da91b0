//! Latencies, in 64 steps per power of two of nanoseconds: good to 2 %.

pub struct Histogram {
    steps: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Self { steps: vec![0; 64 * 64], count: 0 }
    }

    pub fn add(&mut self, nanos: u64) {
        let step = if nanos < 64 {
            nanos as usize
        } else {
            let power = 63 - nanos.leading_zeros() as usize;
            (power - 5) * 64 + ((nanos >> (power - 6)) & 63) as usize
        };
        self.steps[step] += 1;
        self.count += 1;
    }

    /// Microseconds below which the share `quantile` lies.
    pub fn micros(&self, quantile: f64) -> f64 {
        let wanted = (self.count as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.steps.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                let nanos = if step < 64 { step as u64 } else { (64 + (step as u64 % 64)) << (step / 64 - 1) };
                return nanos as f64 / 1000.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_two_percent() {
        for nanos in [1u64, 63, 64, 1000, 123_456, 9_999_999_999] {
            let mut histogram = Histogram::new();
            histogram.add(nanos);
            let shown = histogram.micros(0.5) * 1000.0;
            assert!((shown - nanos as f64).abs() <= nanos as f64 * 0.02, "{nanos}: {shown}");
        }
    }
}
