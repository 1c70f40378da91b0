//! Drives a proxy from both ends in one thread: sends requests to it, plays the upstream behind it, and reads from /proc what CPU time
//! the proxy took. One core for all of this leaves the other one to the proxy alone.
//!
//!     bench-driver --target 127.0.0.1:18480 --upstream 127.0.0.1:19490 --requests FILE --pid PID
//!                  [--once] [--connections 32] [--seconds 3] [--warm-up 1]
//!
//! FILE holds records of a 32-bit little-endian length and a raw HTTP/1.1 request. They are sent round robin over keep-alive
//! connections, one at a time on each (a closed loop); with `--once` each is sent once and the run ends when there are no more.
//! It never sleeps: waking a halted core would be billed to the proxy. The result is one JSON object.

mod histogram;
mod message;
mod process;
mod wheel;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// What is to be driven, and for how long.
pub struct Arguments {
    target: SocketAddr,
    upstream: SocketAddr,
    requests: String,
    pids: Vec<u32>,
    once: bool,
    connections: usize,
    seconds: Duration,
    warm_up: Duration,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| wheel::run(&arguments)) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-driver: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let loopback = |text: &str| -> Result<SocketAddr, String> {
        let address: SocketAddr = text.parse().map_err(|_| format!("{text} is not an address and port"))?;
        if address.ip().is_loopback() { Ok(address) } else { Err(format!("{address} is not on loopback")) }
    };
    let seconds = |text: &str| text.parse().map(Duration::from_secs_f64).map_err(|_| format!("{text} is not a number of seconds"));
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
    let (mut target, mut upstream, mut requests, mut pids) = (None, None, None, Vec::new());
    let (mut once, mut connections) = (false, 32);
    let (mut length, mut warm_up) = (Duration::from_secs(3), Duration::from_secs(1));
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        if name == "--once" {
            once = true;
            continue;
        }
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--target" => target = Some(loopback(&value)?),
            "--upstream" => upstream = Some(loopback(&value)?),
            "--requests" => requests = Some(value),
            "--pid" => {
                pids = value.split(',').map(|pid| pid.parse().map_err(|_| format!("{pid} is not a pid"))).collect::<Result<_, _>>()?
            }
            "--connections" => connections = number(&value)?,
            "--seconds" => length = seconds(&value)?,
            "--warm-up" => warm_up = seconds(&value)?,
            _ => return Err(format!("there is no option {name}")),
        }
    }
    let (Some(target), Some(upstream), Some(requests)) = (target, upstream, requests) else {
        return Err("--target, --upstream and --requests are needed".into());
    };
    Ok(Arguments { target, upstream, requests, pids, once, connections, seconds: length, warm_up })
}
