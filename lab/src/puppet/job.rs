//! The jobs of a puppet: looked up first, then done, perhaps by another thread.

use std::io::{self, Read};

use api::Hex;
use nix::fcntl::{FallocateFlags, SpliceFFlags, fallocate, splice};

use super::act::{Things, done};
use super::order::{Answer, Job};
use crate::sys;

/// A job whose things have been looked up.
pub(super) type Run = Box<dyn FnOnce() -> io::Result<Answer> + Send>;

/// Looks up what a job names.
pub(super) fn prepare(things: &Things, job: Job) -> io::Result<Run> {
    let run: Run = match job {
        Job::Transfer(transfer) => {
            let file = things.file(transfer.file.0)?;
            let spans = things.spans(&transfer.parts)?;
            let offset = i64::try_from(transfer.offset).map_err(io::Error::other)?;
            Box::new(move || count(sys::transfer(&file, transfer.way, &spans, offset)?))
        }
        Job::Fill(part, byte) => {
            let area = things.area(part.area)?;
            Box::new(move || area.fill(part.at, part.bytes, byte).and_then(|()| done()))
        }
        Job::Load(part) => {
            let area = things.area(part.area)?;
            Box::new(move || Ok(Answer::Bytes(Hex(area.load(part.at, part.bytes)?))))
        }
        Job::Unmap(part) => {
            let area = things.area(part.area)?;
            Box::new(move || area.unmap(part.at, part.bytes).and_then(|()| done()))
        }
        Job::Protect(part, protection) => {
            let area = things.area(part.area)?;
            Box::new(move || {
                area.protect(part.at, part.bytes, protection)
                    .and_then(|()| done())
            })
        }
        Job::Advise(part, advice) => {
            let area = things.area(part.area)?;
            Box::new(move || {
                area.advise(part.at, part.bytes, advice)
                    .and_then(|()| done())
            })
        }
        Job::Lock(part, lock) => {
            let area = things.area(part.area)?;
            Box::new(move || area.lock(part.at, part.bytes, lock).and_then(|()| done()))
        }
        Job::Sync(part) => {
            let area = things.area(part.area)?;
            Box::new(move || area.sync(part.at, part.bytes).and_then(|()| done()))
        }
        Job::Migrate(part, node) => {
            let area = things.area(part.area)?;
            Box::new(move || Ok(Answer::Done(area.migrate(part.at, node)?.into())))
        }
        Job::Move(from, to) => {
            let (from, to) = (things.span(from)?, things.span(to)?);
            Box::new(move || sys::move_pages(from, to).and_then(|()| done()))
        }
        Job::Vmsplice(pipe, part) => {
            let (pipe, span) = (things.file(pipe.0)?, things.span(part)?);
            Box::new(move || count(sys::vmsplice(&pipe, span)?))
        }
        other => return prepare_file(things, other),
    };
    Ok(run)
}

/// The jobs that are about files alone.
fn prepare_file(things: &Things, job: Job) -> io::Result<Run> {
    let run: Run = match job {
        Job::Fsync(file) => {
            let file = things.file(file.0)?;
            Box::new(move || file.sync_all().and_then(|()| done()))
        }
        Job::Truncate(file, bytes) => {
            let file = things.file(file.0)?;
            Box::new(move || file.set_len(bytes).and_then(|()| done()))
        }
        Job::Punch(file, offset, bytes) => {
            let file = things.file(file.0)?;
            let (offset, bytes) = (signed(offset)?, signed(bytes)?);
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            Box::new(move || {
                fallocate(&*file, flags, offset, bytes)?;
                done()
            })
        }
        Job::Splice(from, to, bytes) => {
            let (from, to) = (things.file(from.0)?, things.file(to.0)?);
            Box::new(move || {
                count(splice(
                    &*from,
                    None,
                    &*to,
                    None,
                    bytes,
                    SpliceFFlags::empty(),
                )?)
            })
        }
        Job::Take(file, bytes) => {
            let file = things.file(file.0)?;
            Box::new(move || {
                let mut taken = vec![0; bytes];
                let length = (&*file).read(&mut taken)?;
                taken.truncate(length);
                Ok(Answer::Bytes(Hex(taken)))
            })
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    Ok(run)
}

fn count(bytes: usize) -> io::Result<Answer> {
    i64::try_from(bytes)
        .map(Answer::Done)
        .map_err(io::Error::other)
}

fn signed(number: u64) -> io::Result<i64> {
    i64::try_from(number).map_err(io::Error::other)
}
