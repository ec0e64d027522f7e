//! A puppet's own side: it does what it is told, one order at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use super::NAME;
use super::job;
use super::order::{Answer, How, Mem, Memory, Mode, Order, Part, Said, Transfer};
use crate::sys::{self, Aio, Area, Ring, Span};

/// Something that was begun.
#[derive(Debug)]
enum Operation {
    Thread(Receiver<io::Result<Answer>>),
    Aio(Aio),
    Ring(usize),
    Over(Said),
}

/// A puppet's things. A number that an order gives names one of them.
#[derive(Debug, Default)]
pub(super) struct Things {
    areas: Vec<Area>,
    files: Vec<Option<Arc<File>>>,
    rings: Vec<Option<Ring>>,
    operations: Vec<Operation>,
    /// Ends of the child's pipes, kept until the controller has opened them.
    child: Vec<OwnedFd>,
}

/// Where orders come from and answers go.
struct Line {
    orders: BufReader<File>,
    answers: File,
}

/// What comes of an order.
enum Next {
    Say(Answer),
    /// This is the child of a fork, and its line.
    Become(Line),
}

/// Obeys the orders on standard input until it is closed.
///
/// # Errors
/// Standard input or output cannot be used.
pub fn act() -> io::Result<()> {
    // A puppet must not outlive its controller.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let file = |fd: io::Result<OwnedFd>| fd.map(File::from);
    let mut line = Line {
        orders: BufReader::new(file(io::stdin().as_fd().try_clone_to_owned())?),
        answers: file(io::stdout().as_fd().try_clone_to_owned())?,
    };
    let mut things = Things::default();
    line.say(&Ok(Answer::Ready))?;
    while let Some(order) = line.order()? {
        match things.obey(order) {
            Ok(Next::Say(answer)) => line.say(&Ok(answer))?,
            Ok(Next::Become(own)) => {
                line = own;
                line.say(&Ok(Answer::Ready))?;
            }
            Err(error) => line.say(&Err(errno(&error)))?,
        }
    }
    Ok(())
}

impl Line {
    fn order(&mut self) -> io::Result<Option<Order>> {
        let mut text = String::new();
        match self.orders.read_line(&mut text)? {
            0 => Ok(None),
            _ => Ok(Some(serde_json::from_str(&text)?)),
        }
    }

    fn say(&mut self, said: &Said) -> io::Result<()> {
        let mut text = serde_json::to_string(said)?;
        text.push('\n');
        self.answers.write_all(text.as_bytes())
    }
}

impl Things {
    fn obey(&mut self, order: Order) -> io::Result<Next> {
        if order == Order::Fork {
            return self.fork();
        }
        self.answer(order).map(Next::Say)
    }

    /// Every order but the one that makes another puppet.
    pub(super) fn answer(&mut self, order: Order) -> io::Result<Answer> {
        match order {
            Order::Open(path, mode) => self.open(&path, mode),
            Order::MemoryFile(bytes) => {
                let file = File::from(memfd_create("puppet", MFdFlags::MFD_CLOEXEC)?);
                self.sized(file, bytes)
            }
            Order::SecretFile(bytes) => self.sized(sys::secret()?, bytes),
            Order::Pipe => {
                let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
                let (from, to) = (self.keep(from.into()), self.keep(to.into()));
                Ok(Answer::Ids(from, to))
            }
            Order::Close(file) => {
                let slot = self.files.get_mut(file.0).ok_or_else(no_such)?;
                slot.take().ok_or_else(no_such)?;
                done()
            }
            Order::FillPipe(pipe, part, times) => {
                let (pipe, span) = (self.file(pipe.0)?, self.span(part)?);
                for _ in 0..times {
                    sys::vmsplice(&pipe, span)?;
                }
                done()
            }
            Order::Map(memory, bytes) => self.map(memory, bytes),
            Order::Remap(mem) => {
                let moved = self.area(mem.area)?.moved()?;
                Ok(self.mem(moved))
            }
            Order::Resident(part) => {
                let area = self.area(part.area)?;
                Ok(Answer::Pages(area.resident(part.at, part.bytes)?))
            }
            Order::Do(job) => job::prepare(self, job)?(),
            Order::Start(job) => {
                let run = job::prepare(self, job)?;
                self.start(run)
            }
            Order::Submit(transfer, how) => self.submit(&transfer, how),
            Order::Cancel(operation) => self.cancel(operation.0),
            Order::Wait(operation, milliseconds) => {
                self.wait(operation.0, Duration::from_millis(milliseconds))
            }
            Order::Ring => {
                self.rings.push(Some(Ring::new()?));
                Ok(Answer::Id(self.rings.len() - 1))
            }
            Order::Register(ring, parts) => {
                let spans = self.spans(&parts)?;
                self.ring(ring.0)?.register(&spans)?;
                done()
            }
            Order::Unregister(ring) => {
                self.ring(ring.0)?.unregister()?;
                done()
            }
            Order::CloseRing(ring) => {
                let slot = self.rings.get_mut(ring.0).ok_or_else(no_such)?;
                slot.take().ok_or_else(no_such)?;
                done()
            }
            Order::Forked => {
                self.child.clear();
                done()
            }
            // It only returns when it fails.
            Order::Exec => Err(Command::new("/proc/self/exe").arg0(NAME).exec()),
            Order::Fork => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn open(&mut self, path: &std::path::Path, mode: Mode) -> io::Result<Answer> {
        let flags = if mode.direct { libc::O_DIRECT } else { 0 };
        let file = File::options()
            .read(true)
            .write(mode.write)
            .custom_flags(flags)
            .open(path)?;
        Ok(Answer::Id(self.keep(file)))
    }

    fn sized(&mut self, file: File, bytes: u64) -> io::Result<Answer> {
        file.set_len(bytes)?;
        Ok(Answer::Id(self.keep(file)))
    }

    fn keep(&mut self, file: File) -> usize {
        self.files.push(Some(Arc::new(file)));
        self.files.len() - 1
    }

    fn map(&mut self, memory: Memory, bytes: usize) -> io::Result<Answer> {
        let area = match memory {
            Memory::Private => Area::anonymous(bytes, false)?,
            Memory::Shared => Area::anonymous(bytes, true)?,
            Memory::Thp => {
                let area = Area::aligned(bytes)?;
                area.advise(0, bytes, libc::MADV_HUGEPAGE)?;
                area
            }
            Memory::HugeTlb => Area::huge(bytes)?,
            Memory::FileShared(file) => Area::of_file(&*self.file(file.0)?, bytes, true, true)?,
            Memory::FilePrivate(file) => Area::of_file(&*self.file(file.0)?, bytes, false, true)?,
        };
        Ok(self.mem(area))
    }

    fn mem(&mut self, area: Area) -> Answer {
        self.areas.push(area);
        Answer::Mem(Mem {
            area: self.areas.len() - 1,
            address: area.address() as u64,
            bytes: area.bytes(),
        })
    }

    pub(super) fn area(&self, number: usize) -> io::Result<Area> {
        self.areas.get(number).copied().ok_or_else(no_such)
    }

    pub(super) fn file(&self, number: usize) -> io::Result<Arc<File>> {
        self.files
            .get(number)
            .cloned()
            .flatten()
            .ok_or_else(no_such)
    }

    pub(super) fn span(&self, part: Part) -> io::Result<Span> {
        Span::of(self.area(part.area)?, part.at, part.bytes)
    }

    pub(super) fn spans(&self, parts: &[Part]) -> io::Result<Vec<Span>> {
        parts.iter().map(|part| self.span(*part)).collect()
    }

    fn ring(&mut self, number: usize) -> io::Result<&mut Ring> {
        let ring = self.rings.get_mut(number);
        ring.and_then(Option::as_mut).ok_or_else(no_such)
    }

    fn begun(&mut self, operation: Operation) -> Answer {
        self.operations.push(operation);
        Answer::Id(self.operations.len() - 1)
    }

    fn start(&mut self, run: job::Run) -> io::Result<Answer> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            // Nobody listens any more when the puppet has ended.
            let _ = sender.send(run());
        })?;
        Ok(self.begun(Operation::Thread(receiver)))
    }

    fn submit(&mut self, transfer: &Transfer, how: How) -> io::Result<Answer> {
        let file = self.file(transfer.file.0)?;
        let span = match transfer.parts.as_slice() {
            [part] => self.span(*part)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let id = self.operations.len();
        let (ring, fixed) = match how {
            How::Sync => return Err(io::ErrorKind::InvalidInput.into()),
            How::Aio => {
                let offset = i64::try_from(transfer.offset).map_err(io::Error::other)?;
                let aio = Aio::begin(&file, transfer.way, span, offset)?;
                return Ok(self.begun(Operation::Aio(aio)));
            }
            How::Ring(ring) => (ring.0, None),
            How::Fixed(ring, index) => (ring.0, Some(index)),
        };
        let offset = transfer.offset;
        self.ring(ring)?
            .begin(&file, transfer.way, span, offset, fixed, id as u64)?;
        Ok(self.begun(Operation::Ring(ring)))
    }

    fn cancel(&mut self, number: usize) -> io::Result<Answer> {
        let Some(Operation::Ring(ring)) = self.operations.get(number) else {
            return Err(no_such());
        };
        let (ring, id) = (*ring, self.operations.len());
        self.ring(ring)?.cancel(number as u64, id as u64)?;
        Ok(self.begun(Operation::Ring(ring)))
    }

    fn wait(&mut self, number: usize, time: Duration) -> io::Result<Answer> {
        let over = match self.operations.get(number).ok_or_else(no_such)? {
            Operation::Over(said) => said.clone(),
            Operation::Thread(receiver) => match receiver.recv_timeout(time) {
                Ok(result) => result.map_err(|error| errno(&error)),
                Err(RecvTimeoutError::Timeout) => return Ok(Answer::Pending),
                Err(RecvTimeoutError::Disconnected) => Err(libc::EIO),
            },
            Operation::Aio(aio) => match aio.wait(time)? {
                Some(result) => Ok(Answer::Done(result)),
                None => return Ok(Answer::Pending),
            },
            Operation::Ring(ring) => {
                let ring = *ring;
                match self.ring(ring)?.wait(number as u64, time)? {
                    Some(result) => Ok(Answer::Done(result.into())),
                    None => return Ok(Answer::Pending),
                }
            }
        };
        self.operations[number] = Operation::Over(over.clone());
        over.map_err(io::Error::from_raw_os_error)
    }

    fn fork(&mut self) -> io::Result<Next> {
        let (child_orders, orders) = pipe2(OFlag::O_CLOEXEC)?;
        let (answers, child_answers) = pipe2(OFlag::O_CLOEXEC)?;
        match sys::split()? {
            None => Ok(Next::Become(Line {
                orders: BufReader::new(child_orders.into()),
                answers: child_answers.into(),
            })),
            Some(pid) => {
                let fds = (orders.as_raw_fd(), answers.as_raw_fd());
                self.child = vec![orders, answers];
                Ok(Next::Say(Answer::Forked {
                    pid,
                    orders: fds.0,
                    answers: fds.1,
                }))
            }
        }
    }
}

pub(super) fn done() -> io::Result<Answer> {
    Ok(Answer::Done(0))
}

fn no_such() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

/// What an error is called on the line; what has no number of its own is a bad argument.
fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}

#[cfg(test)]
mod tests;
