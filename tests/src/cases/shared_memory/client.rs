//! What a client does before it shares memory.

use std::fs::File;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A memfd of zeroes that can be sealed.
pub(super) fn memfd(len: usize) -> File {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file: File = memfd_create("suite", flags).unwrap().into();
    file.set_len(len as u64).unwrap();
    file
}

pub(super) fn seal(file: &File, seals: SealFlag) {
    fcntl(file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
}
