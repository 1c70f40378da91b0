//! The real program as a process: started, told to stop, killed, started again on the same data.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::connection::DEADLINE;

/// A gateway that is running. Killed when it is dropped; its log is printed when the test has failed.
pub struct Gateway {
    child: Option<Child>,
    /// Where requests come in.
    pub listen: SocketAddr,
    /// Where the admin API is.
    pub admin: SocketAddr,
    data: PathBuf,
    log: PathBuf,
}

/// The program, as cargo built it beside this test.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let profile = test.parent().and_then(Path::parent).expect("tests are in target/<profile>/deps");
    let program = profile.join("countersign");
    assert!(program.is_file(), "{} is not there: run `cargo build --bins` (with the same --release) before these tests", program.display());
    program
}

impl Gateway {
    /// `countersign serve` with this configuration, whose `data` is `folder/data`. Ready when this returns.
    pub fn serve(folder: &Path, config: &str) -> Self {
        let file = folder.join("countersign.toml");
        fs::write(&file, config).expect("the folder can be written");
        // A write beyond a limit fails then, as on a full disk, and does not end the process: see `limit_files`.
        let mut command = Command::new("bash");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve --config \"$1\""]).arg(program()).arg(&file);
        Self::start(folder, &mut command)
    }

    /// `countersign dev` on free ports with data in `folder/data`. Gives what it printed, too.
    pub fn dev(folder: &Path, arguments: &[&str]) -> (Self, String) {
        let data = folder.join("data");
        let printed = folder.join("printed");
        let mut command = Command::new(program());
        command.args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(&data).args(arguments);
        command.stdout(File::create(&printed).expect("the folder can be written"));
        let gateway = Self::start(folder, &mut command);
        crate::eventually("the lines to paste are printed", || fs::read_to_string(&printed).is_ok_and(|text| text.contains("X-API-Key")));
        (gateway, fs::read_to_string(&printed).expect("what was printed"))
    }

    fn start(folder: &Path, command: &mut Command) -> Self {
        let (data, log) = (folder.join("data"), folder.join("log"));
        let run_file = data.join("run.json");
        let _ = fs::remove_file(&run_file);
        let to_log = File::options().create(true).append(true).open(&log).expect("the folder can be written");
        let mut child = command.current_dir(folder).stdin(Stdio::null()).stderr(to_log).spawn().expect("the program starts");
        let start = Instant::now();
        loop {
            if let Some(run) = read_json(&run_file).filter(|run| run["pid"] == child.id()) {
                let address = |name: &str| run[name].as_str().and_then(|a| a.parse().ok()).unwrap_or_else(|| panic!("{name} in {run}"));
                return Self { listen: address("listen"), admin: address("admin"), child: Some(child), data, log };
            }
            if let Some(status) = child.try_wait().expect("the child is ours") {
                panic!("the gateway ended with {status} instead of starting:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            if start.elapsed() > DEADLINE {
                let _ = child.kill();
                panic!("the gateway was not ready within {DEADLINE:?}:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// Stands where a gateway was that has been taken out.
    pub(crate) fn nobody() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child: None, listen: nowhere, admin: nowhere, data: PathBuf::new(), log: PathBuf::new() }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What was logged so far, over all starts in this folder.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it is running").id()
    }

    /// Resident memory in KiB: now and at most so far.
    pub fn memory_kib(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it is running");
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of /proc/PID/status");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        (value("VmRSS:"), value("VmHWM:"))
    }

    /// From now on no file of the gateway can grow beyond so many bytes (RLIMIT_FSIZE); `None` takes the limit away. Its log is
    /// such a file, too.
    pub fn limit_files(&self, most: Option<u64>) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).expect("a process id")).expect("a process id");
        let limit = rustix::process::Rlimit { current: most, maximum: None };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).expect("the child is ours");
    }

    /// kill -9, and waits for the end.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("it is running");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        let status = Command::new("bash").args(["-c", &format!("kill -TERM {}", self.pid())]).status().expect("bash runs");
        assert!(status.success());
    }

    /// Waits for the end after [`Gateway::terminate`].
    pub fn wait(mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it is running");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the child is ours") {
                return status;
            }
            if start.elapsed() > DEADLINE {
                let _ = child.kill();
                panic!("the gateway did not end within {DEADLINE:?}:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(self) -> ExitStatus {
        self.terminate();
        self.wait()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(8000);
            eprintln!("--- the gateway's log ---\n{}", String::from_utf8_lossy(&log.as_bytes()[from..]));
        }
    }
}

fn read_json(file: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}
