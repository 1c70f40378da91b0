//! What /proc says about the proxy and the machine.

use std::fs;

/// CPU time at one moment.
#[derive(Clone, Copy, Default)]
pub struct CpuTime {
    /// Nanoseconds that the proxy's threads ran.
    pub proxy: u64,
    /// Nanoseconds that this process ran.
    pub driver: u64,
    /// Nanoseconds that all cores were busy, to 10 ms.
    pub machine: u64,
}

impl CpuTime {
    /// Reads all three. The order keeps the reading itself out of the proxy's share.
    pub fn now(pids: &[u32]) -> Self {
        Self { proxy: pids.iter().map(|pid| ran(&pid.to_string())).sum(), driver: ran("self"), machine: machine() }
    }

    /// What was spent since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            proxy: self.proxy.saturating_sub(earlier.proxy),
            driver: self.driver.saturating_sub(earlier.driver),
            machine: self.machine.saturating_sub(earlier.machine),
        }
    }
}

/// Run time of all threads, from schedstat.
fn ran(pid: &str) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

fn machine() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system irq softirq steal; idle and iowait are left out.
    [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<u64>() * 10_000_000
}

/// The most memory that the proxy had so far, in KiB.
pub fn peak_kib(pids: &[u32]) -> u64 {
    let peak = |pid: &u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
    };
    pids.iter().filter_map(peak).sum()
}
