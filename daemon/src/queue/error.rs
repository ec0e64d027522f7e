//! How a queue can end.

/// Why a queue ended before its device did.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The ring failed.
    #[error("serve queue {queue}: {source}")]
    Ring {
        /// Which queue.
        queue: u16,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The driver refused a command of ours.
    #[error("serve queue {queue}: the driver refused {}: {source}", about(*.tag))]
    Refused {
        /// Which queue.
        queue: u16,
        /// Which tag, where the command was about one.
        tag: Option<u16>,
        /// The driver's answer.
        source: std::io::Error,
    },
    /// A fault of ours.
    #[error("serve queue {queue}: its thread panicked")]
    Panicked {
        /// Which queue.
        queue: u16,
    },
}

fn about(tag: Option<u16>) -> String {
    tag.map_or_else(|| "a command".into(), |tag| format!("tag {tag}"))
}
