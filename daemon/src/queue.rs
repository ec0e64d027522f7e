//! The loop that serves one queue, on one thread: it waits in one place, decides in one place and
//! commits in one place. Start reading here.

mod decide;
mod drain;
mod error;
mod faulted;
mod hold_data;
mod line;
mod mail;
mod protected;
mod special;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use tokio::sync::oneshot;
use ublk::{Answer, Completion, Op, Request, Submitted};

use crate::clock::now_ns;
use crate::fault_steps::Came;
use crate::front::Front;
use crate::integrity::Integrity;
use crate::mailbox::Which;
use crate::parked::Parked;
use crate::shared::{DeviceShared, Mark, Published, QueueShared};
use crate::target::{Progress, Step, Target};
use crate::watch::Watch;

pub use error::QueueError;
use faulted::Faulted;
use line::Line;
use special::Special;

/// Whether the fault engine is in the path of a request. It is, but for a build that others are counted
/// against (`cargo xtask cost --faults`).
pub(crate) const HAS_FAULTS: bool = !cfg!(feature = "without-faults");

type RuleCache = Cache<Arc<ArcSwap<Published>>, Arc<Published>>;

/// The loop of one queue.
#[derive(Debug)]
pub struct QueueLoop {
    queue: Front,
    target: Target,
    slots: Vec<Slot>,
    parked: Parked,
    rules: RuleCache,
    device: Arc<DeviceShared>,
    shared: Arc<QueueShared>,
    integrity: Option<Integrity>,
    /// Requests that a rule lets go one after the other.
    line: Line,
    /// Who waits until nothing is under way that a rule of the past has marked.
    drains: Vec<oneshot::Sender<()>>,
    /// Looks whether clients change what they write meanwhile.
    watch: Option<Watch>,
    /// Set to end at once, without waiting for the driver.
    quit: bool,
    /// What is special about the device for now; mostly nothing.
    special: Special,
    /// Whether the queue ends as soon as no request is under way.
    leaving: bool,
    /// When the queue last woke up.
    woken_ns: u64,
}

/// What is under way for one tag.
#[derive(Debug, Default)]
struct Slot {
    request: Option<Request>,
    /// When it arrived.
    arrived_ns: u64,
    progress: Progress,
    /// Set if a rule fired on the request, so that its end is reported too.
    mark: Option<Mark>,
    /// Set if a rule changes the way of the request.
    faulted: Option<Box<Faulted>>,
}

impl QueueLoop {
    /// A loop over an open queue of `depth` tags.
    #[must_use]
    pub fn new(
        queue: Front,
        target: Target,
        depth: u16,
        device: Arc<DeviceShared>,
        shared: Arc<QueueShared>,
    ) -> Self {
        Self {
            queue,
            target,
            slots: (0..depth).map(|_| Slot::default()).collect(),
            parked: Parked::new(depth),
            rules: Cache::new(Arc::clone(&device.rules)),
            device,
            shared,
            integrity: None,
            line: Line::default(),
            drains: Vec::new(),
            watch: None,
            quit: false,
            special: Special::empty(),
            leaving: false,
            woken_ns: 0,
        }
    }

    /// The same loop with a watch over clients' memory, if there is one.
    #[must_use]
    pub fn with_watch(mut self, watch: Option<Watch>) -> Self {
        self.watch = watch;
        self
    }

    /// Serves until the device stops.
    ///
    /// # Errors
    /// [`QueueError`]; the requests that were under way are abandoned, and the driver fails them when
    /// the ring closes.
    pub fn run(mut self) -> Result<(), QueueError> {
        self.serve()
    }

    fn serve(&mut self) -> Result<(), QueueError> {
        while self.queue.is_open() && !self.quit {
            let last_look = self.leaving && self.is_idle();
            let timeout = match last_look {
                true => Some(Duration::ZERO),
                false => self.parked.next_due_ns().map(time_until),
            };
            self.io(|queue| queue.wait(timeout))?;
            // Once for all that came, so that the clock costs a busy queue little.
            self.woken_ns = now_ns();
            while let Some(completion) = self.queue.next_completion() {
                match completion {
                    Completion::Arrived(request) => self.admit(request)?,
                    Completion::Backing { tag, result } => self.advance(tag, result)?,
                    Completion::Woken => self.read_mail()?,
                    Completion::Refused { tag, result } => return Err(self.refused(tag, result)),
                }
            }
            if HAS_FAULTS {
                self.wake_due()?;
                self.next_in_line()?;
            }
            // What the driver dispatched before it was told to send no more has come by now.
            if last_look && self.is_idle() && self.queue.is_settled() {
                break;
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.parked.is_empty()
            && self.line.is_empty()
            && self.slots.iter().all(|slot| slot.request.is_none())
    }

    /// Decides what becomes of a request that has arrived.
    #[inline]
    fn admit(&mut self, request: Request) -> Result<(), QueueError> {
        self.shared.stats.arrived.add(1);
        self.slots[usize::from(request.tag())].arrived_ns = self.woken_ns;
        self.target.arrived(&request);
        if let Some(watch) = &mut self.watch {
            watch.arrived(&self.queue, &request);
        }
        if !HAS_FAULTS {
            return self.begin(request);
        }
        if !self.special.is_empty() {
            return self.admit_specially(request);
        }
        self.decide(request)
    }

    /// Hands a request to the target.
    #[inline]
    fn begin(&mut self, request: Request) -> Result<(), QueueError> {
        match self.gather(&request) {
            Ok(()) => self.hand_over(request),
            Err(failed) => self.commit(request, failed),
        }
    }

    /// The target's first step for a request whose payload is where it must be.
    #[inline]
    fn hand_over(&mut self, request: Request) -> Result<(), QueueError> {
        let payload = self.queue.payload(&request);
        let step = self.target.start(&request, payload);
        let slot = &mut self.slots[usize::from(request.tag())];
        slot.progress = Progress::default();
        self.take_steps(request, step, false)
    }

    /// Takes a request further, after an operation on the backing has ended.
    #[inline]
    fn advance(&mut self, tag: u16, result: i32) -> Result<(), QueueError> {
        let slot = &mut self.slots[usize::from(tag)];
        let Some(request) = slot.request.take() else {
            return Ok(());
        };
        if HAS_FAULTS
            && slot
                .faulted
                .as_ref()
                .is_some_and(|faulted| !faulted.is_serving())
        {
            return self.carry_on(request, Came::Moved(result));
        }
        let step = self.target.advance(&request, &mut slot.progress, result);
        self.take_steps(request, step, true)
    }

    /// Takes steps until one must be waited for, or the request is finished. `asked`: whether the backing
    /// has been asked already, so that a failure is its.
    #[inline]
    fn take_steps(
        &mut self,
        request: Request,
        mut step: Step,
        mut asked: bool,
    ) -> Result<(), QueueError> {
        let tag = request.tag();
        loop {
            let op = match step {
                Step::Submit(op) => op,
                Step::Done(answer) => {
                    if let (true, Answer::Failed(errno)) = (asked, answer) {
                        self.device
                            .report_backing_error(&self.shared, &request, errno.get());
                    }
                    return self.finish(request, answer);
                }
            };
            asked = true;
            let submitted = self.io(|queue| queue.submit(tag, op));
            let slot = &mut self.slots[usize::from(tag)];
            match submitted {
                Ok(Submitted::Ended(result)) => {
                    step = self.target.advance(&request, &mut slot.progress, result);
                }
                Ok(Submitted::UnderWay) => {
                    slot.request = Some(request);
                    return Ok(());
                }
                Err(error) => {
                    request.abandon();
                    return Err(error);
                }
            }
        }
    }

    /// The target has finished a request.
    #[inline]
    fn finish(&mut self, request: Request, answer: Answer) -> Result<(), QueueError> {
        if HAS_FAULTS && self.slots[usize::from(request.tag())].faulted.is_some() {
            return self.served(request, answer);
        }
        if HAS_FAULTS && !self.special.is_empty() {
            return self.complete_specially(request, answer);
        }
        self.complete(request, answer)
    }

    /// Brings a finished request's payload to its pages, and commits.
    #[inline]
    fn complete(&mut self, request: Request, answer: Answer) -> Result<(), QueueError> {
        let answer = self.settle(&request, answer);
        let answer = self.deliver(&request, answer);
        self.commit(request, answer)
    }

    /// Brings a finished request's payload to its pages.
    #[inline]
    fn deliver(&mut self, request: &Request, answer: Answer) -> Answer {
        let scattered = match u32::try_from(answer.result(request)) {
            Ok(bytes @ 1..) => self.queue.scatter(request, bytes),
            _ => Ok(()),
        };
        scattered.map_or_else(|error| Answer::from(&error), |()| answer)
    }

    /// The one place where requests are answered.
    #[inline]
    fn commit(&mut self, request: Request, answer: Answer) -> Result<(), QueueError> {
        let result = answer.result(&request);
        if let Some(watch) = &mut self.watch
            && let Some(changed) = watch.changes(&self.queue, &request)
        {
            self.device
                .report_source_changed(&self.shared, &request, &changed);
        }
        let arrived_ns = self.slots[usize::from(request.tag())].arrived_ns;
        let took_ns = now_ns().saturating_sub(arrived_ns);
        let (op, len_bytes) = (request.op(), request.len_bytes());
        self.shared
            .stats
            .count_commit(op, len_bytes, result, took_ns);
        if request.op() == Op::Flush && result >= 0 {
            self.device.history.flush_completed();
        }
        if HAS_FAULTS && let Some(mark) = self.slots[usize::from(request.tag())].mark.take() {
            self.fault_ended(&request, &mark, result);
        }
        self.io(|queue| queue.commit(request, answer))
    }

    fn refused(&self, tag: Option<u16>, result: i32) -> QueueError {
        QueueError::Refused {
            queue: self.shared.queue,
            tag,
            source: std::io::Error::from_raw_os_error(-result),
        }
    }

    fn abandon(&mut self) {
        for slot in &mut self.slots {
            if let Some(request) = slot.request.take() {
                request.abandon();
            }
        }
        while let Some(wait) = self.parked.take_which(&Which::Everything) {
            if let Some(hold_id) = wait.hold_id {
                self.device.holds.leave(hold_id);
            }
            wait.request.abandon();
        }
        while let Some(wait) = self.line.leave() {
            wait.request.abandon();
        }
    }

    #[inline]
    fn io<T>(
        &mut self,
        work: impl FnOnce(&mut Front) -> std::io::Result<T>,
    ) -> Result<T, QueueError> {
        let queue = self.shared.queue;
        work(&mut self.queue).map_err(|source| QueueError::Ring { queue, source })
    }
}

impl Drop for QueueLoop {
    /// Also when the thread panics: whoever waits for an answer of this queue must see that none comes.
    fn drop(&mut self) {
        self.shared.mailbox.close();
        self.abandon();
    }
}

fn time_until(due_ns: u64) -> Duration {
    Duration::from_nanos(due_ns.saturating_sub(now_ns()))
}
