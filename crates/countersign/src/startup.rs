//! From a configuration to a running gateway, and to its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use countersign_core::id::Revision;
use countersign_core::identity_headers::IdentityHeaderNames;
use countersign_core::routes::RouteTable;
use countersign_core::signature::Profile;
use countersign_store::memory::{MemoryReplay, ReplaySettings};
use countersign_store::sqlite::SqliteStore;
use countersign_store::{SharedReplay, SharedStore};
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;

use crate::ambient::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::body::Budget;
use crate::claim_terms::{self, ClaimTerms};
use crate::config::Config;
use crate::control::Control;
use crate::control_bridge::ControlBridge;
use crate::listen::{self, Stage};
use crate::snapshot::{Snapshot, TokenTrust};
use crate::spool::Spool;
use crate::worker::Shared;
use crate::{control_socket, data_directory, master_key, tokens_api, use_tally};

/// The database, in the data directory.
const DATABASE: &str = "countersign.db";

/// Whether the data belongs to `dev` or to `serve`. One does not touch the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `countersign dev`: demo users and secrets that were printed.
    Dev,
    /// `countersign serve`.
    Serve,
}

/// Why the gateway did not start. Says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    fn while_doing(what: &str, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// A gateway that is running.
pub struct Gateway {
    /// Where requests come in.
    pub listen: SocketAddr,
    /// Where the admin API is.
    pub admin: SocketAddr,
    /// The control side, for whoever sets up more.
    pub control: Arc<Control>,
    config: Arc<Config>,
    stage: watch::Sender<Stage>,
    replay: SharedReplay,
    threads: Vec<JoinHandle<()>>,
    tasks: Vec<Task<()>>,
    run_file: PathBuf,
}

/// `countersign serve`: runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub fn serve(config: Config) -> Result<(), StartError> {
    control_runtime()?.block_on(async {
        let gateway = start(config, Purpose::Serve).await?;
        eprintln!("countersign is listening on http://{} (admin API on http://{})", gateway.listen, gateway.admin);
        gateway.run_until_told_to_stop().await
    })
}

/// The runtime of everything but the data path.
///
/// # Errors
/// When the system gives no threads.
pub fn control_runtime() -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| StartError::while_doing("cannot start the control runtime", error))
}

/// Starts a gateway. Called on the control runtime.
///
/// # Errors
/// When anything that it needs is not there, in words that say what to do.
pub async fn start(config: Config, purpose: Purpose) -> Result<Gateway, StartError> {
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let config = Arc::new(config);
    let listener = config.listeners.first().ok_or_else(|| StartError("no listener is configured".into()))?;

    // The sockets first: what is most likely to be in the way is said before anything is made.
    let socket = listen::bind(listener.address).map_err(|error| StartError(error.to_string()))?;
    let admin_socket = listen::bind(config.admin.address).map_err(|error| StartError(error.to_string()))?;
    let (listen_address, admin_address) = (local_address(socket.local_addr())?, local_address(admin_socket.local_addr())?);

    let data = &config.data;
    data_directory::prepare(data, purpose)?;
    let replay = open_replay(&config, data, clock.as_ref())?;
    let master = master_key::load(&config.master_key, entropy.as_ref()).map_err(|error| StartError(error.to_string()))?;
    let store: SharedStore = Arc::new(
        SqliteStore::open(&data.join(DATABASE)).await.map_err(|error| StartError::while_doing("cannot open the database", error))?,
    );

    let nothing_yet = Snapshot {
        revision: Revision::default(),
        routes: Arc::new(RouteTable::build(config.routes.clone()).map_err(|error| StartError(error.to_string()))?),
        profiles: Arc::clone(&config.profiles),
        identity_headers: Arc::new(identity_headers(&config)?),
        lists: Arc::default(),
        keys: Arc::default(),
        tokens: Arc::new(TokenTrust::of_nobody(&config.tokens)),
        ended: Arc::default(),
    };
    let control = Control::start(&config, store, Arc::clone(&clock), Arc::clone(&entropy), master, nothing_yet)
        .await
        .map_err(|error| StartError(error.to_string()))?;

    let (stage, watched) = watch::channel(Stage::Running);
    let (bridge, inbox) = ControlBridge::new(config.limits.control_requests);
    let (uses, used) = use_tally::channel();
    let shared = Shared {
        live: Arc::clone(&control.live),
        config: Arc::clone(&config),
        clock,
        replay: Arc::clone(&replay),
        control: bridge,
        body_budget: Budget::new(usize::try_from(config.limits.body_budget_bytes).unwrap_or(usize::MAX)),
        spool: Spool {
            control: tokio::runtime::Handle::current(),
            directory: data.join("spool"),
            per_request: config.limits.spool_bytes,
            total: Budget::new(usize::try_from(config.limits.spool_total_bytes).unwrap_or(usize::MAX)),
        },
        decisions: Arc::clone(&control.decisions),
        // Not the admin's: who floods a self-check must not take the explanations from who looks into it.
        explanations: Arc::default(),
        self_checks: Arc::default(),
        uses,
    };
    let threads = listen::start(socket, listener, &shared, entropy.as_ref(), &watched)
        .map_err(|error| StartError::while_doing("cannot start the data threads", error))?;
    let local_socket = control_socket::bind(&config.admin.socket)
        .map_err(|error| StartError(format!("cannot listen on {}: {error}", config.admin.socket.display())))?;
    let tasks = vec![
        tokio::spawn(use_tally::store(used, Arc::clone(&control.store))),
        tokio::spawn(inbox.serve(tokens_api::router(Arc::clone(&control)))),
        tokio::spawn(control_socket::serve_tcp(admin_socket, Arc::clone(&control), watched.clone())),
        tokio::spawn(control_socket::serve(local_socket, Arc::clone(&control), watched)),
    ];
    let run_file = data.join("run.json");
    data_directory::write_run_file(&run_file, listen_address, admin_address)?;
    Ok(Gateway { listen: listen_address, admin: admin_address, control, config, stage, replay, threads, tasks, run_file })
}

impl Gateway {
    /// Runs until SIGTERM or SIGINT, then finishes what is under way, within `limits.drain_seconds`.
    ///
    /// # Errors
    /// When signals cannot be waited for, or the replay memory could not be made durable.
    pub async fn run_until_told_to_stop(self) -> Result<(), StartError> {
        use tokio::signal::unix::{SignalKind, signal};
        let cannot = |error| StartError::while_doing("cannot wait for signals", error);
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what is under way");
        self.stop().await
    }

    async fn stop(self) -> Result<(), StartError> {
        let Self { config, stage, replay, threads, tasks, run_file, .. } = self;
        let _ = stage.send(Stage::Draining);
        let finished = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        let mut finished = std::pin::pin!(finished);
        if tokio::time::timeout(config.limits.drain_time, finished.as_mut()).await.is_err() {
            tracing::warn!("out of time: cutting what is left");
            let _ = stage.send(Stage::Over);
            let _ = finished.await;
        }
        // Nothing can be claimed any more: what was claimed is made durable, so that the next start remembers it.
        let closed = replay.close().await;
        for task in tasks {
            task.abort();
        }
        let _ = std::fs::remove_file(run_file);
        closed.map_err(|error| StartError::while_doing("the replay memory could not be closed", error))
    }
}

fn identity_headers(config: &Config) -> Result<IdentityHeaderNames, StartError> {
    let crate::config::IdentityHeaders { consumer_id, consumer_username, credential_identifier, consumer_scopes } =
        config.identity_headers.clone();
    let names = IdentityHeaderNames::new(consumer_id, consumer_username, credential_identifier, consumer_scopes);
    Ok(names.map_err(|error| StartError(error.to_string()))?.with_credentials(&config.profiles))
}

fn local_address(told: std::io::Result<SocketAddr>) -> Result<SocketAddr, StartError> {
    told.map_err(|error| StartError::while_doing("cannot tell the address of a listener", error))
}

fn open_replay(config: &Config, data: &Path, clock: &dyn Clock) -> Result<SharedReplay, StartError> {
    // Without it every boot of the machine would look like this one, and what a crash lost like something remembered.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_err(|error| StartError::while_doing("cannot tell this boot of the machine from the last one (is /proc mounted?)", error))?;
    let cannot = |error| StartError::while_doing("cannot tell how claims were kept at the last start", error);
    let directory = data.join("replay");
    let terms = ClaimTerms::read(claim_terms::file(data), &directory, &config.profiles).map_err(cannot)?;
    let settings = ReplaySettings {
        changed: terms.changed,
        claims_per_secret: u32::try_from(config.limits.nonces_per_key).unwrap_or(u32::MAX),
        // A scheme may take timestamps that are further ahead than ours; none that is in use must be taken for a clock gone wrong.
        window_future: config.profiles.iter().map(Profile::future).fold(Duration::ZERO, Duration::max),
        // A database without a replay directory beside it: the memory was taken away, which is not a first start.
        started_before: data.join(DATABASE).exists(),
        ..ReplaySettings::default()
    };
    let replay = MemoryReplay::open(&directory, settings, clock.now(), boot.trim())
        .map_err(|error| StartError::while_doing("cannot open the replay memory", error))?;
    terms.keep().map_err(cannot)?;
    Ok(Arc::new(replay))
}
