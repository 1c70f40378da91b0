//! What the command line asks for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One run.
pub struct Options {
    /// The proxy under test.
    pub target: SocketAddr,
    /// Where the proxy finds its upstream, which is this process.
    pub upstream: SocketAddr,
    /// The file of requests.
    pub requests: PathBuf,
    /// Connections to the proxy, each with one request under way.
    pub connections: usize,
    /// Load before the measurement starts.
    pub warm_up: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// Ends after so many answers, counted from the first.
    pub most: u64,
    /// Each request is sent once; the run ends when there are no more.
    pub each_once: bool,
    /// The processes whose CPU time is counted.
    pub processes: Vec<u32>,
}

impl Options {
    /// Reads `--name value` pairs.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut target, mut upstream, mut requests) = (None, None, None);
        let (mut connections, mut warm_up, mut duration) = (32, Duration::from_secs(1), Duration::from_secs(3));
        let (mut most, mut each_once, mut processes) = (u64::MAX, false, Vec::new());
        while let Some(name) = words.next() {
            if name == "--each-once" {
                each_once = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            let bad = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
            match name.as_str() {
                "--target" => target = Some(loopback(&value)?),
                "--upstream" => upstream = Some(loopback(&value)?),
                "--requests" => requests = Some(value.into()),
                "--connections" => connections = value.parse().map_err(|e| bad(&e))?,
                "--warm-up" => warm_up = Duration::from_secs_f64(value.parse().map_err(|e| bad(&e))?),
                "--duration" => duration = Duration::from_secs_f64(value.parse().map_err(|e| bad(&e))?),
                "--most" => most = value.parse().map_err(|e| bad(&e))?,
                "--processes" => processes = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|e| bad(&e))?,
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(Self {
            target: target.ok_or("--target is missing")?,
            upstream: upstream.ok_or("--upstream is missing")?,
            requests: requests.ok_or("--requests is missing")?,
            connections,
            warm_up,
            duration,
            most,
            each_once,
            processes,
        })
    }
}

/// Load is never sent to another machine.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{text}: {error}"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err(format!("{text}: loopback addresses only")) }
}
