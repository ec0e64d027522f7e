//! Whatever text comes, nothing panics; what is accepted can be written and read again.
//!
//! A bounded count in a plain run, so many seconds with `BVECD_FUZZ_SECONDS`.

use std::time::{Duration, Instant};

use fault::{DeviceFacts, Document, Foreign, Format, Rule, import, parse_ns, parse_prob};

/// Texts to begin with.
const SEEDS: &[&str] = &[
    "fail(status=MEDIUM,effect=torn:4/1+3/sector) where op=write,lba=266240+8|1M..2M,size>=64K when seq=xW",
    "delay(dist=table:0=1ms/50=2ms/100=20ms,at=complete,lanes=4) when prob=1:1000,during=3s/500ms",
    "corrupt(on=source,kind=swap:512,ber=1e-9,burst=7) where flags=fua+!meta,data=hex:dead@0,epoch=3..",
    "torn(bytes=512+1024,persist=random,unit=4K,status=IOERR) with prio=-5,arm=mark:cut,on_remove=fail:IOERR",
    "misdirect(to=random:0+8,lost=no) where inflight>=3,queue=1,tag=2 when rate=10/s,from=op:5,until=epoch:9",
    "version = 1\nseed = 42\n[[rule]]\nname = \"a\"\nwhere = { op = [\"write\"], lba = \"8+8\" }\n\
     when = { seq = \"xW\", prob = 0.5 }\naction = { fail = { status = \"MEDIUM\" } }\nwith.arm = \"manual\"\n",
    "{\"version\":1,\"rule\":[{\"name\":\"a\",\"action\":{\"hold\":{\"max_ns\":\"5s\",\"then\":{\"fail\":\"IOERR\"}}}}]}",
    "# two\nbad: fail:MEDIUM where op=read,lba=2048+8\n slow-1 : delay(2ms) when prob=10%\n",
    "0 409600 flakey /dev/sdb 0 5 1 3 drop_writes random_read_corrupt 5",
    "dmsetup message dust1 0 addbadblock 60 2\n0 8 dust /dev/x 0 4096\nremovebadblock 60\n",
    "# Mapfile\n0x0 + 1\n0x0 0x200 -\n0x200 0x100 *\n0x300 0x100 ?\n",
    "+0-7\n-2-3\nbadblocks_once=1\nbadblocks=+8-15",
    "[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nsector = \"2048\"\nonce = \"on\"\n[set-state]\n",
];

/// Pieces that are put in.
const PIECES: &[&str] = &[
    "(",
    ")",
    "=",
    ",",
    ":",
    "/",
    "+",
    "|",
    "..",
    "-",
    "%",
    "!",
    "<",
    ">",
    " ",
    "\n",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "0",
    "1",
    "9",
    "18446744073709551615",
    "99999999999999999999",
    "1e308",
    "nan",
    "inf",
    "-1",
    "0x",
    "é",
    "\u{0}",
    " where ",
    " when ",
    " with ",
    "lba",
    "op",
    "seq=",
    "prob=",
    "K",
    "T",
    "ms",
    "h",
    "'",
    "#",
    "\\",
    "\r",
];

/// A generator of its own, so that a failure is found again by its number (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }
}

/// A text that was damaged here and there.
fn damaged(numbers: &mut Numbers) -> String {
    let mut bytes = numbers.of(SEEDS).as_bytes().to_vec();
    for _ in 0..=numbers.below(8) {
        let at = numbers.below(bytes.len() + 1);
        let to = (at + numbers.below(12)).min(bytes.len());
        match numbers.below(5) {
            0 => drop(bytes.drain(at..to)),
            1 => drop(bytes.splice(at..at, numbers.of(PIECES).bytes())),
            2 => {
                let piece = bytes[at..to].to_vec();
                let place = numbers.below(bytes.len() + 1);
                bytes.splice(place..place, piece);
            }
            3 => {
                let byte = u8::try_from(numbers.below(256)).unwrap();
                bytes.splice(at..to.min(at + 1), [byte]);
            }
            _ => drop(bytes.splice(at..to, numbers.of(PIECES).bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Gives one text to everything that reads one.
fn read(text: &str) {
    let facts = DeviceFacts::of_size(1 << 20);
    match Rule::parse("r", text) {
        Ok(rule) => {
            let words = rule.to_string();
            assert_eq!(Rule::parse("r", &words).as_ref(), Ok(&rule), "{words}");
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule, "{json}");
        }
        Err(error) => {
            assert!(error.column <= text.chars().count() + 1, "{error}");
            assert!(!error.render().is_empty());
        }
    }
    for format in [Format::Toml, Format::Json, Format::Words] {
        match Document::parse("f", text, format) {
            Ok(document) => drop(document.check(&facts)),
            Err(error) => {
                let lines = text.matches('\n').count() + 1;
                assert!((1..=lines + 1).contains(&error.line), "{error}");
                assert!(error.column >= 1 && !error.problem.is_empty(), "{error}");
            }
        }
    }
    for format in ["dm-dust", "dm-flakey", "ddrescue", "null_blk", "blkdebug"] {
        let format: Foreign = format.parse().unwrap();
        let done = import(format, "i", text);
        for refused in done.refused {
            assert!(refused.line <= text.lines().count().max(1) && !refused.reason.is_empty());
        }
        for rule in done.rules {
            assert_eq!(Rule::parse(&rule.name, &rule.to_string()), Ok(rule));
        }
    }
    let _ = (parse_ns(text), parse_prob(text));
}

#[test]
fn no_text_makes_a_reader_panic() {
    let asked = std::env::var("BVECD_FUZZ_SECONDS").ok();
    let asked = asked.map(|text| text.parse().expect("BVECD_FUZZ_SECONDS is a number"));
    // Who waits for it gets a short one.
    let in_ci = std::env::var_os("CI").map(|_| 30);
    let seconds = asked.or(in_ci);
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut number = 0_u64;
    loop {
        let text = damaged(&mut Numbers(number));
        if std::panic::catch_unwind(|| read(&text)).is_err() {
            panic!("text number {number}: {text:?}");
        }
        number += 1;
        let over = match end {
            Some(end) => Instant::now() >= end,
            None => number == 3_000,
        };
        if over {
            println!("{number} texts");
            return;
        }
    }
}
