//! The loop that serves one queue, on one thread: it waits in one place, decides in one place and
//! commits in one place. Start reading here.

mod error;
mod mail;
mod protected;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use fault::{Terminal, Then};
use ublk::{Answer, Completion, Request, Submitted};

use crate::clock::now_ns;
use crate::integrity::Integrity;
use crate::mailbox::Which;
use crate::parked::{Next, Parked, Wait};
use crate::shared::{DeviceShared, Mark, Published, QueueShared};
use crate::target::{Progress, Step, Target};

pub use error::QueueError;

type RuleCache = Cache<Arc<ArcSwap<Published>>, Arc<Published>>;

/// The loop of one queue.
#[derive(Debug)]
pub struct QueueLoop {
    queue: ublk::Queue,
    target: Target,
    slots: Vec<Slot>,
    parked: Parked,
    rules: RuleCache,
    device: Arc<DeviceShared>,
    shared: Arc<QueueShared>,
    integrity: Option<Integrity>,
    /// Set to end at once, without waiting for the driver.
    quit: bool,
    /// Whether rules are left out: the device is about to stop or to be quiesced.
    passing: bool,
    /// Whether the queue ends as soon as no request is under way.
    leaving: bool,
}

/// What is under way for one tag.
#[derive(Debug, Default)]
struct Slot {
    request: Option<Request>,
    progress: Progress,
    /// Set if a rule fired on the request, so that its end is reported too.
    mark: Option<Mark>,
}

impl QueueLoop {
    /// A loop over an open queue of `depth` tags.
    #[must_use]
    pub fn new(
        queue: ublk::Queue,
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
            quit: false,
            passing: false,
            leaving: false,
        }
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
            while let Some(completion) = self.queue.next_completion() {
                match completion {
                    Completion::Arrived(request) => self.admit(request)?,
                    Completion::Backing { tag, result } => self.advance(tag, result)?,
                    Completion::Woken => self.read_mail()?,
                    Completion::Refused { tag, result } => return Err(self.refused(tag, result)),
                }
            }
            self.wake_due()?;
            // What the driver dispatched before it was told to send no more has come by now.
            if last_look && self.is_idle() && self.queue.is_settled() {
                break;
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.parked.is_empty() && self.slots.iter().all(|slot| slot.request.is_none())
    }

    /// Decides what becomes of a request that has arrived.
    #[inline]
    fn admit(&mut self, request: Request) -> Result<(), QueueError> {
        self.shared.stats.arrived.add(1);
        self.target.arrived(&request);
        let published = self.rules.load();
        if published.set.is_empty() || self.passing {
            return self.begin(request);
        }
        let published = Arc::clone(published);
        self.decide(request, &published)
    }

    fn decide(&mut self, request: Request, published: &Published) -> Result<(), QueueError> {
        let rules = &published.set;
        self.shared.stats.generation.set(rules.generation());
        let Some(subject) = self.shared.subject(&request) else {
            return self.begin(request);
        };
        let now_ns = if rules.needs_clock() { now_ns() } else { 0 };
        let verdict = rules.decide(&subject, now_ns);
        let Some(mark) = verdict.rule.and_then(|index| published.mark(index)) else {
            return self.begin(request);
        };
        let tag = usize::from(request.tag());
        self.slots[tag].mark = Some(mark.clone());
        self.shared.stats.faulted.add(1);
        self.device
            .report_decision(&self.shared, &request, &mark, &verdict);
        let next = match verdict.terminal {
            Terminal::Fail { status, .. } => Next::Fail(status),
            Terminal::Hold { max_ns, then } => Next::Hold { max_ns, then },
            // Rules with other actions are refused, see `device/facts.rs`.
            _ => Next::Serve,
        };
        if verdict.submit_delay_ns == 0 {
            return self.follow(request, next, &mark);
        }
        self.shared.stats.delayed.add(1);
        self.parked.park(Wait {
            request,
            due_ns: verdict.due_ns,
            next,
            hold_id: None,
            rule: mark.rule,
            generation: mark.generation,
        });
        Ok(())
    }

    /// Does what a verdict says, now.
    fn follow(&mut self, request: Request, next: Next, mark: &Mark) -> Result<(), QueueError> {
        match next {
            Next::Serve => self.begin(request),
            Next::Fail(status) => self.commit(request, Answer::failed(status.errno())),
            Next::Hold { max_ns, then } => {
                self.hold(request, max_ns, then, mark);
                Ok(())
            }
        }
    }

    fn hold(&mut self, request: Request, max_ns: u64, then: Then, mark: &Mark) {
        let since_ns = now_ns();
        let hold_id = self
            .device
            .holds
            .enter(&self.shared, &request, mark, since_ns, max_ns);
        self.shared.stats.held.add(1);
        self.parked.park(Wait {
            request,
            due_ns: since_ns.saturating_add(max_ns),
            next: match then {
                Then::Release => Next::Serve,
                Then::Fail(status) => Next::Fail(status),
            },
            hold_id: Some(hold_id),
            rule: Arc::clone(&mark.rule),
            generation: mark.generation,
        });
    }

    /// Hands a request to the target.
    #[inline]
    fn begin(&mut self, request: Request) -> Result<(), QueueError> {
        if let Err(failed) = self.gather(&request) {
            return self.commit(request, failed);
        }
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

    /// Brings a finished request's payload to its pages, and commits.
    #[inline]
    fn finish(&mut self, request: Request, answer: Answer) -> Result<(), QueueError> {
        let answer = self.settle(&request, answer);
        let scattered = match u32::try_from(answer.result(&request)) {
            Ok(bytes @ 1..) => self.queue.scatter(&request, bytes),
            _ => Ok(()),
        };
        let answer = scattered.map_or_else(|error| Answer::from(&error), |()| answer);
        self.commit(request, answer)
    }

    /// The one place where requests are answered.
    #[inline]
    fn commit(&mut self, request: Request, answer: Answer) -> Result<(), QueueError> {
        let result = answer.result(&request);
        self.shared
            .stats
            .count_commit(request.op(), request.len_bytes(), result);
        let slot = &mut self.slots[usize::from(request.tag())];
        if let Some(mark) = slot.mark.take() {
            self.device
                .report_end(&self.shared, &request, &mark, result);
        }
        self.io(|queue| queue.commit(request, answer))
    }

    fn wake_due(&mut self) -> Result<(), QueueError> {
        if self.parked.is_empty() {
            return Ok(());
        }
        let now = now_ns();
        while let Some(wait) = self.parked.take_due(now) {
            let next = wait.next;
            self.unpark(wait, next)?;
        }
        Ok(())
    }

    /// A parked request goes on.
    fn unpark(&mut self, wait: Wait, next: Next) -> Result<(), QueueError> {
        let stats = &self.shared.stats;
        let mark = Mark {
            rule: wait.rule,
            generation: wait.generation,
        };
        match wait.hold_id {
            Some(hold_id) => {
                stats.held.sub(1);
                self.device.holds.leave(hold_id);
            }
            None => stats.delayed.sub(1),
        }
        self.device
            .report_release(&self.shared, &wait.request, &mark, next.decision());
        self.follow(wait.request, next, &mark)
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
    }

    #[inline]
    fn io<T>(
        &mut self,
        work: impl FnOnce(&mut ublk::Queue) -> std::io::Result<T>,
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
