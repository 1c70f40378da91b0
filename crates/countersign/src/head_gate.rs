//! placeholder
use countersign_core::code::Code;
use countersign_core::head::HeadLimits;
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
pub struct GateState;
impl GateState {
    pub fn new() -> Self {
        Self
    }
    pub fn ends_after_this(&self) -> bool {
        false
    }
    pub fn upgraded(&self) {}
    pub fn not_upgraded(&self) {}
}
pub struct HeadGate<IO>(TokioIo<IO>);
impl<IO> HeadGate<IO> {
    pub fn new(io: IO, _: HeadLimits, _: Arc<GateState>, _: impl Fn(Code) -> Vec<u8> + Send + 'static) -> Self {
        Self(TokioIo::new(io))
    }
}
impl<IO: tokio::io::AsyncRead + Unpin> hyper::rt::Read for HeadGate<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, b: hyper::rt::ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, b)
    }
}
impl<IO: tokio::io::AsyncWrite + Unpin> hyper::rt::Write for HeadGate<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, b: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, b)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, b: &[std::io::IoSlice<'_>]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, b)
    }
}
