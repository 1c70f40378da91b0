//! Sends a signed request over plain HTTP/1.1 and prints the answer.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use countersign_core::request_view::Scheme;
use http::{HeaderName, Request, Response, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Payload, SignedRequest};
use crate::cli::{Failure, show};

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

pub(super) fn send(request: SignedRequest, as_json: bool) -> Result<String, Failure> {
    if request.target.scheme == Scheme::Https {
        return Err(Failure::Usage("this version sends plain http only: leave --send out and run the curl line that is printed".into()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::of("this process cannot start", error))?.block_on(exchange(request, as_json))
}

async fn exchange(request: SignedRequest, as_json: bool) -> Result<String, Failure> {
    let authority = request.target.authority.clone();
    let unreachable = |error: &dyn std::fmt::Display| Failure::Unreachable(format!("{authority} cannot be reached: {error}"));
    let has_port = authority.rsplit(':').next().is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let address = if has_port && !authority.ends_with(']') { authority.clone() } else { format!("{authority}:80") };
    let stream = match tokio::time::timeout(CONNECT_TIME, TcpStream::connect(&address)).await {
        Ok(connected) => connected.map_err(|error| unreachable(&error))?,
        Err(_late) => return Err(unreachable(&"it did not answer in 10 s")),
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let connection = tokio::spawn(connection);
    let mut head = Request::builder().method(request.method).uri(request.target.path_and_query.as_str());
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head = head.header(header::HOST, authority.as_str());
    }
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    let body = match request.payload {
        Payload::None => Either::Left(Full::default()),
        Payload::Text(text) => Either::Left(Full::new(text.into())),
        Payload::File(_, file, length) => Either::Right(FileBody { file, left: length }),
    };
    let request = head.body(body).map_err(|error| Failure::Usage(format!("the request cannot be sent: {error}")))?;
    let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let said = read(response, as_json).await;
    connection.abort();
    said
}

async fn read(response: Response<Incoming>, as_json: bool) -> Result<String, Failure> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Failure::of("the answer broke off", error))?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let ok = head.status.is_success();
    let said = if as_json {
        let headers: Vec<_> =
            head.headers.iter().map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])).collect();
        let body = serde_json::from_slice::<Value>(&body).unwrap_or_else(|_| text.clone().into());
        show::json(&json!({"status": head.status.as_u16(), "headers": headers, "body": body}))
    } else {
        let mut said = format!("HTTP/1.1 {}\n", head.status);
        for (name, value) in &head.headers {
            said.push_str(&format!("{}: {}\n", shown(name), String::from_utf8_lossy(value.as_bytes())));
        }
        said.push_str(&format!("\n{text}"));
        if !said.ends_with('\n') {
            said.push('\n');
        }
        said
    };
    // The answer belongs on standard output even when it is a refusal; the exit status says which it was.
    if ok { Ok(said) } else { Err(Failure::Answered(said)) }
}

/// The name of a header as documentation writes it: `X-Key-Id`.
fn shown(name: &HeaderName) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| format!("{}{}", first.to_ascii_uppercase(), letters.as_str())).unwrap_or_default()
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

/// A file as a body, read as it is sent. Reading blocks, which is no harm where nothing else runs.
struct FileBody {
    file: File,
    left: u64,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut part = vec![0; usize::try_from(self.left).unwrap_or(usize::MAX).min(64 * 1024)];
        Poll::Ready(Some(match self.file.read(&mut part) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                part.truncate(read);
                self.left = self.left.saturating_sub(read as u64);
                Ok(Frame::data(part.into()))
            }
            Err(error) => Err(error),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
