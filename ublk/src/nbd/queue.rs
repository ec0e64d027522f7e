//! The server's side: requests come from the socket, answers go to it. It has the words of [`crate::Queue`], so
//! that one loop serves both; operations on the backing are done at once, on the thread of the queue.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::wire::{self, Asked, Handle, REQUEST_BYTES};
use super::{DEPTH, MAX_IO_BYTES};
use crate::answer::Answer;
use crate::backing_op::BackingOp;
use crate::data_path::{Copy, bytes_or_errno};
use crate::direction::Payload;
use crate::queue::{Completion, Submitted, payload_bytes};
use crate::request::{Op, Request};
use crate::stage::Stages;

/// So many requests are taken before the loop may look at its clock again.
const BATCH: u32 = 64;

/// What a queue is opened with.
#[derive(Debug)]
pub struct QueueConfig {
    /// The server's end of the socket, from [`super::Client::claim`].
    pub socket: OwnedFd,
    /// What backs the device, for targets that have a file.
    pub backing: Option<Arc<OwnedFd>>,
    /// An eventfd: a write to it makes the queue report [`Completion::Woken`].
    pub wake: Arc<OwnedFd>,
}

/// The one queue of a device.
#[derive(Debug)]
pub struct Queue {
    socket: UnixStream,
    wake: Arc<OwnedFd>,
    pub(super) backing: Option<Arc<OwnedFd>>,
    /// Memory for one payload of each tag.
    pub(super) memory: Copy,
    pub(super) stages: Stages,
    /// The handle of the request that has the tag.
    handles: Box<[Option<Handle>]>,
    state: State,
    /// Whether the wake event is to be told of.
    armed: bool,
    left_in_batch: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The client sends no more; what it sent is to be answered.
    Leaving,
    /// Nobody is at the other end.
    Closed,
}

impl Queue {
    /// Opens the queue.
    ///
    /// # Errors
    /// `mmap(2)`'s.
    pub fn open(config: QueueConfig) -> io::Result<Self> {
        Ok(Self {
            socket: UnixStream::from(config.socket),
            wake: config.wake,
            backing: config.backing,
            memory: Copy::new(DEPTH, MAX_IO_BYTES)?,
            stages: Stages::new(MAX_IO_BYTES),
            handles: vec![None; usize::from(DEPTH)].into(),
            state: State::Open,
            armed: true,
            left_in_batch: 0,
        })
    }

    /// As [`crate::Queue::is_open`]: whether the client may still send requests, or waits for answers.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            State::Open => true,
            State::Leaving => self.handles.iter().any(Option::is_some),
            State::Closed => false,
        }
    }

    /// As [`crate::Queue::is_settled`]: an answer is with the client when it is given.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        true
    }

    /// Waits until there is a completion, at most `timeout` if one is given.
    ///
    /// # Errors
    /// `ppoll(2)`'s.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.left_in_batch = BATCH;
        self.ready(timeout).map(drop)
    }

    /// Which of the socket and the wake event have something.
    fn ready(&self, timeout: Option<Duration>) -> io::Result<(bool, bool)> {
        let watch = |fd, wanted| libc::pollfd {
            // A negative one is passed over.
            fd: if wanted { fd } else { -1 },
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [
            watch(self.socket.as_raw_fd(), self.state == State::Open),
            watch(self.wake.as_raw_fd(), self.armed),
        ];
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let until = timeout
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the list and the time live until the call returns; no mask of signals is given.
        let found = unsafe { libc::ppoll(fds.as_mut_ptr(), 2, until, std::ptr::null()) };
        match found {
            0.. => Ok((fds[0].revents != 0, fds[1].revents != 0)),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok((false, false)),
                error => Err(error),
            },
        }
    }

    /// Takes the next completion, if there is one.
    pub fn next_completion(&mut self) -> Option<Completion> {
        while self.left_in_batch > 0 {
            self.left_in_batch -= 1;
            // Fails only for arguments that are wrong.
            let (asked, woken) = self.ready(Some(Duration::ZERO)).ok()?;
            if woken {
                self.armed = false;
                let mut count = [0; 8];
                let _ = nix::unistd::read(&*self.wake, &mut count);
                return Some(Completion::Woken);
            }
            if !asked {
                return None;
            }
            match self.take() {
                Ok(Some(request)) => return Some(Completion::Arrived(request)),
                Ok(None) => {}
                // The end of the connection, or of sense.
                Err(error) => {
                    if error.kind() != io::ErrorKind::UnexpectedEof {
                        tracing::warn!(%error, "the connection with the kernel's NBD client is broken");
                    }
                    self.close();
                }
            }
        }
        None
    }

    /// Reads one request, with its payload; none if it was answered here, or is none of the block layer's.
    fn take(&mut self) -> io::Result<Option<Request>> {
        let mut header = [0; REQUEST_BYTES];
        self.socket.read_exact(&mut header)?;
        let senseless = || io::Error::from(io::ErrorKind::InvalidData);
        let asked = wire::read(&header).ok_or_else(senseless)?;
        let Asked::Request {
            handle,
            op,
            flags,
            offset_bytes,
            len_bytes,
        } = asked
        else {
            self.state = State::Leaving;
            return Ok(None);
        };
        let carries = matches!(op, Op::Read | Op::Write);
        if carries && len_bytes > MAX_IO_BYTES {
            return Err(senseless());
        }
        let free = self.handles.iter().position(Option::is_none);
        let tag = free.ok_or_else(senseless)?;
        // A queue has 128.
        let tag = u16::try_from(tag).map_err(|_| senseless())?;
        if op == Op::Write {
            let span = self.memory.staging().span(tag, len_bytes);
            // SAFETY: the span is mapped for as long as the queue lives; the tag has no request, so nobody else
            // touches its memory.
            let payload =
                unsafe { std::slice::from_raw_parts_mut(span.as_ptr(), span.len_bytes()) };
            self.socket.read_exact(payload)?;
        }
        if !offset_bytes.is_multiple_of(512) || !len_bytes.is_multiple_of(512) {
            // A block is never shorter than a sector, so the kernel does not ask this.
            self.send(&wire::reply(handle, Some(libc::EINVAL)), &[]);
            return Ok(None);
        }
        self.handles[usize::from(tag)] = Some(handle);
        let (sector, sectors) = (offset_bytes >> 9, len_bytes >> 9);
        Ok(Some(Request::new(tag, op, flags, sector, sectors)))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// None: that nobody is there to hear it is seen at [`Queue::is_open`]. The request is consumed.
    pub fn commit(&mut self, request: Request, answer: Answer) -> io::Result<()> {
        let (tag, op) = (request.tag(), request.op());
        let result = match answer {
            // The protocol has no word for less than all.
            Answer::Short(_) => -libc::EIO,
            _ => answer.result(&request),
        };
        request.abandon();
        let Some(handle) = self.handles[usize::from(tag)].take() else {
            return Ok(());
        };
        let errno = (result < 0).then(|| result.saturating_neg());
        let len = match (op, u32::try_from(result)) {
            (Op::Read, Ok(len)) => len,
            _ => 0,
        };
        let span = self.memory.staging().span(tag, len);
        // SAFETY: the span is mapped for as long as the queue lives; the request is at its end, and the next one of
        // this tag is taken by this thread.
        let payload = unsafe { std::slice::from_raw_parts(span.as_ptr(), span.len_bytes()) };
        // Sent by a second handle, so that the memory may be lent meanwhile.
        let sent = send(&self.socket, &wire::reply(handle, errno), payload);
        if sent.is_err() {
            self.close();
        }
        Ok(())
    }

    fn send(&mut self, header: &[u8], payload: &[u8]) {
        if send(&self.socket, header, payload).is_err() {
            self.close();
        }
    }

    fn close(&mut self) {
        self.state = State::Closed;
    }

    /// Does an operation on the backing for the request with this tag.
    ///
    /// # Errors
    /// None; those of the backing are in what is returned.
    pub fn submit(&mut self, tag: u16, op: BackingOp) -> io::Result<Submitted> {
        let Some(backing) = self.backing.as_ref().map(|file| file.as_raw_fd()) else {
            return Ok(Submitted::Ended(-libc::EIO));
        };
        let result = match op {
            BackingOp::Fill(part) => {
                let memory = self.memory.staging().part_of(tag, part);
                let (len, at) = (
                    part.len_bytes() as usize,
                    offset(part.backing_offset_bytes()),
                );
                // SAFETY: the part lies in the tag's memory, mapped and writable; the tag has one request, which
                // waits for this.
                bytes_or_errno(unsafe { libc::pread(backing, memory.cast(), len, at) })
            }
            BackingOp::Store(part) => {
                let memory = self.memory.staging().part_of(tag, part);
                let from = libc::iovec {
                    iov_base: memory.cast(),
                    iov_len: part.len_bytes() as usize,
                };
                let (at, flags) = (offset(part.backing_offset_bytes()), part.rw_flags());
                // SAFETY: as above; the vector lives until the call returns.
                bytes_or_errno(unsafe { libc::pwritev2(backing, &raw const from, 1, at, flags) })
            }
            BackingOp::Sync => {
                // SAFETY: a plain number is handed over.
                done(unsafe { libc::fdatasync(backing) })
            }
            BackingOp::Allocate {
                mode,
                offset_bytes,
                len_bytes,
            } => {
                let (at, len) = (offset(offset_bytes), offset(len_bytes));
                // SAFETY: plain numbers are handed over.
                done(unsafe { libc::fallocate(backing, mode, at, len) })
            }
        };
        Ok(Submitted::Ended(result))
    }

    /// The payload of a request, which is always memory of the server.
    #[must_use]
    pub fn payload(&self, request: &Request) -> Option<Payload<'_>> {
        let len = payload_bytes(request)?;
        Payload::of(request, self.memory.staging().span(request.tag(), len))
    }

    /// Arms the wake event again after [`Completion::Woken`].
    ///
    /// # Errors
    /// None.
    pub fn arm_wake(&mut self) -> io::Result<()> {
        self.armed = true;
        Ok(())
    }
}

/// What a system call that moves no bytes has returned: 0 or a negative errno.
pub(super) fn done(returned: i32) -> i32 {
    bytes_or_errno(if returned == 0 { 0 } else { -1 })
}

/// A device ends before 2^63 bytes.
fn offset(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn send(mut socket: &UnixStream, header: &[u8], payload: &[u8]) -> io::Result<()> {
    // Rust's runtime has SIGPIPE ignored.
    socket.write_all(header)?;
    socket.write_all(payload)
}

#[cfg(test)]
mod tests;
