//! Passwords: typed without an echo, piped, or made. Never an argument, where every user of the machine could read them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::Args;
use countersign_core::secret::push_hex;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::Failure;
use crate::ambient::{Entropy, SystemEntropy};

/// More than any password.
const LONGEST: u64 = 16 * 1024;

/// Where a new password comes from. It is asked for when nothing is said.
#[derive(Debug, Clone, Copy, Args)]
pub struct PasswordArgs {
    /// Read the password from standard input, up to the end of its first line
    #[arg(long, conflicts_with = "generate")]
    password_stdin: bool,
    /// Make a password and print it once
    #[arg(long)]
    generate: bool,
}

/// A password, and whether it was made here and has to be shown.
pub struct NewPassword {
    /// The password.
    pub text: Zeroizing<String>,
    /// Whether nobody knows it yet.
    pub made: bool,
}

impl PasswordArgs {
    /// Asks for, reads or makes a password.
    pub fn read(self) -> Result<NewPassword, Failure> {
        if self.generate {
            let dice: &dyn Entropy = &SystemEntropy;
            let random = dice.fresh::<16>().map_err(|error| Failure::of("no password can be made", error))?;
            let mut text = Zeroizing::new(String::with_capacity(32));
            push_hex(&mut text, random.bytes());
            return Ok(NewPassword { text, made: true });
        }
        if self.password_stdin {
            return first_line().map(|text| NewPassword { text, made: false });
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage("there is no terminal to ask for the password: use --password-stdin or --generate".into()));
        }
        echo_again_when_ended().map_err(|error| Failure::of("this process cannot start", error))?;
        let text = ask("Password: ")?;
        if *ask("Again: ")? != *text {
            return Err(Failure::Failed("the two passwords differ".into()));
        }
        Ok(NewPassword { text, made: false })
    }
}

/// The first line of standard input, without its end.
pub fn first_line() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    let read = io::BufReader::new(io::stdin().lock().take(LONGEST)).read_line(&mut text);
    read.map_err(|error| Failure::of("standard input cannot be read", error))?;
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    eprint!("{prompt}");
    let _ = io::stderr().flush();
    let text = {
        let _quiet = Quiet::begin().map_err(|error| Failure::of("the terminal cannot be told to stop its echo", error))?;
        first_line()
    };
    eprintln!();
    text
}

/// From now on Ctrl-C and SIGTERM give the terminal its echo back before they end the process: nothing is dropped then. For good,
/// since a signal that was waited for once no longer ends the process by itself.
fn echo_again_when_ended() -> io::Result<()> {
    let before = tcgetattr(io::stdin())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    let wait = move || {
        // As a shell says it: 128 and the number of the signal.
        let status = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            }
        });
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        eprintln!();
        std::process::exit(status)
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

/// The terminal of standard input without its echo, until dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
