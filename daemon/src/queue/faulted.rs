//! Carries out what a rule does to a request: the loop's side of [`crate::fault_steps`].

mod staging;

use std::sync::Arc;

use fault::{CrashPoint, Terminal, Touches, Verdict};
use ublk::{Answer, Op, Request, Short, Stage, Submitted};

use super::{QueueError, QueueLoop, Special};
use crate::clock::now_ns;
use crate::fault_steps::{Answered, Came, Course, Place, Steps, Todo};
use crate::front::Front;
use crate::parked::{Next, Wait};
use crate::shared::Published;

/// The guard of a tuple of T10 type 1.
const GUARD_BYTES: usize = 2;

/// A request on its course.
#[derive(Debug)]
pub(super) struct Faulted {
    steps: Steps,
    /// The rules that were in force when the request was decided about.
    published: Arc<Published>,
    subject: fault::Request,
    touches: Touches,
    payload: Option<Stage>,
    before: Option<Stage>,
    home: Place,
    /// Whether the target has it now.
    serving: bool,
    /// Whether it waits for nothing any more, since it was let go.
    hurry: bool,
    /// Whether a destination request has its protection information.
    has_tags: bool,
}

impl Faulted {
    /// The request's course, if it is not that of every request.
    pub(super) fn of(
        verdict: &Verdict,
        request: &Request,
        subject: fault::Request,
        published: &Arc<Published>,
    ) -> Option<Box<Self>> {
        let course = Course::of(verdict, request)?;
        Some(Box::new(Self {
            steps: Steps::new(course),
            published: Arc::clone(published),
            subject,
            touches: verdict.corrupt,
            payload: None,
            before: None,
            home: Place {
                sector: request.sector(),
                sectors: request.sectors(),
            },
            serving: false,
            hurry: false,
            has_tags: false,
        }))
    }

    /// Whether the target has it now.
    pub(super) fn is_serving(&self) -> bool {
        self.serving
    }

    /// Its course.
    pub(super) fn course(&self) -> &Course {
        self.steps.course()
    }

    /// Where the tags that a destination request gets belong, and what they are about, the first time that it
    /// is asked.
    pub(super) fn wants_tags(&mut self, request: &Request) -> Option<(Place, &Stage)> {
        if self.has_tags || request.op() != Op::Read {
            return None;
        }
        self.has_tags = true;
        let place = self.steps.course().place(0).unwrap_or(self.home);
        Some((place, self.payload.as_ref()?))
    }

    /// Lets the rules damage its protection information.
    pub(super) fn damage_tags(&self, tuples: &mut [u8]) {
        for touch in self.touches.iter() {
            let rules = &self.published.set;
            rules.corrupt_tuples(touch.rule, touch.draw, &self.subject, GUARD_BYTES, tuples);
        }
    }

    /// Lets it wait for nothing from now on.
    pub(super) fn hurry(&mut self) {
        self.hurry = true;
    }
}

impl QueueLoop {
    /// A request goes on after the rules: on its course, or as every request.
    pub(super) fn go_on(&mut self, request: Request) -> Result<(), QueueError> {
        match self.slots[usize::from(request.tag())].faulted {
            Some(_) => self.carry_on(request, Came::Done),
            None => self.begin(request),
        }
    }

    /// Only the first sectors of a request are done, on the medium and in its pages. What a rule has damaged
    /// or misdirected on its way until now is forgotten: who lets it go decides.
    #[cold]
    pub(super) fn serve_part(&mut self, request: Request, sectors: u32) -> Result<(), QueueError> {
        let verdict = Verdict {
            terminal: Terminal::Short { sectors },
            ..Verdict::pass(now_ns())
        };
        let published = Arc::clone(self.rules.load());
        if let Some(subject) = self.device.subject_again(&self.shared, &request) {
            self.slots[usize::from(request.tag())].faulted =
                Faulted::of(&verdict, &request, subject, &published);
        }
        self.go_on(request)
    }

    /// The target has ended with a request that is on a course of its own.
    pub(super) fn served(
        &mut self,
        mut request: Request,
        answer: Answer,
    ) -> Result<(), QueueError> {
        let Some(faulted) = &mut self.slots[usize::from(request.tag())].faulted else {
            return self.complete(request, answer);
        };
        faulted.serving = false;
        let home = faulted.home;
        let sector = request.sector();
        // What was stored is settled where it was; what is given is settled when it is given.
        let answer = match request.op() {
            Op::Read | Op::Write => answer,
            _ => self.settle(&request, answer),
        };
        request.redirect(home.sector, home.sectors);
        let answer = match request.op() {
            Op::Write => self.settle_at(&request, answer, sector),
            _ => answer,
        };
        self.carry_on(request, came(answer))
    }

    /// Takes a request on from what came of its last step.
    pub(super) fn carry_on(
        &mut self,
        mut request: Request,
        mut came: Came,
    ) -> Result<(), QueueError> {
        let tag = usize::from(request.tag());
        // Taken out meanwhile, so that the queue can be used beside it.
        let Some(mut faulted) = self.slots[tag].faulted.take() else {
            return self.commit(request, Answer::failed(libc::EIO));
        };
        loop {
            let todo = faulted.steps.step(came);
            if let (Came::Moved(_), Todo::Answer(Answered::Errno(errno))) = (came, todo) {
                self.device
                    .report_backing_error(&self.shared, &request, errno);
            }
            came = match todo {
                Todo::Serve(place) => match self.gather(&request) {
                    Ok(()) => {
                        faulted.serving = true;
                        self.slots[tag].faulted = Some(faulted);
                        // Gathered before: protection information is about its own place.
                        request.redirect(place.sector, place.sectors);
                        return self.hand_over(request);
                    }
                    Err(answer) => self::came(answer),
                },
                Todo::Load(_) | Todo::Save { .. } => {
                    match self.transfer(&request, &mut faulted, todo) {
                        Ok(Submitted::Ended(result)) => Came::Moved(result),
                        Ok(Submitted::UnderWay) => {
                            let slot = &mut self.slots[tag];
                            (slot.faulted, slot.request) = (Some(faulted), Some(request));
                            return Ok(());
                        }
                        Err(error) => {
                            request.abandon();
                            return Err(error);
                        }
                    }
                }
                Todo::Wait { ns } if !faulted.hurry && !self.special.is_passing() => {
                    self.slots[tag].faulted = Some(faulted);
                    self.wait_before_answer(request, ns);
                    return Ok(());
                }
                Todo::Wait { .. } => Came::Done,
                Todo::Crash(_) => self.device.crash(),
                Todo::Answer(answered) => return self.end_course(request, *faulted, answered),
                now => match self.do_now(&request, &mut faulted, now) {
                    Ok(()) => Came::Done,
                    Err(errno) => Came::Failed(errno),
                },
            };
        }
    }

    fn wait_before_answer(&mut self, request: Request, ns: u64) {
        let slot = &self.slots[usize::from(request.tag())];
        // Whoever is on a course has a mark.
        let Some(mark) = slot.mark.clone() else {
            return request.abandon();
        };
        self.shared.stats.delayed.add(1);
        self.parked.park(Wait::of(
            request,
            now_ns().saturating_add(ns),
            Next::Serve,
            &mark,
        ));
    }

    /// Answers a request at the end of its course.
    fn end_course(
        &mut self,
        request: Request,
        mut faulted: Faulted,
        answered: Answered,
    ) -> Result<(), QueueError> {
        let kept = self.keep_staged_tags(&request, &faulted, answered);
        self.give_stages_back(&mut faulted);
        let answer = match (answered, kept) {
            _ if self.special.contains(Special::GONE) => Answer::failed(libc::ENODEV),
            (_, Err(failed)) => failed,
            (Answered::Done { .. }, _) => Answer::Done,
            (Answered::Short(sectors), _) => match Short::fault(&request, sectors) {
                Some(short) => Answer::Short(short),
                None => Answer::Done,
            },
            (Answered::Status(status), _) => Answer::failed(status.errno()),
            (Answered::Errno(errno), _) => Answer::failed(errno),
        };
        let crash = faulted.steps.course().crash == Some(CrashPoint::DuringFetch);
        match answered {
            Answered::Done { served: true } if request.op() == Op::Read => {
                let place = faulted.steps.course().place(0).unwrap_or(faulted.home);
                self.complete_from(request, answer, place)?;
            }
            _ => self.commit(request, answer)?,
        }
        if crash {
            // The answer and the question for the next request are one command; other tags are still to be
            // asked for.
            self.io(Front::submit_all)?;
            self.device.crash();
        }
        Ok(())
    }

    /// Completes a destination request that was filled from this place.
    fn complete_from(
        &mut self,
        mut request: Request,
        answer: Answer,
        place: Place,
    ) -> Result<(), QueueError> {
        let home = (request.sector(), request.sectors());
        request.redirect(place.sector, place.sectors);
        let answer = self.settle(&request, answer);
        request.redirect(home.0, home.1);
        let answer = self.deliver(&request, answer);
        self.commit(request, answer)
    }
}

/// The answer of the target as what came of a step.
fn came(answer: Answer) -> Came {
    match answer {
        Answer::Failed(errno) => Came::Failed(errno.get()),
        _ => Came::Done,
    }
}
