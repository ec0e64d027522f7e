//! What fio writes down while it runs (`iolog.c`): a line an interval, or a line a request.
//!
//! Times are milliseconds since 1970 (`log_unix_epoch`), so that logs of several clients, and marks of
//! ours, are on one axis. The lines are `time, value, direction, ...`; direction 0 reads and 1 writes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::io_error;
use crate::record::Series;
use crate::statistics::histogram::{BINS, Histogram, middle};
use crate::statistics::number;
use crate::{BenchError, Direction, Result};

/// The beginning of the names of the logs.
const PREFIX: &str = "log";
/// No series is longer; a run is cut into longer intervals rather than into more.
const INTERVALS_MAX: u64 = 100_000;

/// What fio writes down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Logs {
    /// Nothing.
    #[default]
    None,
    /// Bandwidth, IOPS and a histogram of latencies, each so long.
    Averaged(Duration),
    /// A line a request, put together to intervals of this length. It costs time and memory. A request that fails has
    /// none, and does not end the job unless it verifies.
    Requests(Duration),
}

/// What was written down.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// The run in equal intervals.
    pub series: Series,
    /// When its first interval began, in ms since 1970.
    pub began_ms: u64,
    /// Every request, where that was asked for.
    pub requests: Vec<Request>,
}

/// A request as fio saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The client that made it, from 1.
    pub client: u32,
    /// Whether its pages supply the data.
    pub is_source: bool,
    /// When it was complete, in ms since 1970.
    pub done_ms: u64,
    /// How long it took, in ns.
    pub latency_ns: u64,
    /// How much it moved.
    pub bytes: u64,
    /// Where on the device.
    pub offset_bytes: u64,
}

impl Request {
    /// When it began, in ms since 1970.
    pub(crate) const fn began_ms(&self) -> u64 {
        self.done_ms.saturating_sub(self.latency_ns / 1_000_000)
    }
}

impl Logs {
    /// fio's options for it.
    pub(crate) fn arguments(self) -> Vec<OsString> {
        let options = match self {
            Self::None => Vec::new(),
            Self::Averaged(interval) => {
                let ms = interval.as_millis().max(1);
                vec![
                    format!("--write_bw_log={PREFIX}"),
                    format!("--write_iops_log={PREFIX}"),
                    format!("--write_hist_log={PREFIX}"),
                    format!("--log_avg_msec={ms}"),
                    format!("--log_hist_msec={ms}"),
                    "--log_unix_epoch=1".to_owned(),
                ]
            }
            Self::Requests(_) => vec![
                format!("--write_lat_log={PREFIX}"),
                "--log_offset=1".to_owned(),
                "--log_unix_epoch=1".to_owned(),
            ],
        };
        options.into_iter().map(OsString::from).collect()
    }

    /// Reads what fio left in `directory`; only the job's own direction counts.
    pub(crate) fn read(self, directory: &Path, direction: Direction) -> Result<Log> {
        match self {
            Self::None => Ok(Log::default()),
            Self::Averaged(interval) => averaged(directory, interval, direction),
            Self::Requests(interval) => requests(directory, interval, direction),
        }
    }
}

/// A line: time in ms, the other numbers.
type Line = (u64, Vec<u64>);
/// Whose line it is: the client's number and the direction.
type Origin = (u32, u64);

fn averaged(directory: &Path, interval: Duration, direction: Direction) -> Result<Log> {
    let ms = u64::try_from(interval.as_millis()).unwrap_or(1).max(1);
    let bandwidth = lines(directory, "bw", direction)?;
    let iops = lines(directory, "iops", direction)?;
    let latency = lines(directory, "clat_hist", direction)?;
    // An interval is written down at its end.
    let all = || bandwidth.iter().chain(&iops).chain(&latency);
    let first = all().map(|(_, (time, _))| *time).min().unwrap_or(0);
    let place = |time: u64| usize::try_from((time - first + ms / 2) / ms).unwrap_or(usize::MAX);
    let last = all().map(|(_, (time, _))| *time).max().unwrap_or(first);
    if (last - first) / ms > INTERVALS_MAX {
        return Err(too_long(directory, last - first));
    }
    let length = if bandwidth.is_empty() {
        0
    } else {
        place(last) + 1
    };
    let mut series = Series {
        interval_ns: ms * 1_000_000,
        iops: vec![0.0; length],
        bandwidth_bytes_per_s: vec![0.0; length],
        latency: vec![Histogram::default(); length],
    };
    spread(&bandwidth, place, &mut series.bandwidth_bytes_per_s, 1024.0);
    spread(&iops, place, &mut series.iops, 1.0);
    for (_, (time, numbers)) in &latency {
        // Direction and block size come first.
        for (bin, count) in numbers.iter().skip(2).take(BINS).enumerate() {
            series.latency[place(*time)].count(middle(bin), *count);
        }
    }
    for histogram in &mut series.latency {
        *histogram = histogram.coarse();
    }
    Ok(Log {
        series,
        began_ms: first.saturating_sub(ms),
        requests: Vec::new(),
    })
}

/// Adds rates to a series. fio's helper thread writes a line for what was done since its last one; where it came
/// too late for an interval, its next line is the mean of both, so that a missing line is no stall.
fn spread(lines: &[(Origin, Line)], place: impl Fn(u64) -> usize, series: &mut [f64], factor: f64) {
    let mut next: BTreeMap<Origin, usize> = BTreeMap::new();
    for (origin, (time, numbers)) in lines {
        let at = place(*time);
        // The first line is about everything since the beginning.
        let from = next.get(origin).copied().unwrap_or(0);
        if from > at {
            // Two lines of one interval: rates are not added up.
            continue;
        }
        next.insert(*origin, at + 1);
        for value in &mut series[from..=at] {
            *value += number(numbers[0]) * factor;
        }
    }
}

fn requests(directory: &Path, interval: Duration, direction: Direction) -> Result<Log> {
    let lines = lines(directory, "clat", direction)?;
    let requests = lines
        .iter()
        .map(|((client, way), (time, numbers))| Request {
            client: *client,
            is_source: *way == 1,
            done_ms: *time,
            latency_ns: numbers[0],
            bytes: numbers.get(2).copied().unwrap_or(0),
            offset_bytes: numbers.get(3).copied().unwrap_or(0),
        });
    let requests: Vec<Request> = requests.collect();
    let ms = u64::try_from(interval.as_millis()).unwrap_or(1).max(1);
    let began_ms = requests.iter().map(Request::began_ms).min().unwrap_or(0);
    let last = requests
        .iter()
        .map(|request| request.done_ms)
        .max()
        .unwrap_or(0);
    if (last - began_ms) / ms > INTERVALS_MAX {
        return Err(too_long(directory, last - began_ms));
    }
    let place = |time: u64| usize::try_from((time - began_ms) / ms).unwrap_or(usize::MAX);
    let length = if requests.is_empty() {
        0
    } else {
        place(last) + 1
    };
    let seconds = number(ms) / 1000.0;
    let mut series = Series {
        interval_ns: ms * 1_000_000,
        iops: vec![0.0; length],
        bandwidth_bytes_per_s: vec![0.0; length],
        latency: vec![Histogram::default(); length],
    };
    for request in &requests {
        let place = place(request.done_ms);
        series.iops[place] += 1.0 / seconds;
        series.bandwidth_bytes_per_s[place] += number(request.bytes) / seconds;
        series.latency[place].record(request.latency_ns);
    }
    for histogram in &mut series.latency {
        *histogram = histogram.coarse();
    }
    Ok(Log {
        series,
        began_ms,
        requests,
    })
}

fn too_long(directory: &Path, ms: u64) -> BenchError {
    BenchError::BadLog {
        path: directory.to_owned(),
        detail: format!("it is over {ms} ms, did the clock jump?"),
    }
}

/// The lines of one kind of log, of all clients, in one of the directions.
fn lines(directory: &Path, kind: &str, direction: Direction) -> Result<Vec<(Origin, Line)>> {
    let mut all = Vec::new();
    for client in 1_u32.. {
        let path = directory.join(format!("{PREFIX}_{kind}.{client}.log"));
        if !path.is_file() {
            break;
        }
        let text = fs::read_to_string(&path).map_err(io_error("read fio's log"))?;
        for (index, line) in text.lines().enumerate() {
            let (time, numbers) = parse(line).ok_or_else(|| bad_line(&path, index, line))?;
            // In a histogram the direction stands where others have the value.
            let way = numbers[usize::from(kind != "clat_hist")];
            if way == 0 && direction != Direction::Source
                || way == 1 && direction != Direction::Destination
            {
                all.push(((client, way), (time, numbers)));
            }
        }
    }
    Ok(all)
}

fn bad_line(path: &Path, index: usize, line: &str) -> BenchError {
    let shown: String = line.chars().take(40).collect();
    BenchError::BadLog {
        path: PathBuf::from(path.file_name().unwrap_or_default()),
        detail: format!("line {} is `{shown}`, should be numbers", index + 1),
    }
}

/// Time and at least two more numbers.
fn parse(line: &str) -> Option<Line> {
    let mut numbers = line.split(',').map(|word| word.trim().parse::<u64>());
    let time = numbers.next()?.ok()?;
    let rest: Vec<u64> = numbers.collect::<std::result::Result<_, _>>().ok()?;
    (rest.len() >= 2).then_some((time, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(100);

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn histogram_line(time: u64, way: u64, bin: usize, count: u64) -> String {
        let counts: Vec<String> = (0..BINS)
            .map(|at| if at == bin { count } else { 0 }.to_string())
            .collect();
        format!("{time}, {way}, 4096, {}\n", counts.join(", "))
    }

    #[test]
    fn clients_and_directions_are_added_up() {
        let hist = histogram_line(1100, 0, 500, 7) + &histogram_line(1301, 1, 510, 2);
        let logs = directory(&[
            (
                "log_bw.1.log",
                "1100, 10, 0, 0, 0\n1100, 5, 1, 0, 0\n1302, 20, 0, 0, 0\n",
            ),
            ("log_bw.2.log", "1099, 1, 0, 0, 0\n"),
            ("log_iops.1.log", "1100, 3, 0, 0, 0\n1302, 4, 0, 0, 0\n"),
            ("log_iops.2.log", "1201, 6, 0, 0, 0\n"),
            ("log_clat_hist.1.log", &hist),
        ]);
        let read = |direction| Logs::Averaged(MS).read(logs.path(), direction).unwrap();
        let mixed = read(Direction::Mixed).series;
        assert_eq!(
            mixed.bandwidth_bytes_per_s,
            [16.0 * 1024.0, 20.0 * 1024.0, 20.0 * 1024.0]
        );
        assert_eq!(
            mixed.iops,
            [9.0, 10.0, 4.0],
            "a line is the mean of the intervals before it that have none"
        );
        assert_eq!(
            mixed
                .latency
                .iter()
                .map(Histogram::total)
                .collect::<Vec<_>>(),
            [7, 0, 2]
        );
        let one = read(Direction::Destination);
        assert_eq!(one.series.latency[2].total(), 0);
        assert_eq!(one.began_ms, 999);
    }

    #[test]
    fn requests_become_intervals() {
        let logs = directory(&[(
            "log_clat.1.log",
            "1001, 1000000, 0, 4096, 8192, 0\n1099, 2000, 0, 4096, 0, 0\n1150, 3000, 1, 4096, 0, 0\n\
             1250, 50000000, 0, 4096, 4096, 0\n",
        )]);
        let log = Logs::Requests(MS)
            .read(logs.path(), Direction::Destination)
            .unwrap();
        assert_eq!(log.began_ms, 1000);
        assert_eq!(log.series.iops, [20.0, 0.0, 10.0]);
        assert_eq!(log.requests.len(), 3);
        assert_eq!(log.requests[0].offset_bytes, 8192);
    }

    #[test]
    fn rubbish_is_named() {
        for text in ["fio: help\n", "1, 2\n", "1, 2, 0, x\n"] {
            let logs = directory(&[("log_bw.1.log", text)]);
            let error = Logs::Averaged(MS)
                .read(logs.path(), Direction::Mixed)
                .unwrap_err();
            assert!(error.to_string().contains("line 1"), "{error}");
        }
        let logs = directory(&[("log_bw.1.log", "1, 2, 0\n99999999999, 2, 0\n")]);
        assert!(
            Logs::Averaged(MS)
                .read(logs.path(), Direction::Mixed)
                .is_err()
        );
        let nothing = directory(&[]);
        let log = Logs::Averaged(MS)
            .read(nothing.path(), Direction::Mixed)
            .unwrap();
        assert!(log.series.iops.is_empty());
    }
}
