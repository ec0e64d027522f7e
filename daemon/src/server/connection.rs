//! Connections that may carry an open file: what a client sends along with its bytes (`SCM_RIGHTS`) is
//! kept with the connection until a handler takes it, and closed with the connection at the latest.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::serve::Listener;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::unix::{SocketAddr, UCred};
use tokio::net::{UnixListener, UnixStream};

/// How many files a connection may have waiting. A request takes one; two are told from one, so that a
/// client that sends more is refused rather than served with the wrong one.
const MAX_FILES: usize = 2;

/// The files that came on a connection and that nobody has taken yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Files(Arc<Mutex<Vec<OwnedFd>>>);

impl Files {
    /// Takes all of them.
    pub(super) fn take(&self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, file: OwnedFd) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_FILES {
            kept.push(file);
        }
        // Otherwise it is closed here.
    }
}

/// The listener of the API.
#[derive(Debug)]
pub(super) struct Listening(pub(super) UnixListener);

impl Listener for Listening {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // axum's own waits out what can go wrong, such as too many open files.
        let (stream, address) = Listener::accept(&mut self.0).await;
        let files = Files::default();
        (Connection { stream, files }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    files: Files,
}

/// What one read brought.
struct Received {
    bytes: usize,
    /// Whether files came with it.
    files: bool,
}

impl Connection {
    /// Who is at the other end.
    pub(super) fn peer(&self) -> io::Result<UCred> {
        self.stream.peer_cred()
    }

    /// The files that come on it.
    pub(super) fn files(&self) -> Files {
        self.files.clone()
    }

    /// After a short read there is nothing more for now, which tokio's own stream remembers as well. Without
    /// it the next read, which comes before the handler runs, would already see that a client has hung up,
    /// and its request would be dropped unheard.
    fn wait_for_more(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        // The answer is the error above; what counts is that readiness is cleared.
        let _ = self.stream.try_io(Interest::READABLE, nothing);
    }

    fn receive(&self, into: &mut [u8]) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(into)];
        // The kernel closes what does not fit into the space (`scm_detach_fds`).
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(&self.stream, &mut parts, &mut control, flags)?;
        let mut files = false;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sent) = message {
                files = true;
                sent.for_each(|file| self.files.keep(file));
            }
        }
        Ok(Received {
            bytes: received.bytes,
            files,
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let free = into.initialize_unfilled();
            let received = self
                .stream
                .try_io(Interest::READABLE, || self.receive(free));
            match received {
                Ok(Received { bytes, files }) => {
                    // A read ends behind a file that it brings, whatever follows (`unix_stream_read_generic`).
                    if !files && (1..free.len()).contains(&bytes) {
                        self.wait_for_more();
                    }
                    into.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::fd::AsFd;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use tokio::io::AsyncReadExt;

    use super::*;

    fn send(to: &UnixStream, bytes: &[u8], count: usize) {
        let pipe = std::fs::File::open("/dev/null").unwrap();
        let files = vec![pipe.as_fd(); count];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
        let parts = [IoSlice::new(bytes)];
        sendmsg(to, &parts, &mut control, SendFlags::empty()).unwrap();
    }

    /// Sends `count` files at each of two bytes, and counts those that are kept.
    async fn kept(count: usize) -> usize {
        let (client, stream) = UnixStream::pair().unwrap();
        let files = Files::default();
        let mut connection = Connection {
            stream,
            files: files.clone(),
        };
        send(&client, b"ab", count);
        send(&client, b"cd", count);
        let mut bytes = [0; 4];
        connection.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"abcd");
        files.take().len()
    }

    #[tokio::test]
    async fn files_are_kept_up_to_a_bound() {
        assert_eq!(kept(1).await, 2);
        assert_eq!(kept(16).await, MAX_FILES);
    }

    #[tokio::test]
    async fn files_that_nobody_takes_are_closed_with_the_connection() {
        let (client, stream) = UnixStream::pair().unwrap();
        let files = Files::default();
        let mut connection = Connection { stream, files };
        let (reader, writer) = io::pipe().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sent = [writer.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&sent)));
        sendmsg(
            &client,
            &[IoSlice::new(b"x")],
            &mut control,
            SendFlags::empty(),
        )
        .unwrap();
        connection.read_u8().await.unwrap();
        drop((writer, connection));
        // The end of the pipe is seen only once every writer is closed.
        let mut rest = Vec::new();
        io::Read::read_to_end(&mut &reader, &mut rest).unwrap();
        assert!(rest.is_empty());
    }
}
