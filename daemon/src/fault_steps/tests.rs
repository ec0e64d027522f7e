use fault::{CrashPoint, Extent, Sector, Status, Terminal, Verdict};
use ublk::{Op, Request, RequestFlags};

use super::*;

const HOME: u64 = 64;

fn verdict(terminal: Terminal) -> Verdict {
    Verdict {
        terminal,
        ..Verdict::pass(0)
    }
}

fn course(op: Op, verdict: &Verdict) -> Option<Course> {
    let request = Request::new(0, op, RequestFlags::FUA, HOME, 8);
    let course = Course::of(verdict, &request);
    request.abandon();
    course
}

/// Walks a course with a backing that does all at once, and lists what was asked for.
fn walk(op: Op, verdict: &Verdict) -> Vec<Todo> {
    walk_with(op, verdict, |_, len| len)
}

fn walk_with(op: Op, verdict: &Verdict, mut backing: impl FnMut(usize, i32) -> i32) -> Vec<Todo> {
    let Some(course) = course(op, verdict) else {
        return Vec::new();
    };
    let (mut steps, mut todos, mut came) = (Steps::new(course), Vec::new(), Came::Done);
    loop {
        let todo = steps.step(came);
        todos.push(todo);
        assert!(todos.len() < 100, "it never ends: {todos:?}");
        came = match todo {
            Todo::Answer(_) => return todos,
            Todo::Load(moved) | Todo::Save { moved, .. } => {
                let len = i32::try_from(moved.len_bytes).unwrap();
                Came::Moved(backing(todos.len() - 1, len))
            }
            _ => Came::Done,
        };
    }
}

fn moved(piece: Piece, sector: u64, at_bytes: u32) -> Move {
    Move {
        piece,
        offset_bytes: sector * 512 + u64::from(at_bytes),
        at_bytes,
        len_bytes: 4096 - at_bytes,
    }
}

fn save(piece: Piece, sector: u64) -> Todo {
    Todo::Save {
        moved: moved(piece, sector, 0),
        durable: true,
    }
}

const HERE: Place = Place {
    sector: HOME,
    sectors: 8,
};
const SERVED: Todo = Todo::Answer(Answered::Done { served: true });
const DONE: Todo = Todo::Answer(Answered::Done { served: false });

fn half() -> Extent {
    Extent::prefix(2048)
}

#[test]
fn what_every_request_does_is_no_course() {
    for op in [Op::Read, Op::Write, Op::Flush, Op::Discard] {
        assert_eq!(course(op, &verdict(Terminal::Pass)), None);
        let untouched = Terminal::Fail {
            status: Status::Medium,
            effect: Extent::NONE,
        };
        assert_eq!(course(op, &verdict(untouched)), None);
        assert_eq!(course(op, &verdict(Terminal::Hang)), None);
        let fua = Verdict {
            ignore_fua: true,
            ..verdict(Terminal::Pass)
        };
        assert_eq!(course(op, &fua), None);
    }
}

#[test]
fn a_failure_that_reaches_the_medium_is_served_and_then_fails() {
    let full = verdict(Terminal::Fail {
        status: Status::Medium,
        effect: Extent::FULL,
    });
    let failed = Todo::Answer(Answered::Status(Status::Medium));
    for op in [Op::Read, Op::Write, Op::Flush] {
        let todos = walk(op, &full);
        assert_eq!(todos.len(), 2, "{todos:?}");
        assert!(matches!(todos[0], Todo::Serve(place) if place.sector == HOME));
        assert_eq!(todos[1], failed);
    }
    let part = verdict(Terminal::Fail {
        status: Status::Medium,
        effect: half(),
    });
    assert_eq!(walk(Op::Read, &part), [Todo::Serve(HERE), failed]);
    let first = Place { sectors: 4, ..HERE };
    assert_eq!(walk(Op::Discard, &part), [Todo::Serve(first), failed]);
}

#[test]
fn a_part_of_a_write_is_merged_into_what_was_there() {
    for (status, end) in [
        (None, DONE),
        (
            Some(Status::Ioerr),
            Todo::Answer(Answered::Status(Status::Ioerr)),
        ),
    ] {
        let torn = verdict(Terminal::Torn {
            keep: half(),
            status,
        });
        let todos = walk(Op::Write, &torn);
        let load = Todo::Load(moved(Piece::Before, HOME, 0));
        let expected = [
            Todo::Gather,
            load,
            Todo::Merge,
            save(Piece::Before, HOME),
            end,
        ];
        assert_eq!(todos, expected);
    }
    let nothing = verdict(Terminal::Torn {
        keep: Extent::NONE,
        status: None,
    });
    assert_eq!(walk(Op::Write, &nothing), [DONE]);
}

#[test]
fn what_is_moved_short_goes_on_where_it_ended() {
    let torn = verdict(Terminal::Torn {
        keep: half(),
        status: None,
    });
    let todos = walk_with(Op::Write, &torn, |turn, len| match turn {
        1 => 1024,
        2 => -libc::EAGAIN,
        5 => -libc::EINTR,
        _ => len,
    });
    let rest = Todo::Load(moved(Piece::Before, HOME, 1024));
    assert_eq!(
        todos[1..4],
        [Todo::Load(moved(Piece::Before, HOME, 0)), rest, rest]
    );
    let saved = save(Piece::Before, HOME);
    assert_eq!(todos[4..], [Todo::Merge, saved, saved, DONE]);
    let todos = walk_with(Op::Write, &torn, |_, _| 0);
    assert_eq!(todos[2], Todo::Answer(Answered::Errno(libc::EIO)));
    let todos = walk_with(Op::Write, &torn, |_, _| -libc::EAGAIN);
    assert_eq!(
        todos.last(),
        Some(&Todo::Answer(Answered::Errno(libc::EAGAIN)))
    );
}

#[test]
fn a_short_answer_moves_only_what_it_tells_of() {
    let short = verdict(Terminal::Short { sectors: 3 });
    let end = Todo::Answer(Answered::Short(3));
    let load = Todo::Load(moved(Piece::Payload, HOME, 0));
    let poke = Todo::Poke { len_bytes: 1536 };
    assert_eq!(walk(Op::Read, &short), [load, poke, end]);
    let todos = walk(Op::Write, &short);
    assert_eq!(
        (todos[0], todos[2], todos[4]),
        (Todo::Gather, Todo::Merge, end)
    );
}

#[test]
fn a_lost_request_is_acknowledged_and_reads_zeroes() {
    let drop = verdict(Terminal::Drop);
    let poke = Todo::Poke { len_bytes: 4096 };
    assert_eq!(walk(Op::Read, &drop), [Todo::Zero, poke, DONE]);
    for op in [Op::Write, Op::Discard, Op::Flush] {
        assert_eq!(walk(op, &drop), [DONE]);
    }
    assert_eq!(walk(Op::Flush, &verdict(Terminal::IgnoreFlush)), [DONE]);
}

#[test]
fn a_misdirected_request_is_served_elsewhere() {
    let there = Place {
        sector: 128,
        ..HERE
    };
    let misdirect = |lost| {
        verdict(Terminal::Misdirect {
            to: Sector(128),
            lost,
        })
    };
    for lost in [true, false] {
        assert_eq!(
            walk(Op::Read, &misdirect(lost)),
            [Todo::Serve(there), SERVED]
        );
    }
    assert_eq!(
        walk(Op::Write, &misdirect(true)),
        [Todo::Serve(there), SERVED]
    );
    let both = [Todo::Serve(HERE), Todo::Serve(there), SERVED];
    assert_eq!(walk(Op::Write, &misdirect(false)), both);
}

#[test]
fn the_answer_waits_after_the_medium() {
    let late = Verdict {
        complete_delay_ns: 5,
        ..verdict(Terminal::Pass)
    };
    let wait = Todo::Wait { ns: 5 };
    assert_eq!(walk(Op::Read, &late), [Todo::Serve(HERE), wait, SERVED]);
    let untouched = Terminal::Fail {
        status: Status::Medium,
        effect: Extent::NONE,
    };
    let failed = Verdict {
        terminal: untouched,
        ..late
    };
    let end = Todo::Answer(Answered::Status(Status::Medium));
    assert_eq!(walk(Op::Read, &failed), [wait, end]);
}

#[test]
fn the_server_ends_where_it_is_told() {
    for (point, place) in [
        (CrashPoint::BeforeSubmit, 0),
        (CrashPoint::AfterMedia, 1),
        (CrashPoint::BeforeComplete, 2),
    ] {
        let crash = Verdict {
            complete_delay_ns: 5,
            ..verdict(Terminal::Crash { point })
        };
        let todos = walk(Op::Write, &crash);
        let wait = todos
            .iter()
            .position(|todo| matches!(todo, Todo::Wait { .. }));
        assert_eq!(
            todos
                .iter()
                .filter(|todo| **todo == Todo::Crash(point))
                .count(),
            1
        );
        let at = todos
            .iter()
            .position(|todo| *todo == Todo::Crash(point))
            .unwrap();
        match place {
            0 => assert_eq!(at, 0),
            1 => assert!(at > 0 && Some(at) < wait),
            _ => assert!(Some(at) > wait),
        }
    }
    let during = verdict(Terminal::Crash {
        point: CrashPoint::DuringFetch,
    });
    assert_eq!(walk(Op::Write, &during), [Todo::Serve(HERE), SERVED]);
}

#[test]
fn a_failed_step_is_the_answer() {
    let torn = verdict(Terminal::Torn {
        keep: half(),
        status: None,
    });
    let mut steps = Steps::new(course(Op::Write, &torn).unwrap());
    assert_eq!(steps.step(Came::Done), Todo::Gather);
    let failed = Todo::Answer(Answered::Errno(libc::EILSEQ));
    assert_eq!(steps.step(Came::Failed(libc::EILSEQ)), failed);
}
