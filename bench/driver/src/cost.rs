//! What a run costs: CPU time of the processes under test, of this one, and of the whole machine, as the kernel tells.

use std::fs;

/// A tick of `/proc/stat` in nanoseconds: `USER_HZ` is 100 on every architecture of Linux that matters here.
const TICK: u64 = 10_000_000;

/// CPU time so far, in nanoseconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// Of the processes under test, all their threads.
    pub tested: u64,
    /// Of this process.
    pub own: u64,
    /// Of everything on the machine; to the tick only.
    pub machine: u64,
}

impl Cpu {
    /// Reads the counters.
    pub fn now(processes: &[u32]) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks: Vec<u64> = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
        // user, nice, system, (idle, iowait), irq, softirq, steal
        let busy: u64 = ticks.iter().take(8).enumerate().filter(|(place, _)| !matches!(place, 3 | 4)).map(|(_, ticks)| ticks).sum();
        Self { tested: processes.iter().map(|process| run_time(&process.to_string())).sum(), own: run_time("self"), machine: busy * TICK }
    }
}

/// The run time of all threads of a process: the first number of each `schedstat`.
fn run_time(process: &str) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// The most memory that the processes have held, in KiB.
pub fn peak_memory(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok())
    };
    processes.iter().filter_map(of).sum()
}
