//! The built-in upstream of `countersign dev`: answers with the request as it received it, as JSON.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use countersign_core::secret::push_hex;
use countersign_core::signature::BodyHasher;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Starts the echo upstream on a port of the system's choice on loopback and gives its address.
///
/// # Errors
/// When there is no free port.
pub async fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)));
        }
    });
    Ok(address)
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut hasher = BodyHasher::new();
    let mut length = 0u64;
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            length = length.saturating_add(data.len() as u64);
            hasher.update(&data);
        }
    }
    let mut digest = String::with_capacity(64);
    push_hex(&mut digest, &hasher.finish().sha256());
    let headers: serde_json::Map<String, serde_json::Value> = head
        .headers
        .keys()
        .map(|name| {
            let values: Vec<_> = head.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (name.to_string(), values.join(", ").into())
        })
        .collect();
    let answer = serde_json::json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "body": { "length": length, "sha256": digest },
    });
    let mut text = serde_json::to_vec_pretty(&answer).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}
