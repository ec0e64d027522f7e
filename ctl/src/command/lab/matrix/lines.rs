//! What a guest says, as events of whole lines.

use std::io::{self, Write};
use std::sync::mpsc::Sender;

use lab::Outcome;

use crate::command::lab::run::BEGINS;

/// Something that a guest did.
#[derive(Debug)]
pub(super) enum Event {
    /// It runs an experiment now.
    Begins(String),
    /// An experiment is done. The line as the guest wrote it, and what it says.
    Done(String, Box<Outcome>),
    /// It said something else.
    Says(String),
    /// It has ended.
    Ended(Box<Result<::vm::Outcome, ::vm::Error>>),
}

/// A writer that sends each line of a guest's output as an event of guest `index`.
#[derive(Debug)]
pub(super) struct Reader {
    index: usize,
    events: Sender<(usize, Event)>,
    rest: Vec<u8>,
}

impl Reader {
    pub(super) const fn new(index: usize, events: Sender<(usize, Event)>) -> Self {
        Self {
            index,
            events,
            rest: Vec::new(),
        }
    }
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            // Whoever listens has ended if this fails; then nobody wants to know.
            let _ = self.events.send((self.index, event(line.trim_end())));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn event(line: &str) -> Event {
    let begins = line
        .strip_prefix("bvecctl: ")
        .and_then(|line| line.strip_prefix(BEGINS));
    if let Some(name) = begins {
        return Event::Begins(name.to_owned());
    }
    match serde_json::from_str(line) {
        Ok(outcome) => Event::Done(line.to_owned(), Box::new(outcome)),
        Err(_) => Event::Says(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_however_they_come() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut reader = Reader::new(3, sender);
        let text = "bvecctl: begins fork-thp\n{\"schema\":1,\"experiment\":\"a\",\"kernel\":\"7.3\",\"driver\":\"nbd\",\
                    \"verdict\":\"skipped\",\"reason\":\"x\",\"not_applicable\":true,\"observations\":{},\"seed\":0,\
                    \"duration_ns\":1}\n{\"schema\":1,\"kernel\":\"7.3\",\"holds\":1}\nrest";
        for piece in text.as_bytes().chunks(7) {
            reader.write_all(piece).unwrap();
        }
        let events: Vec<_> = receiver.try_iter().collect();
        assert_eq!(events.len(), 3);
        assert!(events.iter().all(|(index, _)| *index == 3));
        assert!(matches!(&events[0].1, Event::Begins(name) if name == "fork-thp"));
        assert!(matches!(&events[1].1, Event::Done(_, outcome) if outcome.experiment == "a"));
        assert!(
            matches!(&events[2].1, Event::Says(_)),
            "a tally is no outcome"
        );
    }
}
