//! The queue threads of a device.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc as sync_mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use api::EventKind;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tokio::sync::mpsc;
use ublk::{DeviceInfo, Queue, QueueConfig, SharedQueue, char_device, control, nbd};

use super::plan::Plan;
use super::{DeviceError, Failure};
use crate::events::{Event, EventLog};
use crate::front::Front;
use crate::mailbox::{Command, Mailbox};
use crate::queue::{QueueError, QueueLoop};
use crate::shared::{DeviceShared, QueueShared};
use crate::stats::QueueStats;

/// The threads that serve a device.
#[derive(Debug)]
pub(super) struct Threads {
    handles: Vec<JoinHandle<()>>,
    /// Each thread has the other end: it closes with the last one.
    ended: sync_mpsc::Receiver<Infallible>,
}

/// The part of each queue that the server reaches.
pub(super) fn shared_queues(queues: u16) -> Result<Vec<Arc<QueueShared>>, DeviceError> {
    let make = |queue| {
        let mailbox = Mailbox::new()?;
        Ok(Arc::new(QueueShared {
            queue,
            mailbox,
            stats: QueueStats::default(),
            shared_memory: Arc::default(),
        }))
    };
    (0..queues)
        .map(make)
        .collect::<std::io::Result<_>>()
        .map_err(|source| DeviceError::System {
            what: "make an eventfd for a queue",
            source,
        })
}

impl Threads {
    /// Starts a thread for each queue, and waits until each has sent its FETCHes or failed: START_DEV
    /// would wait for ever for a queue that never fetches.
    pub(super) fn spawn(
        plan: &Plan,
        info: DeviceInfo,
        device: &Arc<DeviceShared>,
        queues: &[Arc<QueueShared>],
        failures: mpsc::UnboundedSender<Failure>,
    ) -> Result<Self, DeviceError> {
        let char_device = char_device::open(info.id)?;
        // Before the first thread starts: an error after that would leave it behind.
        let cpus = (0..info.queues)
            .map(|queue| control::queue_cpus(info.id, queue))
            .collect::<Result<Vec<_>, _>>()?;
        let (ready, all_ready) = sync_mpsc::channel();
        let (alive, ended) = sync_mpsc::channel();
        let mut threads = Self {
            handles: Vec::with_capacity(queues.len()),
            ended,
        };
        for (shared, cpus) in queues.iter().zip(cpus) {
            let start = Start {
                opens: Opens::Ublk(Box::new(QueueConfig {
                    device: info.id,
                    queue: shared.queue,
                    depth: info.depth,
                    max_io_bytes: info.max_io_bytes,
                    data_path: plan.data_path,
                    transport: plan.transport,
                    automatic_tags: QueueConfig::ALL_TAGS,
                    char_device: Arc::clone(&char_device),
                    backing: plan.source.file(),
                    backing_in_memory: plan.source.is_in_memory(),
                    wake: shared.mailbox.wake_event(),
                    shared: SharedQueue {
                        buffers: Arc::clone(&device.buffers),
                        counts: Arc::clone(&shared.shared_memory),
                    },
                })),
                depth: info.depth,
                target: plan.source.target(info.depth),
                integrity: plan.integrity(info.max_io_bytes),
                watch: plan.watch(info.depth, info.max_io_bytes)?,
                // The backing's lock lives as long as a queue uses the backing.
                _source: plan.source.clone(),
                device: Arc::clone(device),
                shared: Arc::clone(shared),
                cpus,
                failures: failures.clone(),
                siblings: queues.to_vec(),
                _alive: alive.clone(),
            };
            let name = format!("ublk{}q{}", info.id, shared.queue);
            match spawn(name, start, ready.clone()) {
                Ok(handle) => threads.handles.push(handle),
                Err(error) => {
                    threads.quit(queues);
                    return Err(error);
                }
            }
        }
        drop((ready, alive, char_device));
        threads.when_ready(all_ready, queues)
    }

    /// Starts the thread of the one queue of a device of the NBD client's.
    pub(super) fn spawn_nbd(
        plan: &Plan,
        socket: OwnedFd,
        device: &Arc<DeviceShared>,
        queues: &[Arc<QueueShared>],
        failures: mpsc::UnboundedSender<Failure>,
    ) -> Result<Self, DeviceError> {
        let (ready, all_ready) = sync_mpsc::channel();
        let (alive, ended) = sync_mpsc::channel();
        let mut threads = Self {
            handles: Vec::with_capacity(1),
            ended,
        };
        if let Some(shared) = queues.first() {
            let start = Start {
                opens: Opens::Nbd(nbd::QueueConfig {
                    socket,
                    backing: plan.source.file(),
                    wake: shared.mailbox.wake_event(),
                }),
                depth: nbd::DEPTH,
                target: plan.source.target(nbd::DEPTH),
                integrity: None,
                watch: None,
                _source: plan.source.clone(),
                device: Arc::clone(device),
                shared: Arc::clone(shared),
                cpus: Vec::new(),
                failures,
                siblings: queues.to_vec(),
                _alive: alive,
            };
            let name = format!("nbd{}q{}", device.id, shared.queue);
            threads.handles.push(spawn(name, start, ready)?);
        }
        threads.when_ready(all_ready, queues)
    }

    /// Waits until every thread has begun to serve.
    fn when_ready(
        self,
        all_ready: sync_mpsc::Receiver<Result<(), DeviceError>>,
        queues: &[Arc<QueueShared>],
    ) -> Result<Self, DeviceError> {
        // The channel closes when every thread has reported or is gone.
        for outcome in all_ready {
            if let Err(error) = outcome {
                self.quit(queues);
                return Err(error);
            }
        }
        Ok(self)
    }

    /// Waits until every thread has ended.
    pub(super) fn join(self) {
        for handle in self.handles {
            if handle.join().is_err() {
                tracing::error!("a queue thread panicked");
            }
        }
    }

    /// Waits until every thread has ended, at most for `limit`; gives the threads back if some have not.
    pub(super) fn join_within(self, limit: Duration) -> Result<(), Self> {
        match self.ended.recv_timeout(limit) {
            Err(sync_mpsc::RecvTimeoutError::Timeout) => Err(self),
            Ok(_) | Err(sync_mpsc::RecvTimeoutError::Disconnected) => {
                self.join();
                Ok(())
            }
        }
    }

    /// Ends every thread without waiting for the driver.
    pub(super) fn quit(self, queues: &[Arc<QueueShared>]) {
        for queue in queues {
            queue.mailbox.send(Command::Quit);
        }
        self.join();
    }

    /// Whether a thread has ended although its device has not been stopped.
    pub(super) fn any_failed(&self) -> bool {
        self.handles.iter().any(JoinHandle::is_finished)
    }
}

/// What a queue is opened with.
enum Opens {
    Ublk(Box<QueueConfig>),
    Nbd(nbd::QueueConfig),
}

/// What a queue thread starts from.
struct Start {
    opens: Opens,
    depth: u16,
    target: crate::target::Target,
    integrity: Option<crate::integrity::Integrity>,
    watch: Option<crate::watch::Watch>,
    _source: super::plan::Source,
    device: Arc<DeviceShared>,
    shared: Arc<QueueShared>,
    cpus: Vec<usize>,
    failures: mpsc::UnboundedSender<Failure>,
    siblings: Vec<Arc<QueueShared>>,
    _alive: sync_mpsc::Sender<Infallible>,
}

impl Start {
    /// The thread.
    fn run(self, ready: sync_mpsc::Sender<Result<(), DeviceError>>) {
        control::block_signals();
        if !self.cpus.is_empty() {
            pin_to(&self.cpus);
        }
        // Memory reclaim must not wait for the device that this thread serves (prctl(2)). It needs
        // CAP_SYS_RESOURCE; without it only swap on our own device is at risk.
        let _ = ublk::set_io_flusher();
        // Fewer wake-ups and larger batches; where it is refused requests only cost more
        // (docs/benchmarks.md).
        let _ = ublk::set_batch_scheduling();
        let queue = match open(self.opens) {
            Ok(queue) => queue,
            Err(error) => {
                self.shared.mailbox.close();
                let _ = ready.send(Err(error));
                return;
            }
        };
        let _ = ready.send(Ok(()));
        // Closed, so that whoever waits for all queues sees the end.
        drop(ready);
        let mut ending = Ending {
            device: self.device.id,
            queue: self.shared.queue,
            events: Arc::clone(&self.device.events),
            failures: self.failures,
            siblings: self.siblings,
            // What it is if the thread does not come back from the loop.
            error: Some(QueueError::Panicked {
                queue: self.shared.queue,
            }),
        };
        ending.error = QueueLoop::new(queue, self.target, self.depth, self.device, self.shared)
            .with_integrity(self.integrity)
            .with_watch(self.watch)
            .run()
            .err();
    }
}

/// What must happen when a queue ends before its device, by an error or a panic: it is told, the other
/// queues end too, and the device is removed. Only closing the character device, which all queues
/// share, makes the driver fail what was under way.
struct Ending {
    device: u32,
    queue: u16,
    events: Arc<EventLog>,
    failures: mpsc::UnboundedSender<Failure>,
    siblings: Vec<Arc<QueueShared>>,
    error: Option<QueueError>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some(error) = self.error.take() else {
            return;
        };
        let (device, queue) = (self.device, self.queue);
        tracing::error!(device, queue, %error, "a queue ended before its device");
        self.events.push(Event {
            device: Some(device),
            queue: Some(queue),
            ..Event::of(EventKind::QueueFailed)
        });
        for queue in &self.siblings {
            queue.mailbox.send(Command::Quit);
        }
        // The service has gone only at the end of the process.
        let _ = self.failures.send(Failure { device, error });
    }
}

fn spawn(
    name: String,
    start: Start,
    ready: sync_mpsc::Sender<Result<(), DeviceError>>,
) -> Result<JoinHandle<()>, DeviceError> {
    let spawned = thread::Builder::new()
        .name(name)
        .spawn(move || start.run(ready));
    spawned.map_err(|source| DeviceError::System {
        what: "start a queue thread",
        source,
    })
}

fn open(opens: Opens) -> Result<Front, DeviceError> {
    match opens {
        Opens::Ublk(config) => {
            let mut queue = Queue::open(*config)?;
            queue.start()?;
            Ok(Front::Ublk(Box::new(queue)))
        }
        Opens::Nbd(config) => match nbd::Queue::open(config) {
            Ok(queue) => Ok(Front::Nbd(Box::new(queue))),
            Err(source) => Err(DeviceError::System {
                what: "make the memory of a queue",
                source,
            }),
        },
    }
}

/// Runs the thread on the CPUs whose requests come to its queue. A hint: where it is refused (a cpuset
/// of the daemon's own) the thread runs anywhere.
fn pin_to(cpus: &[usize]) {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if set.set(cpu).is_err() {
            return;
        }
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The way of a panic through a queue's thread.
    #[test]
    fn a_queue_that_panics_is_told_and_takes_its_siblings_along() {
        let queues = shared_queues(2).unwrap();
        let events = Arc::new(EventLog::new());
        let (failures, mut failed) = mpsc::unbounded_channel();
        let ending = Ending {
            device: 7,
            queue: 1,
            events: Arc::clone(&events),
            failures,
            siblings: queues.clone(),
            error: Some(QueueError::Panicked { queue: 1 }),
        };
        let thread = thread::spawn(move || {
            let _ending = ending;
            panic!("planted");
        });
        assert!(thread.join().is_err());
        let told = events.after(0, 10);
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].kind, told[0].queue),
            (EventKind::QueueFailed, Some(1))
        );
        let failure = failed.try_recv().unwrap();
        assert_eq!(failure.device, 7);
        assert_eq!(
            failure.error.to_string(),
            "serve queue 1: its thread panicked"
        );
        for queue in queues {
            assert!(matches!(queue.mailbox.take()[..], [Command::Quit]));
        }
    }
}
