//! One boot: QEMU, the sockets to it, and the threads that carry its output.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::copy::{self, CopyOut};
use crate::death::Death;
use crate::error::{At, Error};
use crate::machine::{Accelerator, Boot, Machine};
use crate::monitor::{End, Limits, Monitor, Signals};
use crate::plan::port;
use crate::prepared::Prepared;
use crate::progress::Progress;
use crate::run::{Outcome, outcome, read_log};
use crate::sys;
use crate::terminal::Terminal;

/// How long what a guest has sent may take to be unpacked here.
const UNPACKING: Duration = Duration::from_secs(60);

type Sink = Arc<Mutex<dyn Write + Send>>;

/// Where the command's output goes.
pub(crate) struct Sinks {
    out: Sink,
    err: Sink,
}

impl Sinks {
    pub(crate) fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Arc::new(Mutex::new(out)),
            err: Arc::new(Mutex::new(err)),
        }
    }
}

/// Everything that one boot is made of; it can be run again.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) accelerator: Accelerator,
    pub(crate) prepared: &'a Prepared,
    pub(crate) copy_out: &'a [CopyOut],
    pub(crate) interactive: bool,
    pub(crate) limits: Limits,
    /// Everything that the kernel says goes to the console, from the first moment on.
    pub(crate) talkative: bool,
}

/// Our ends of the sockets, and QEMU's.
struct Wires {
    console: UnixStream,
    control: UnixStream,
    out: UnixStream,
    err: UnixStream,
    files: UnixStream,
    terminal: Option<UnixStream>,
    theirs: Vec<OwnedFd>,
}

impl Wires {
    fn new(interactive: bool) -> Result<Self, Error> {
        let mut theirs = Vec::new();
        let mut wire = || -> Result<UnixStream, Error> {
            let (ours, other) =
                UnixStream::pair().map_err(Error::system("make a socket for the guest"))?;
            theirs.push(other.into());
            Ok(ours)
        };
        Ok(Self {
            console: wire()?,
            control: wire()?,
            out: wire()?,
            err: wire()?,
            files: wire()?,
            terminal: if interactive { Some(wire()?) } else { None },
            theirs,
        })
    }

    /// QEMU's end of the n-th socket, in the order above.
    fn fd(&self, n: usize) -> RawFd {
        self.theirs.get(n).map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Attempt<'_> {
    /// Boots, runs the command, and ends QEMU whatever happened.
    pub(crate) fn run(
        &self,
        sinks: &Sinks,
        signals: &Signals,
        progress: &Progress,
    ) -> Result<Outcome, Error> {
        let mut wires = Wires::new(self.interactive)?;
        let mut log = tempfile::tempfile().map_err(Error::system("make a temporary file"))?;
        let share = |file: &File| {
            file.try_clone()
                .map_err(Error::system("share a file with QEMU"))
        };
        let initramfs = share(&self.prepared.initramfs)?;
        let mut command = self.command(&wires, initramfs.as_raw_fd());
        command.stderr(share(&log)?);
        wires.theirs.push(initramfs.into());
        sys::tie_to_parent(&mut command, std::mem::take(&mut wires.theirs));
        let mut qemu = command.spawn().at("run", &self.prepared.qemu.path)?;
        // QEMU's ends of the sockets must be open in QEMU only, or we would never see them close.
        drop(command);

        let carriers = [carry(wires.out, &sinks.out), carry(wires.err, &sinks.err)];
        let requests = self.copy_out.to_vec();
        let mut files = wires.files;
        let unpacker = (!requests.is_empty())
            .then(|| thread::spawn(move || copy::unpack(&mut files, &requests)));
        let terminal = wires.terminal.map(Terminal::connect).transpose();

        let mut monitor = Monitor::new(progress, self.limits);
        let end = monitor.watch(&mut wires.console, &mut wires.control, signals);
        if monitor.has_sent() {
            // The guest is done with sending, but QEMU may have some of it still.
            wait_for_end(unpacker.as_ref());
        }
        // Dead or told to be: QEMU has nothing more to say that is not in the sockets already.
        let killed = qemu.kill();
        let status = qemu.wait().at("wait for", &self.prepared.qemu.path)?;
        for carrier in carriers {
            // A carrier does not panic; its output is gone if it did.
            let _ = carrier.join();
        }
        drop(terminal?);
        let end = end?;
        let unpacked = unpacker.map(join_unpacker);
        killed.map_err(Error::system("end QEMU"))?;

        let exited = matches!(end, End::Exited(_));
        if let (Some(Err(error)), false, true) = (&unpacked, exited, monitor.sends()) {
            progress.warn(format!(
                "not all files came out of the guest: failed to {error}"
            ));
        }
        let says = move || format!("QEMU ended ({status}): {}", read_log(&mut log));
        let result = outcome(end, monitor.ready.take(), self.accelerator, says);
        let result = result.map_err(|why| match why {
            Ok(cause) => Error::Death(Death {
                cause,
                console: monitor.tail.to_vec(),
            }),
            Err(error) => error,
        })?;
        match unpacked {
            Some(Err(error)) if exited => Err(error),
            _ => Ok(result),
        }
    }

    fn command(&self, wires: &Wires, initramfs: RawFd) -> Command {
        let boot = Boot {
            qemu: &self.prepared.qemu,
            accelerator: self.accelerator,
            kernel: &self.prepared.kernel,
            image: &self.prepared.image,
            initramfs,
            memory_mib: self.prepared.memory_mib,
            console: wires.fd(0),
            ports: [port::CONTROL, port::OUT, port::ERR, port::FILES]
                .into_iter()
                .zip(1..)
                .map(|(name, n)| (name, wires.fd(n)))
                .collect(),
            talkative: self.talkative,
            terminal: wires.terminal.is_some().then(|| wires.fd(5)),
        };
        let mut command = Command::new(&self.prepared.qemu.path);
        command
            .args(self.machine.arguments(&boot))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C on the terminal is for us; we end QEMU.
            .process_group(0);
        command
    }
}

/// Waits, for a while, until the archive was unpacked to its trailer. A guest's write to a port returns when
/// the bytes are in the virtqueue (`port_fops_write` in drivers/char/virtio_console.c), and QEMU takes them
/// out no faster than we read its socket.
fn wait_for_end(unpacker: Option<&JoinHandle<Result<(), Error>>>) {
    let start = Instant::now();
    while unpacker.is_some_and(|thread| !thread.is_finished()) && start.elapsed() < UNPACKING {
        thread::sleep(Duration::from_millis(5));
    }
}

fn join_unpacker(thread: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    thread
        .join()
        .unwrap_or_else(|_| Err(Error::Guest("unpack the files it sent".into())))
}

/// Carries one stream of the guest to its sink, until QEMU closes it. If the sink is closed, the
/// rest is thrown away, so that the guest does not wait for ever.
fn carry(mut stream: UnixStream, sink: &Sink) -> JoinHandle<()> {
    let sink = Arc::clone(sink);
    thread::spawn(move || {
        let mut chunk = vec![0; 64 << 10];
        let mut open = true;
        loop {
            let count = match stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            if open {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                open = sink
                    .write_all(&chunk[..count])
                    .and_then(|()| sink.flush())
                    .is_ok();
            }
        }
    })
}
