//! Reads events as they come, one JSON object a line.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::error::ClientError;
use super::garbled;
use crate::event::Event;

/// The longest line that is read. An event is a few hundred bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Events of the daemon, as they come.
#[derive(Debug)]
pub struct EventStream {
    path: String,
    body: Incoming,
    lines: Lines,
}

/// Bytes that came, to be taken out line by line.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl EventStream {
    pub(super) fn new(path: String, body: Incoming) -> Self {
        Self {
            path,
            body,
            lines: Lines::default(),
        }
    }

    /// Waits for the next event; `None` once there are no more.
    ///
    /// # Errors
    /// The connection was lost, or a line is not an event.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(line) = self.lines.take() {
                return self.read(&line).map(Some);
            }
            if self.lines.bytes.len() > MAX_LINE_BYTES {
                return Err(garbled(&self.path, "a line is longer than any event"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.lines.bytes.extend_from_slice(data);
                    }
                }
                Some(Err(source)) => {
                    return Err(ClientError::Lost {
                        path: self.path.clone(),
                        source,
                    });
                }
                None if self.lines.bytes.is_empty() => return Ok(None),
                None => return Err(garbled(&self.path, "the last line has no end")),
            }
        }
    }

    fn read(&self, line: &[u8]) -> Result<Event, ClientError> {
        serde_json::from_slice(line).map_err(|error| garbled(&self.path, &error.to_string()))
    }
}

impl Lines {
    /// The next whole line that is not blank, without its end. The daemon may send blank lines to see
    /// whether the reader is still there.
    fn take(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
            let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
            line.pop();
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_whole_and_blank_ones_passed_over() {
        let mut lines = Lines {
            bytes: b"a\n\n \nb\nc".to_vec(),
        };
        assert_eq!(lines.take().as_deref(), Some(&b"a"[..]));
        assert_eq!(lines.take().as_deref(), Some(&b"b"[..]));
        assert_eq!(lines.take(), None);
        lines.bytes.extend_from_slice(b"d\n");
        assert_eq!(lines.take().as_deref(), Some(&b"cd"[..]));
    }
}
