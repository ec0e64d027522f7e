//! The table: each row an action, each column a data path, each cell a test.

use std::fmt;

use api::{DataPath, Transport};

use super::bench::Bench;

/// One row: an action, what clients see of it, what the medium holds afterwards, and how that is checked.
/// The table in docs/faults.md is written from these words.
pub(super) struct Row {
    /// The tests' name.
    pub(super) name: &'static str,
    /// The rule, in words.
    pub(super) rule: &'static str,
    /// What a client with O_DIRECT sees.
    pub(super) direct: &'static str,
    /// What one through the page cache sees; empty where none is asked.
    pub(super) cached: &'static str,
    /// What the medium holds afterwards.
    pub(super) medium: &'static str,
    /// The data paths on which something else comes of it, and what.
    pub(super) unlike: &'static [(DataPath, &'static str)],
    /// What the device is made like.
    pub(super) made: Made,
    /// Checks it.
    pub(super) check: fn(&mut Bench),
}

impl Row {
    /// What most rows have in common.
    pub(super) const COMMON: Self = Self {
        name: "",
        rule: "",
        direct: "",
        cached: "",
        medium: "as it was",
        unlike: &[],
        made: Made::Plainly,
        check: |_| (),
    };

    /// What comes of it on a data path, in the words of the table.
    pub(super) fn on(&self, path: DataPath) -> &'static str {
        let unlike = self.unlike.iter().find(|(unlike, _)| *unlike == path);
        unlike.map_or("so", |(_, what)| what)
    }
}

/// What a row's device is made like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Plainly,
    /// So that it outlives its daemon, where the data path has that.
    ToOutlive,
    /// With protection information.
    Protected,
}

/// Where a row is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground {
    pub(super) path: DataPath,
    pub(super) transport: Transport,
    /// Whether the daemon reaches the backing file with O_DIRECT.
    pub(super) direct: bool,
}

/// The columns of the table.
pub(super) const PATHS: [DataPath; 5] = [
    DataPath::Copy,
    DataPath::UserCopy,
    DataPath::ZeroCopy,
    DataPath::AutoZeroCopy,
    DataPath::SharedMemory,
];

impl Ground {
    const fn plain(path: DataPath) -> Self {
        Self {
            path,
            transport: Transport::PerIo,
            direct: false,
        }
    }

    /// Where the row with this number is checked: on every data path; and once more with another
    /// transport on another backing, each time on another data path, so that every two meet somewhere. If
    /// `full`, everywhere.
    pub(super) fn of_row(number: usize, full: bool) -> Vec<Self> {
        let on = |transport, direct| {
            move |path| Self {
                path,
                transport,
                direct,
            }
        };
        let mut grounds: Vec<_> = PATHS.map(Self::plain).into();
        let others = [
            (Transport::Batch, true),
            (Transport::Batch, false),
            (Transport::PerIo, true),
        ];
        if full {
            grounds.extend(
                others
                    .iter()
                    .flat_map(|(t, direct)| PATHS.map(on(*t, *direct))),
            );
            return grounds;
        }
        let path = PATHS[number % PATHS.len()];
        // The first row sees to the two combinations that no other needs.
        let count = if number == 0 { others.len() } else { 1 };
        grounds.extend(
            others[..count]
                .iter()
                .map(|(t, direct)| on(*t, *direct)(path)),
        );
        grounds
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)?;
        if self.transport == Transport::Batch {
            f.write_str(".batch")?;
        }
        f.write_str(if self.direct { ".direct" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every two of row, data path, transport and backing that meet in these cells.
    fn pairs(cells: impl Iterator<Item = (usize, Ground)>) -> BTreeSet<(String, String)> {
        let values = cells.map(|(row, ground)| {
            [
                format!("row {row}"),
                ground.path.to_string(),
                ground.transport.to_string(),
                format!("direct {}", ground.direct),
            ]
        });
        let two = |all: [String; 4]| {
            let pairs = (0..4).flat_map(|left| (left + 1..4).map(move |right| (left, right)));
            let pairs: Vec<_> = pairs.collect();
            pairs
                .into_iter()
                .map(move |(left, right)| (all[left].clone(), all[right].clone()))
        };
        values.flat_map(two).collect()
    }

    #[test]
    fn every_two_values_meet_in_a_cell_of_the_ci() {
        let cells = |full| {
            let rows = 0..12;
            pairs(rows.flat_map(move |row| {
                Ground::of_row(row, full)
                    .into_iter()
                    .map(move |ground| (row, ground))
            }))
        };
        assert_eq!(cells(false), cells(true));
        assert_eq!(Ground::of_row(3, true).len(), 20);
        assert_eq!(Ground::of_row(3, false).len(), 6);
    }
}
