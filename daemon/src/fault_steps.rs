//! What is done for a request whose way a rule changes: a pure state machine. [`Course`] is what a verdict
//! means for one request; [`Steps`] walks it, one [`Todo`] at a time.
//!
//! All that concerns bytes goes through two pieces of staging memory: the *payload*, and, where only a part
//! of a write reaches the medium, what the medium held *before*. A part is brought into what was before, and
//! the whole is stored: so every transfer is the request's own length, which every backing takes.

mod course;

use fault::{CrashPoint, Status};

pub use course::{Course, End, Medium};

/// Where on the device, in sectors (512 B).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first.
    pub sector: u64,
    /// How many.
    pub sectors: u32,
}

/// Which piece of staging memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// What the request's pages supply, or will get.
    Payload,
    /// What the medium held before.
    Before,
}

/// A transfer between staging memory and the backing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Which memory.
    pub piece: Piece,
    /// Offset on the backing, in bytes.
    pub offset_bytes: u64,
    /// Offset in the memory, in bytes.
    pub at_bytes: u32,
    /// How much, in bytes.
    pub len_bytes: u32,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Bring a source request's payload into staging memory.
    Gather,
    /// Let the rules damage what is in the payload's staging memory.
    Damage,
    /// Fill staging memory from the backing.
    Load(Move),
    /// Bring the part that reaches the medium into what was there before.
    Merge,
    /// Store staging memory on the backing.
    Save {
        /// From where to where.
        moved: Move,
        /// Durable before it ends.
        durable: bool,
    },
    /// Make the payload's staging memory zero.
    Zero,
    /// Bring the first bytes of the payload's staging memory into a destination request's pages.
    Poke {
        /// How many.
        len_bytes: u32,
    },
    /// Let the target do the request, at this place.
    Serve(Place),
    /// Wait.
    Wait {
        /// So long, in nanoseconds.
        ns: u64,
    },
    /// End the server.
    Crash(CrashPoint),
    /// Answer the client.
    Answer(Answered),
}

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// All of it was done, as far as the client knows; `served` if by the target, which leaves the payload of
    /// a destination request where it always does.
    Done {
        /// Whether by the target.
        served: bool,
    },
    /// Only so many sectors.
    Short(u32),
    /// By a rule's status.
    Status(Status),
    /// By an errno of the backing or the driver, positive.
    Errno(i32),
}

/// What came of the last [`Todo`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It is done; also the first thing that is said.
    Done,
    /// The backing's answer: bytes or a negative errno.
    Moved(i32),
    /// It failed, with this positive errno.
    Failed(i32),
}

/// How far a request has come on its course.
#[derive(Debug)]
pub struct Steps {
    course: Course,
    phase: Phase,
    /// Which of the course's places or parts is next.
    turn: usize,
    moved_bytes: u32,
    retries: u8,
}

/// In their order. A phase that a course does not want is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Begin,
    Gather,
    Load,
    Damage,
    Merge,
    Save,
    Zero,
    Poke,
    Serve,
    AfterMedia,
    Wait,
    BeforeAnswer,
    Answer,
}

/// How often the backing is asked again.
const MAX_RETRIES: u8 = 16;

impl Steps {
    /// At the start of a course.
    #[must_use]
    pub fn new(course: Course) -> Self {
        Self {
            course,
            phase: Phase::Begin,
            turn: 0,
            moved_bytes: 0,
            retries: 0,
        }
    }

    /// The course.
    #[must_use]
    pub fn course(&self) -> &Course {
        &self.course
    }

    /// What is to be done next.
    pub fn step(&mut self, came: Came) -> Todo {
        match came {
            Came::Done => self.finish_phase(),
            Came::Failed(errno) => return self.fail(errno),
            Came::Moved(result) => {
                if let Some(todo) = self.moved(result) {
                    return todo;
                }
            }
        }
        loop {
            if let Some(todo) = self.todo() {
                return todo;
            }
            self.next_phase();
        }
    }

    fn fail(&mut self, errno: i32) -> Todo {
        self.phase = Phase::Answer;
        Todo::Answer(Answered::Errno(errno))
    }

    /// What was asked for in this phase has been done.
    fn finish_phase(&mut self) {
        match self.phase {
            // Its first question is still to come.
            Phase::Begin if self.turn == 0 => self.turn = 1,
            Phase::Serve => self.turn += 1,
            _ => self.next_phase(),
        }
    }

    /// A transfer has ended. Returns what follows at once: the rest of it, or a failure.
    fn moved(&mut self, result: i32) -> Option<Todo> {
        let again = result == -libc::EAGAIN || result == -libc::EINTR;
        if again && self.retries < MAX_RETRIES {
            self.retries += 1;
            return None;
        }
        // Nothing moved: the backing ends before the device does.
        let Ok(bytes @ 1..) = u32::try_from(result) else {
            let errno = if result == 0 {
                libc::EIO
            } else {
                result.saturating_neg()
            };
            return Some(self.fail(errno));
        };
        self.moved_bytes = self.moved_bytes.saturating_add(bytes);
        if self.moved_bytes < self.course.len_bytes() {
            return None;
        }
        self.moved_bytes = 0;
        match self.phase {
            Phase::Save => self.turn += 1,
            _ => self.next_phase(),
        }
        None
    }

    fn next_phase(&mut self) {
        self.turn = 0;
        self.phase = match self.phase {
            Phase::Begin => Phase::Gather,
            Phase::Gather => Phase::Load,
            Phase::Load => Phase::Damage,
            Phase::Damage => Phase::Merge,
            Phase::Merge => Phase::Save,
            Phase::Save => Phase::Zero,
            Phase::Zero => Phase::Poke,
            Phase::Poke => Phase::Serve,
            Phase::Serve => Phase::AfterMedia,
            Phase::AfterMedia => Phase::Wait,
            Phase::Wait => Phase::BeforeAnswer,
            Phase::BeforeAnswer | Phase::Answer => Phase::Answer,
        };
    }

    /// What this phase asks for; none if nothing, or nothing more.
    fn todo(&self) -> Option<Todo> {
        let course = &self.course;
        let (staged, source) = (course.medium == Medium::Staged, course.is_source());
        let crash = |point| (course.crash == Some(point)).then_some(Todo::Crash(point));
        match self.phase {
            Phase::Begin => crash(CrashPoint::BeforeSubmit),
            Phase::Gather => (staged && source).then_some(Todo::Gather),
            Phase::Load if !staged => None,
            Phase::Load if source => course.is_partial().then(|| self.load(Piece::Before)),
            Phase::Load => Some(self.load(Piece::Payload)),
            Phase::Damage => (staged && course.damage).then_some(Todo::Damage),
            Phase::Merge => (staged && source && course.is_partial()).then_some(Todo::Merge),
            Phase::Save => (staged && source).then(|| self.save()).flatten(),
            Phase::Zero => (course.medium == Medium::Zeroes).then_some(Todo::Zero),
            Phase::Poke => {
                let wanted = (staged && !source) || course.medium == Medium::Zeroes;
                wanted.then(|| Todo::Poke {
                    len_bytes: course.answered_bytes(),
                })
            }
            Phase::Serve if course.medium == Medium::Target => {
                course.place(self.turn).map(Todo::Serve)
            }
            Phase::Serve => None,
            Phase::AfterMedia => crash(CrashPoint::AfterMedia),
            Phase::Wait => (course.wait_ns > 0).then_some(Todo::Wait { ns: course.wait_ns }),
            Phase::BeforeAnswer => crash(CrashPoint::BeforeComplete),
            Phase::Answer => Some(Todo::Answer(course.answered())),
        }
    }

    fn load(&self, piece: Piece) -> Todo {
        // What is merged into is what is at the first place.
        let sector = self.course.place(0).map_or(0, |place| place.sector);
        Todo::Load(self.part(piece, sector))
    }

    fn save(&self) -> Option<Todo> {
        let place = self.course.place(self.turn)?;
        let piece = match self.course.is_partial() {
            true => Piece::Before,
            false => Piece::Payload,
        };
        Some(Todo::Save {
            moved: self.part(piece, place.sector),
            durable: self.course.durable,
        })
    }

    /// What is left of a transfer.
    fn part(&self, piece: Piece, sector: u64) -> Move {
        Move {
            piece,
            offset_bytes: (sector << 9) + u64::from(self.moved_bytes),
            at_bytes: self.moved_bytes,
            len_bytes: self.course.len_bytes() - self.moved_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
