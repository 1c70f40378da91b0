//! The two doors of the admin API: its TCP listener, and the local socket of the command line, which asks the kernel who is
//! at the other end.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::admin_api::{self, Peer};
use crate::control::Control;
use crate::listen::Stage;

/// How long a request head may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The most connections that are served at once, over each door.
const MOST_CONNECTIONS: usize = 256;
/// The pause after a failed accept: running out of descriptors must not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The local socket, bound. Its file goes when it does.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds the local socket: its directory is for its owner only (0700), and so is the socket (0600). A socket that was left
/// behind is replaced; one that somebody listens on is not.
///
/// # Errors
/// When the directory belongs to somebody else, a gateway listens there already, or the system refuses.
pub fn bind(path: &Path) -> io::Result<LocalSocket> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_private(directory)?;
    match std::fs::symlink_metadata(path) {
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "a gateway is running there"));
        }
        Ok(there) if std::os::unix::fs::FileTypeExt::is_socket(&there.file_type()) => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is not a socket is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    // Nobody else reaches it in between: the directory is closed to them.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(LocalSocket { listener, path: path.to_owned() })
}

/// Makes a directory that only its owner can enter, or checks that it is one.
fn make_private(directory: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let there = std::fs::metadata(directory)?;
    if there.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its directory belongs to another user"));
    }
    if there.mode() & 0o077 != 0 {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Serves the admin API on the local socket until `stage` says to stop. Lets our own user and root in.
pub async fn serve(socket: LocalSocket, control: Arc<Control>, mut stage: watch::Receiver<Stage>) {
    let router = admin_api::router(control);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
            Some(_ended) = connections.join_next() => continue,
            () = stopping(&mut stage) => break,
        };
        match accepted {
            Ok((stream, _unnamed)) => match caller(&stream) {
                Some(peer) => drop(connections.spawn(connection(stream, peer, router.clone(), stage.clone()))),
                None => tracing::warn!("another user's process was turned away from the local socket"),
            },
            Err(error) => {
                tracing::warn!(%error, "the local socket could not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

/// Who is at the other end, if it may come in.
fn caller(stream: &UnixStream) -> Option<Peer> {
    let uid = stream.peer_cred().ok()?.uid();
    (uid == 0 || uid == rustix::process::geteuid().as_raw()).then_some(Peer::Local { uid })
}

/// Serves the admin API on its TCP listener until `stage` says to stop.
pub async fn serve_tcp(listener: TcpListener, control: Arc<Control>, mut stage: watch::Receiver<Stage>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin listener cannot be used");
            return;
        }
    };
    let router = admin_api::router(control);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
            Some(_ended) = connections.join_next() => continue,
            () = stopping(&mut stage) => break,
        };
        match accepted.and_then(|(stream, peer)| Ok((stream.local_addr()?, stream, peer))) {
            Ok((local, stream, peer)) => {
                let _ = stream.set_nodelay(true);
                connections.spawn(connection(stream, Peer::Tcp { peer, local }, router.clone(), stage.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection. When the gateway stops, the request under way is finished and answered.
async fn connection<S>(stream: S, peer: Peer, router: axum::Router, mut stage: watch::Receiver<Stage>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serve = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        async move {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(peer);
            router.call(request).await
        }
    });
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(64)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), serve)
    );
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopping(&mut stage) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

/// Waits until the gateway is told to stop, or whoever could tell it is gone.
async fn stopping(stage: &mut watch::Receiver<Stage>) {
    let _ = stage.wait_for(|stage| *stage > Stage::Running).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::control_tests::Bench;

    async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> String {
        let request = format!("GET /admin/v1/client-address HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_socket_and_its_directory_are_for_the_owner_only() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("run").join("countersign.sock");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::set_permissions(path.parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let socket = bind(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced_and_nothing_else_is() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("countersign.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(bind(&path).unwrap());
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn both_doors_answer_until_the_gateway_stops() {
        let bench = Bench::new().await;
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("countersign.sock");
        let (stage, watched) = watch::channel(Stage::Running);
        let local = tokio::spawn(serve(bind(&path).unwrap(), Arc::clone(&bench.control), watched.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = tokio::spawn(serve_tcp(listener, Arc::clone(&bench.control), watched));

        let uid = rustix::process::geteuid().as_raw();
        let answer = ask(UnixStream::connect(&path).await.unwrap(), "anything").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("\"uid {uid}\"")), "{answer}");
        let connect = || tokio::net::TcpStream::connect(address);
        assert!(ask(connect().await.unwrap(), "localhost").await.starts_with("HTTP/1.1 401 "));
        assert!(ask(connect().await.unwrap(), "rebound.example").await.starts_with("HTTP/1.1 421 "));

        let idle = connect().await.unwrap();
        stage.send(Stage::Draining).unwrap();
        local.await.unwrap();
        tcp.await.unwrap();
        assert!(connect().await.is_err() && !path.exists());
        drop(idle);
    }
}
