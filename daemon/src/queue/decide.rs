//! What the rules say about a request, and what follows from it.

use std::sync::Arc;

use fault::{Sector, Terminal, Then, Verdict};
use ublk::{Answer, Request, Short};

use super::special::Special;
use super::{Faulted, QueueError, QueueLoop};
use crate::clock::now_ns;
use crate::parked::{Next, Order, Wait};
use crate::shared::{Mark, Published, Wish, fault_op};

impl QueueLoop {
    /// Lets the rules in force decide. What none of them is about is counted and goes on, so that rules for a
    /// few sectors cost the others nothing but the search (docs/benchmarks.md).
    #[inline]
    pub(super) fn decide(&mut self, request: Request) -> Result<(), QueueError> {
        let published = self.rules.load();
        let rules = &published.set;
        if rules.is_empty() {
            return self.begin(request);
        }
        self.shared.stats.generation.set(rules.generation());
        if let Some(op) = fault_op(request.op())
            && !rules.may_select(op, Sector(request.sector()), request.sectors())
        {
            self.device.history.next_ordinal();
            return self.begin(request);
        }
        let published = Arc::clone(published);
        self.decide_by(request, &published)
    }

    fn decide_by(
        &mut self,
        mut request: Request,
        published: &Arc<Published>,
    ) -> Result<(), QueueError> {
        let rules = &published.set;
        let Some(subject) = self.device.subject(&self.shared, &request) else {
            return self.begin(request);
        };
        let now_ns = if rules.needs_clock() { now_ns() } else { 0 };
        let verdict = match rules.wants_payload(&subject) {
            false => rules.decide(&subject, now_ns),
            true => match self.decide_by_data(published, &request, &subject, now_ns) {
                Ok(verdict) => verdict,
                Err(error) => return self.commit(request, Answer::from(&error)),
            },
        };
        let Some(mark) = verdict.rule.and_then(|index| published.mark(index)) else {
            return self.begin(request);
        };
        self.slots[usize::from(request.tag())].mark = Some(mark.clone());
        self.shared.stats.faulted.add(1);
        let hold = match verdict.terminal {
            Terminal::Hold { max_ns, then } if verdict.submit_delay_ns == 0 => Some((max_ns, then)),
            _ => None,
        };
        if hold.is_none() {
            self.device
                .report_decision(&self.shared, &request, published, &verdict, None);
        }
        if !verdict.signals.is_empty() {
            self.signal(published, &verdict);
        }
        if verdict.ignore_fua {
            request.forget_fua();
        }
        self.slots[usize::from(request.tag())].faulted =
            Faulted::of(&verdict, &request, subject, published);
        if let Some((max_ns, then)) = hold {
            let wait = self.hold(request, max_ns, then, &mark);
            // Told when it is listed: who reacts to the event must find the hold.
            self.device.report_decision(
                &self.shared,
                &wait.request,
                published,
                &verdict,
                wait.hold_id,
            );
            self.parked.park(wait);
            return Ok(());
        }
        let next = self.next_of(&verdict)?;
        if verdict.submit_delay_ns == 0 {
            return self.follow(request, next, &mark);
        }
        self.shared.stats.delayed.add(1);
        self.parked
            .park(Wait::of(request, verdict.due_ns, next, &mark));
        Ok(())
    }

    /// The same where a rule looks at the data of the request, which is fetched for it.
    #[cold]
    fn decide_by_data(
        &mut self,
        published: &Published,
        request: &Request,
        subject: &fault::Request,
        now_ns: u64,
    ) -> std::io::Result<Verdict> {
        let Some(pages) = request.source() else {
            return Ok(published.set.decide(subject, now_ns));
        };
        let stage = self.queue.stage()?;
        let len = u32::try_from(request.len_bytes()).unwrap_or(0);
        let gathered = self.queue.gather_into(pages, &stage);
        let verdict = gathered.map(|()| {
            let bytes = self.queue.stage_bytes(&stage, len);
            published.set.decide_with(subject, now_ns, Some(bytes))
        });
        self.queue.unstage(stage);
        verdict
    }

    /// What follows from a verdict once its first delay is over. The request may be on a course of its own
    /// beside that.
    fn next_of(&mut self, verdict: &Verdict) -> Result<Next, QueueError> {
        Ok(match verdict.terminal {
            Terminal::Fail { status, effect } => {
                match effect.is_none() && verdict.complete_delay_ns == 0 {
                    true => Next::Fail(status),
                    false => Next::Serve,
                }
            }
            Terminal::Hold { max_ns, then } => Next::Hold { max_ns, then },
            Terminal::Hang => Next::Hang,
            Terminal::Reorder {
                window,
                hold_ns,
                draw,
            } => Next::Order {
                order: Order { window, draw },
                hold_ns,
            },
            Terminal::Remove {
                surprise,
                return_after_ns,
            } => {
                self.device.wish(Wish::Remove {
                    surprise,
                    return_after_ns,
                });
                if !surprise {
                    return Ok(Next::Serve);
                }
                self.go()?;
                Next::Fail(fault::Status::Offline)
            }
            Terminal::Pass
            | Terminal::Short { .. }
            | Terminal::Drop
            | Terminal::Torn { .. }
            | Terminal::Misdirect { .. }
            | Terminal::IgnoreFlush
            | Terminal::Crash { .. } => Next::Serve,
        })
    }

    /// Passes on what rules want of the device.
    #[cold]
    fn signal(&mut self, published: &Published, verdict: &Verdict) {
        for index in verdict.signals.iter() {
            match published.set.rule(index).map(|rule| &rule.action) {
                Some(fault::Action::Resize { size }) => {
                    let size_bytes = size.0.saturating_mul(512);
                    self.device.wish(Wish::Resize { size_bytes });
                }
                Some(fault::Action::Readonly { on }) => {
                    // Here at once; the other queues hear of it.
                    self.special.set(Special::READ_ONLY, *on);
                    self.device.wish(Wish::ReadOnly { on: *on });
                }
                // A removal is a terminal action; a state and a mark are set already; the rest is told.
                _ => {}
            }
        }
    }

    /// Does what is next for a request, now.
    pub(super) fn follow(
        &mut self,
        request: Request,
        next: Next,
        mark: &Mark,
    ) -> Result<(), QueueError> {
        match next {
            Next::Serve => self.go_on(request),
            Next::Fail(status) => self.commit(request, Answer::failed(status.errno())),
            Next::AsIs => self.commit(request, Answer::Done),
            Next::Short {
                sectors,
                as_is: false,
            } => self.serve_part(request, sectors),
            Next::Short {
                sectors,
                as_is: true,
            } => {
                let short = Short::fault(&request, sectors);
                self.commit(request, short.map_or(Answer::Done, Answer::Short))
            }
            Next::Hold { max_ns, then } => {
                let wait = self.hold(request, max_ns, then, mark);
                self.parked.park(wait);
                Ok(())
            }
            Next::Hang => {
                self.shared.stats.delayed.add(1);
                self.parked
                    .park(Wait::of(request, u64::MAX, Next::Hang, mark));
                Ok(())
            }
            Next::Order { order, hold_ns } => {
                self.wait_for_others(request, order, hold_ns, mark);
                Ok(())
            }
        }
    }

    /// Lists a request as held; it is to be parked.
    fn hold(&mut self, request: Request, max_ns: u64, then: Then, mark: &Mark) -> Wait {
        let since_ns = now_ns();
        let hold_id = self
            .device
            .holds
            .enter(&self.shared, &request, mark, since_ns, max_ns);
        self.shared.stats.held.add(1);
        let next = match then {
            Then::Release => Next::Serve,
            Then::Fail(status) => Next::Fail(status),
        };
        Wait {
            hold_id: Some(hold_id),
            ..Wait::of(request, since_ns.saturating_add(max_ns), next, mark)
        }
    }

    /// Parks a request with the others of its rule; the last one that is waited for lets all of them go.
    fn wait_for_others(&mut self, request: Request, order: Order, hold_ns: u64, mark: &Mark) {
        let due_ns = now_ns().saturating_add(hold_ns);
        self.shared.stats.delayed.add(1);
        self.parked.park(Wait {
            order: Some(order),
            ..Wait::of(request, due_ns, Next::Serve, mark)
        });
        if self.parked.group_len(mark) >= usize::from(order.window) {
            let group = self.parked.take_group(mark);
            self.let_group_go(group);
        }
    }

    pub(super) fn wake_due(&mut self) -> Result<(), QueueError> {
        if self.parked.is_empty() {
            return Ok(());
        }
        let now = now_ns();
        while let Some(wait) = self.parked.take_due(now) {
            if wait.order.is_some() {
                // The time of the first one is that of all.
                let mark = wait.mark();
                self.parked.park(wait);
                let group = self.parked.take_group(&mark);
                self.let_group_go(group);
                continue;
            }
            let next = wait.expired();
            self.unpark(wait, next)?;
        }
        Ok(())
    }

    /// A parked request goes on.
    pub(super) fn unpark(&mut self, wait: Wait, next: Next) -> Result<(), QueueError> {
        let stats = &self.shared.stats;
        let mark = wait.mark();
        match wait.hold_id {
            Some(hold_id) => {
                stats.held.sub(1);
                self.device.holds.leave(hold_id);
            }
            None => stats.delayed.sub(1),
        }
        if let Next::Hold { max_ns, then } = next {
            // Listed before it is told, as in `decide`.
            let held = self.hold(wait.request, max_ns, then, &mark);
            self.device.report_release(
                &self.shared,
                &held.request,
                &mark,
                next.decision(),
                held.hold_id,
            );
            self.parked.park(held);
            return Ok(());
        }
        self.device.report_release(
            &self.shared,
            &wait.request,
            &mark,
            next.decision(),
            wait.hold_id,
        );
        self.follow(wait.request, next, &mark)
    }

    /// Lets requests that are under way, and bear such a mark of a rule, wait for nothing any more.
    pub(super) fn hurry(&mut self, meant: impl Fn(&Mark) -> bool) {
        for slot in &mut self.slots {
            if let (Some(faulted), Some(mark)) = (&mut slot.faulted, &slot.mark)
                && meant(mark)
            {
                faulted.hurry();
            }
        }
    }

    /// A request on which a rule had fired is about to be answered.
    #[cold]
    pub(super) fn fault_ended(&mut self, request: &Request, mark: &Mark, result: i32) {
        let slot = &mut self.slots[usize::from(request.tag())];
        if let Some(mut faulted) = slot.faulted.take() {
            self.give_stages_back(&mut faulted);
        }
        self.line.answered(request.tag());
        self.device.report_end(&self.shared, request, mark, result);
        self.tell_drained();
    }
}
