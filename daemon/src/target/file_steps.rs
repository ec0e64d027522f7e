//! The steps of a request on something with a file descriptor: a pure function of the request, how
//! far it has come and the last result. `loop` and `ram` share it.

use ublk::{BackingOp, Op, Request, RequestFlags};

use super::{Progress, Step, payload_bytes};

/// How a backing makes a range read as zeroes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zeroing {
    /// What may deallocate: the answer to discard, and to write zeroes without NOUNMAP.
    pub unmap: Option<i32>,
    /// What must keep the blocks allocated (NOUNMAP).
    pub keep: Option<Keep>,
}

/// How a range is zeroed with its blocks kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// One operation with this fallocate mode.
    Range(i32),
    /// Punch a hole, then allocate it again: for file systems without ZERO_RANGE, such as tmpfs.
    PunchAndAllocate,
}

pub(crate) const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
pub(crate) const ZERO_RANGE: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;

/// How often one request is tried again.
const MAX_RETRIES: u8 = 16;

impl Zeroing {
    /// Not at all, as on what is only read.
    pub(crate) const NONE: Self = Self {
        unmap: None,
        keep: None,
    };

    /// Whether discard can be offered. A discarded range of ours reads as zeroes.
    #[must_use]
    pub fn can_discard(self) -> bool {
        self.unmap.is_some()
    }

    /// Whether write zeroes can be offered: both of its kinds must work.
    #[must_use]
    pub fn can_write_zeroes(self) -> bool {
        self.keep.is_some()
    }
}

/// The first step.
#[inline]
pub(crate) fn start(request: &Request, zeroing: Zeroing) -> Step {
    match request.op() {
        Op::Read | Op::Write => transfer(request, Progress::default()),
        Op::Flush => Step::Submit(BackingOp::Sync),
        Op::Discard => match zeroing.unmap {
            Some(mode) => allocate(request, mode),
            None => Step::fail(libc::EOPNOTSUPP),
        },
        Op::WriteZeroes => match zeroing_mode(request, zeroing) {
            Some(mode) => allocate(request, mode),
            None => Step::fail(libc::EOPNOTSUPP),
        },
        Op::Other(_) => Step::fail(libc::EOPNOTSUPP),
    }
}

/// The step after an operation ended with `result`.
#[inline]
pub(crate) fn advance(
    request: &Request,
    progress: &mut Progress,
    zeroing: Zeroing,
    result: i32,
) -> Step {
    // A backing may ask for a retry; the kernel would hand these to the client as an error. One that asks
    // for ever is believed in the end: the queue has other requests.
    let again = result == -libc::EAGAIN || result == -libc::EINTR;
    if again && progress.retries < MAX_RETRIES {
        progress.retries += 1;
        return retry(request, *progress, zeroing);
    }
    if let Some(mode) = other_way(request, *progress, zeroing, result) {
        progress.phase = FALL_BACK;
        return allocate(request, mode);
    }
    if result < 0 {
        return Step::fail(result.saturating_neg());
    }
    match request.op() {
        Op::Read | Op::Write => moved(request, progress, result),
        Op::WriteZeroes => after_zeroing(request, progress, zeroing),
        _ => Step::DONE,
    }
}

/// Phases of write zeroes after the first: the blocks that were punched out are allocated again; what was
/// done is made durable; a disk that cannot do the first is asked another way.
const KEEP_BLOCKS: u8 = 1;
const MAKE_DURABLE: u8 = 2;
const FALL_BACK: u8 = 3;

/// Zeroes that may be unmapped need not be, and what we discard reads as zeroes. A disk may lose the ability at run time: a loop device on a
/// file system without ZERO_RANGE, such as tmpfs, gives up write zeroes as a whole when it is first asked
/// for zeroes that stay allocated.
fn other_way(request: &Request, progress: Progress, zeroing: Zeroing, result: i32) -> Option<i32> {
    let first = matches!(request.op(), Op::WriteZeroes | Op::Discard) && progress.phase == 0;
    let may_unmap = !request.flags().contains(RequestFlags::NOUNMAP);
    match zeroing.keep {
        Some(Keep::Range(mode)) if first && may_unmap && result == -libc::EOPNOTSUPP => Some(mode),
        _ => None,
    }
}

/// The operation that was under way, once more.
fn retry(request: &Request, progress: Progress, zeroing: Zeroing) -> Step {
    match (request.op(), progress.phase) {
        (Op::Read | Op::Write, _) => transfer(request, progress),
        (Op::WriteZeroes, KEEP_BLOCKS) => allocate(request, libc::FALLOC_FL_KEEP_SIZE),
        (Op::WriteZeroes, MAKE_DURABLE) => Step::Submit(BackingOp::Sync),
        (Op::WriteZeroes | Op::Discard, FALL_BACK) => match zeroing.keep {
            Some(Keep::Range(mode)) => allocate(request, mode),
            _ => Step::fail(libc::EOPNOTSUPP),
        },
        _ => start(request, zeroing),
    }
}

/// A read or write that moved `result` bytes more.
fn moved(request: &Request, progress: &mut Progress, result: i32) -> Step {
    // Nothing moved means that the backing ends before the device does: somebody truncated it. A
    // write committed with 0 would be sent again for ever (`__ublk_complete_rq`).
    let Ok(bytes @ 1..) = u32::try_from(result) else {
        return Step::fail(libc::EIO);
    };
    progress.done_bytes = progress.done_bytes.saturating_add(bytes);
    if progress.done_bytes < payload_bytes(request) {
        return transfer(request, *progress);
    }
    Step::DONE
}

fn transfer(request: &Request, progress: Progress) -> Step {
    let at_bytes = progress.done_bytes;
    let offset_bytes = request.offset_bytes() + u64::from(at_bytes);
    let len_bytes = payload_bytes(request) - at_bytes;
    if let Some(pages) = request.destination() {
        return Step::Submit(pages.fill(offset_bytes, at_bytes, len_bytes));
    }
    match request.source() {
        Some(pages) => {
            Step::Submit(pages.store(offset_bytes, at_bytes, len_bytes, is_fua(request)))
        }
        None => Step::fail(libc::EOPNOTSUPP),
    }
}

fn zeroing_mode(request: &Request, zeroing: Zeroing) -> Option<i32> {
    match zeroing.keep? {
        Keep::Range(mode) if request.flags().contains(RequestFlags::NOUNMAP) => Some(mode),
        Keep::Range(mode) => Some(zeroing.unmap.unwrap_or(mode)),
        Keep::PunchAndAllocate => Some(PUNCH),
    }
}

fn after_zeroing(request: &Request, progress: &mut Progress, zeroing: Zeroing) -> Step {
    let keep_blocks = request.flags().contains(RequestFlags::NOUNMAP);
    if progress.phase == 0 && keep_blocks && zeroing.keep == Some(Keep::PunchAndAllocate) {
        progress.phase = KEEP_BLOCKS;
        return allocate(request, libc::FALLOC_FL_KEEP_SIZE);
    }
    if progress.phase != MAKE_DURABLE && is_fua(request) {
        progress.phase = MAKE_DURABLE;
        return Step::Submit(BackingOp::Sync);
    }
    Step::DONE
}

fn allocate(request: &Request, mode: i32) -> Step {
    Step::Submit(BackingOp::Allocate {
        mode,
        offset_bytes: request.offset_bytes(),
        len_bytes: request.len_bytes(),
    })
}

fn is_fua(request: &Request) -> bool {
    request.flags().contains(RequestFlags::FUA)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Zeroing = Zeroing {
        unmap: Some(PUNCH),
        keep: Some(Keep::Range(ZERO_RANGE)),
    };
    const TMPFS: Zeroing = Zeroing {
        unmap: Some(PUNCH),
        keep: Some(Keep::PunchAndAllocate),
    };

    /// Walks a request through results and lists its steps.
    fn walk(op: Op, flags: RequestFlags, zeroing: Zeroing, results: &[i32]) -> Vec<Step> {
        let request = Request::new(0, op, flags, 8, 8);
        let mut progress = Progress::default();
        let mut steps = vec![start(&request, zeroing)];
        for result in results {
            steps.push(advance(&request, &mut progress, zeroing, *result));
        }
        request.abandon();
        steps
    }

    fn write(at_bytes: u32, len_bytes: u32, durable: bool) -> Step {
        let offset_bytes = 4096 + u64::from(at_bytes);
        let request = Request::new(0, Op::Write, RequestFlags::empty(), 8, 8);
        let pages = request.source().unwrap();
        let step = Step::Submit(pages.store(offset_bytes, at_bytes, len_bytes, durable));
        request.abandon();
        step
    }

    fn fallocate(mode: i32) -> Step {
        Step::Submit(BackingOp::Allocate {
            mode,
            offset_bytes: 4096,
            len_bytes: 4096,
        })
    }

    #[test]
    fn a_short_write_goes_on_where_it_ended() {
        let steps = walk(
            Op::Write,
            RequestFlags::FUA,
            FILE,
            &[512, -libc::EAGAIN, 3584],
        );
        let rest = write(512, 3584, true);
        assert_eq!(steps, [write(0, 4096, true), rest, rest, Step::DONE]);
    }

    #[test]
    fn nothing_moved_is_an_error_in_both_directions() {
        for op in [Op::Read, Op::Write] {
            let steps = walk(op, RequestFlags::empty(), FILE, &[0]);
            assert_eq!(steps[1], Step::fail(libc::EIO));
        }
    }

    #[test]
    fn an_error_of_the_backing_is_the_answer() {
        let steps = walk(
            Op::Read,
            RequestFlags::empty(),
            FILE,
            &[512, -libc::ENODATA],
        );
        assert_eq!(steps[2], Step::fail(libc::ENODATA));
        let steps = walk(Op::Flush, RequestFlags::empty(), FILE, &[-libc::EIO]);
        assert_eq!(
            steps,
            [Step::Submit(BackingOp::Sync), Step::fail(libc::EIO)]
        );
    }

    #[test]
    fn write_zeroes_unmaps_only_where_it_may() {
        let may = walk(Op::WriteZeroes, RequestFlags::empty(), FILE, &[0]);
        assert_eq!(may, [fallocate(PUNCH), Step::DONE]);
        let keep = walk(Op::WriteZeroes, RequestFlags::NOUNMAP, FILE, &[0]);
        assert_eq!(keep, [fallocate(ZERO_RANGE), Step::DONE]);
        let two_steps = walk(Op::WriteZeroes, RequestFlags::NOUNMAP, TMPFS, &[0, 0]);
        let allocate = fallocate(libc::FALLOC_FL_KEEP_SIZE);
        assert_eq!(two_steps, [fallocate(PUNCH), allocate, Step::DONE]);
    }

    #[test]
    fn zeroes_with_fua_are_made_durable() {
        let flags = RequestFlags::NOUNMAP | RequestFlags::FUA;
        let steps = walk(Op::WriteZeroes, flags, TMPFS, &[0, 0, 0]);
        assert_eq!(steps[2..], [Step::Submit(BackingOp::Sync), Step::DONE]);
    }

    /// A retry repeats the step that failed, not the first one, which would give the blocks up again.
    #[test]
    fn a_retry_repeats_the_step() {
        let flags = RequestFlags::NOUNMAP | RequestFlags::FUA;
        let results = [0, -libc::EAGAIN, 0, -libc::EINTR, 0];
        let steps = walk(Op::WriteZeroes, flags, TMPFS, &results);
        let keep = fallocate(libc::FALLOC_FL_KEEP_SIZE);
        let sync = Step::Submit(BackingOp::Sync);
        assert_eq!(
            steps,
            [fallocate(PUNCH), keep, keep, sync, sync, Step::DONE]
        );
    }

    #[test]
    fn zeroes_that_may_be_unmapped_are_written_where_they_cannot_be() {
        let results = [-libc::EOPNOTSUPP, -libc::EAGAIN, 0, 0];
        let steps = walk(Op::WriteZeroes, RequestFlags::FUA, FILE, &results);
        let range = fallocate(ZERO_RANGE);
        let sync = Step::Submit(BackingOp::Sync);
        assert_eq!(steps, [fallocate(PUNCH), range, range, sync, Step::DONE]);
        let results = [-libc::EOPNOTSUPP, -libc::EOPNOTSUPP];
        let steps = walk(Op::WriteZeroes, RequestFlags::empty(), FILE, &results);
        assert_eq!(steps[2], Step::fail(libc::EOPNOTSUPP));
        let discard = walk(Op::Discard, RequestFlags::empty(), FILE, &[results[0], 0]);
        assert_eq!(discard, [fallocate(PUNCH), range, Step::DONE]);
        let keep = walk(Op::WriteZeroes, RequestFlags::NOUNMAP, FILE, &results[..1]);
        assert_eq!(keep[1], Step::fail(libc::EOPNOTSUPP));
    }

    #[test]
    fn a_backing_that_asks_for_ever_is_believed() {
        let steps = walk(Op::Read, RequestFlags::empty(), FILE, &[-libc::EAGAIN; 17]);
        let (last, tries) = steps.split_last().unwrap();
        assert!(tries.iter().all(|step| matches!(step, Step::Submit(_))));
        assert_eq!(*last, Step::fail(libc::EAGAIN));
    }

    #[test]
    fn what_the_backing_cannot_do_is_refused() {
        let none = Zeroing {
            unmap: None,
            keep: None,
        };
        for op in [Op::Discard, Op::WriteZeroes, Op::Other(13)] {
            let steps = walk(op, RequestFlags::empty(), none, &[]);
            assert_eq!(steps, [Step::fail(libc::EOPNOTSUPP)]);
        }
    }
}
