//! Cuts a stream of bytes into lines, and keeps the last ones.

use std::collections::VecDeque;

/// A line longer than this is cut, so that a mad guest cannot fill our memory.
const LINE_BYTES_MAX: usize = 4096;

/// Collects bytes until a line is complete.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes and returns the lines they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' || self.partial.len() >= LINE_BYTES_MAX {
                lines.push(self.take());
            }
            if !matches!(byte, b'\n' | b'\r') {
                self.partial.push(*byte);
            }
        }
        lines
    }

    /// Returns the last, incomplete line.
    pub(crate) fn take(&mut self) -> String {
        let text = without_escapes(&String::from_utf8_lossy(&self.partial));
        self.partial.clear();
        text
    }
}

/// Leaves out terminal control: the firmware clears the screen before the kernel speaks.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // `ESC [ ... letter` is a sequence; any other escape has one character.
            if chars.next() == Some('[') {
                chars.by_ref().find(char::is_ascii_alphabetic);
            }
        } else if !c.is_control() || c == '\t' {
            plain.push(c);
        }
    }
    plain
}

/// The last lines of a text.
#[derive(Debug)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    limit: usize,
}

impl Tail {
    /// Keeps at most `limit` lines.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            limit,
        }
    }

    /// Adds a line that is not blank.
    pub(crate) fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() == self.limit {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    /// The lines in order.
    pub(crate) fn to_vec(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_across_reads() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"one\r\ntw"), ["one"]);
        assert_eq!(lines.feed(b"o\nthree"), ["two"]);
        assert_eq!(lines.take(), "three");
    }

    #[test]
    fn terminal_control_is_left_out() {
        let firmware = b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16)\n";
        assert_eq!(Lines::default().feed(firmware), ["SeaBIOS (version 1.16)"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut lines = Lines::default();
        let cut = lines.feed(&vec![b'x'; 3 * LINE_BYTES_MAX]);
        assert!(cut.iter().all(|line| line.len() <= LINE_BYTES_MAX));
        assert_eq!(cut.len(), 2);
    }

    #[test]
    fn the_tail_forgets_the_oldest() {
        let mut tail = Tail::new(2);
        for line in ["a", "", "b", "c"] {
            tail.push(line);
        }
        assert_eq!(tail.to_vec(), ["b", "c"]);
    }
}
