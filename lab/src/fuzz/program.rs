//! A vector as a C program, for whoever wants to see it without this one.

use std::fmt::Write as _;
use std::path::Path;

use super::vector::{How, MEMORY_BYTES, Spoilt, Vector, WINDOW_START, Wrong};
use crate::sys::PAGE_BYTES;
use crate::{Direction, Memory};

/// The program: it does the vector once and prints what the kernel answered and the counters of pins
/// before and after.
#[must_use]
pub fn in_c(vector: &Vector, path: &Path) -> String {
    let mut text = String::new();
    text.push_str(HEAD);
    for line in memory(vector.memory) {
        line_of(&mut text, line);
    }
    line_of(&mut text, "memset(m, 0xa5, MEMORY);");
    for Spoilt { page, wrong } in &vector.spoilt {
        let at = page * PAGE_BYTES;
        let line = match wrong {
            Wrong::ReadOnly => format!("mprotect(m + {at}, 4096, PROT_READ);"),
            Wrong::NoAccess => format!("mprotect(m + {at}, 4096, PROT_NONE);"),
            Wrong::Guard => format!("madvise(m + {at}, 4096, 102 /* MADV_GUARD_INSTALL */);"),
            Wrong::Unmapped => format!("munmap(m + {at}, 4096);"),
        };
        line_of(&mut text, &line);
    }
    line_of(&mut text, "struct iovec v[] = {");
    for (number, piece) in vector.submitted().iter().enumerate() {
        let start = match vector.kernel_segment {
            Some(kernel) if kernel == number => "(void *)0xffff800000000000".to_owned(),
            _ => format!("m + {}", piece.at),
        };
        line_of(&mut text, &format!("    {{ {start}, {} }},", piece.bytes));
    }
    line_of(&mut text, "};");
    let count = vector.submitted().len();
    line_of(
        &mut text,
        &format!("int fd = open(\"{}\", O_RDWR | O_DIRECT);", path.display()),
    );
    line_of(&mut text, "long before = outstanding();");
    let offset = WINDOW_START + vector.offset;
    for line in call(vector.how, vector.direction, count, offset) {
        line_of(&mut text, &line);
    }
    line_of(
        &mut text,
        "printf(\"result %ld, pins left %ld\\n\", r, outstanding() - before);",
    );
    text.push_str("}\n");
    text
}

fn line_of(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "    {line}");
}

fn memory(memory: Memory) -> Vec<&'static str> {
    match memory {
        Memory::Malloc => vec!["char *m = map(MEMORY, MAP_PRIVATE | MAP_ANONYMOUS, -1);"],
        Memory::SharedAnonymous => vec!["char *m = map(MEMORY, MAP_SHARED | MAP_ANONYMOUS, -1);"],
        Memory::Thp => vec![
            "char *m = map(4 << 20, MAP_PRIVATE | MAP_ANONYMOUS, -1);",
            "m = (char *)(((unsigned long)m + (2 << 20) - 1) & ~((2UL << 20) - 1));",
            "madvise(m, 2 << 20, MADV_HUGEPAGE);",
        ],
        Memory::Hugetlb => {
            vec!["char *m = map(2 << 20, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);"]
        }
        Memory::Memfd => vec![
            "int mf = memfd_create(\"m\", 0);",
            "ftruncate(mf, MEMORY);",
            "char *m = map(MEMORY, MAP_SHARED, mf);",
        ],
        Memory::FileShared => vec![
            "int mf = open(\"/tmp/m\", O_RDWR | O_CREAT, 0600);",
            "ftruncate(mf, MEMORY);",
            "char *m = map(MEMORY, MAP_SHARED, mf);",
        ],
        Memory::FilePrivate => vec![
            "int mf = open(\"/tmp/m\", O_RDWR | O_CREAT, 0600);",
            "ftruncate(mf, MEMORY);",
            "char *m = map(MEMORY, MAP_PRIVATE, mf);",
        ],
    }
}

fn call(how: How, direction: Direction, count: usize, offset: u64) -> Vec<String> {
    let to = direction == Direction::Destination;
    let name = |destination: &str, source: &str| if to { destination } else { source }.to_owned();
    match how {
        How::Sync if count == 1 => {
            let call = name("pread", "pwrite");
            vec![format!(
                "long r = {call}(fd, v[0].iov_base, v[0].iov_len, {offset});"
            )]
        }
        How::Sync => {
            let call = name("preadv", "pwritev");
            vec![format!("long r = {call}(fd, v, {count}, {offset});")]
        }
        How::Aio => {
            let code = name("IOCB_CMD_PREADV", "IOCB_CMD_PWRITEV");
            vec![
                "aio_context_t c = 0;".to_owned(),
                "syscall(SYS_io_setup, 1, &c);".to_owned(),
                format!("struct iocb b = {{ .aio_lio_opcode = {code}, .aio_fildes = fd,"),
                format!(
                    "    .aio_buf = (unsigned long)v, .aio_nbytes = {count}, .aio_offset = {offset} }};"
                ),
                "struct iocb *l[] = { &b };".to_owned(),
                "struct io_event e = { .res = 0 };".to_owned(),
                "long r = syscall(SYS_io_submit, c, 1, l);".to_owned(),
                "if (r == 1) { syscall(SYS_io_getevents, c, 1, 1, &e, 0); r = e.res; }".to_owned(),
            ]
        }
        How::IoUring | How::Fixed => {
            let prepare = if how == How::Fixed {
                let call = name("read_fixed", "write_fixed");
                format!("io_uring_prep_{call}(s, fd, v[0].iov_base, v[0].iov_len, {offset}, 0);")
            } else {
                let call = name("readv", "writev");
                format!("io_uring_prep_{call}(s, fd, v, {count}, {offset});")
            };
            let mut lines = vec![
                "/* needs #include <liburing.h> and -luring */".to_owned(),
                "struct io_uring u; struct io_uring_cqe *q;".to_owned(),
                "io_uring_queue_init(4, &u, 0);".to_owned(),
            ];
            if how == How::Fixed {
                lines.push("struct iovec all = { m, MEMORY };".to_owned());
                lines.push("io_uring_register_buffers(&u, &all, 1);".to_owned());
            }
            lines.extend([
                "struct io_uring_sqe *s = io_uring_get_sqe(&u);".to_owned(),
                prepare,
                "io_uring_submit_and_wait(&u, 1); io_uring_peek_cqe(&u, &q);".to_owned(),
                "long r = q->res;".to_owned(),
                "io_uring_queue_exit(&u); sleep(1);".to_owned(),
            ]);
            lines
        }
    }
}

const HEAD: &str = "\
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#define MEMORY (256 << 10)

static char *map(size_t n, int flags, int fd)
{
    return mmap(0, n, PROT_READ | PROT_WRITE, flags, fd, 0);
}

/* Pins of the whole machine: nothing else should do direct I/O. */
static long outstanding(void)
{
    char line[128];
    long n, sum = 0;
    FILE *f = fopen(\"/proc/sys/vm/stat_refresh\", \"w\");
    fputs(\"1\", f);
    fclose(f);
    f = fopen(\"/proc/vmstat\", \"r\");
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, \"nr_foll_pin_acquired %ld\", &n) == 1) sum += n;
        if (sscanf(line, \"nr_foll_pin_released %ld\", &n) == 1) sum -= n;
    }
    fclose(f);
    return sum;
}

int main(void)
{
";

const _: () = assert!(MEMORY_BYTES == 256 << 10, "the program says so, too");

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::fuzz::draw::Draw;

    /// What needs a library that may not be here is compiled as far as the call itself.
    #[test]
    fn the_programs_compile() {
        let draw = Draw {
            seed: 5,
            hugetlb: true,
            destinations_only: false,
        };
        if Command::new("cc").arg("--version").output().is_err() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("vector.c");
        let plain = (0..200)
            .map(|number| draw.vector(number))
            .filter(|vector| matches!(vector.how, How::Sync | How::Aio));
        for vector in plain.take(12) {
            std::fs::write(&file, in_c(&vector, Path::new("/dev/ublkb0"))).unwrap();
            let output = Command::new("cc")
                .args(["-fsyntax-only", "-Wall", "-Wno-unused-result"])
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && said.is_empty(),
                "{vector:?}\n{said}"
            );
        }
    }
}
