//! What this kernel, daemon and machine can do of a matrix.

use api::Features;

use crate::record::{Cell, Missing, Peer};

/// What can be measured here.
#[derive(Debug, Clone, Default)]
pub struct Support {
    /// What kernel and daemon can do; `None` without a daemon.
    pub features: Option<Features>,
    /// CPUs: the driver makes no more queues.
    pub cpus: usize,
}

impl Support {
    /// Why a cell cannot be measured here.
    pub(super) fn lacks(&self, cell: &Cell) -> Option<Missing> {
        let missing = |what: String, reason: &str| {
            Some(Missing {
                what,
                reason: reason.to_owned(),
            })
        };
        if cell.peer != Peer::Bvecd {
            return None;
        }
        let Some(features) = &self.features else {
            return missing("bvecd".to_owned(), "no bvecd answers");
        };
        if usize::try_from(cell.queues).is_ok_and(|queues| queues > self.cpus.max(1)) {
            let what = format!("bvecd with {} queues", cell.queues);
            return missing(what, "the driver makes no more queues than there are CPUs");
        }
        if cell.data_path.as_deref() == Some("shared-memory") && cell.clients > 1 {
            let what = format!("data path shared-memory with {} clients", cell.clients);
            return missing(what, "fio's clients would all have the same buffers");
        }
        let paths = features
            .data_paths
            .iter()
            .map(|it| (it.name.to_string(), it.usable, &it.why));
        let ways = features
            .transports
            .iter()
            .map(|it| (it.name.to_string(), it.usable, &it.why));
        let asked = |name: &String| {
            Some(name) == cell.data_path.as_ref() || Some(name) == cell.transport.as_ref()
        };
        let found = paths
            .chain(ways)
            .find(|(name, usable, _)| !usable && asked(name));
        let (name, _, why) = found?;
        missing(
            name,
            why.as_deref().unwrap_or("this kernel does not have it"),
        )
    }
}
