//! `report.html`: the report for people, one file that needs nothing else.

use anyhow::Result;
use bench::{Backing, JobResult, table};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{Bars, COLORS};
use super::report::{Report, jobs_on};
use super::text::{DIRECT, Moment, error_story, moments};

const STYLE: &str = "\
body{font:16px/1.5 sans-serif;color:#1b1f24;background:#fff;max-width:64rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.7rem;margin-bottom:.2rem}h2{font-size:1.25rem;margin-top:2.5rem}\
table{border-collapse:collapse;font-size:.85rem;margin:.6rem 0}\
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #d8dee4}\
th:first-child,td:first-child,td.text,th.text{text-align:left}\
caption{text-align:left;font-weight:bold;padding:.3rem 0}\
figure{margin:1rem 0}figcaption{font-size:.9rem}svg{max-width:100%;height:auto}\
.scroll{overflow-x:auto}.key{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em}\
.good{color:#116329}.bad{color:#a40e26}pre{background:#f6f8fa;padding:.8rem;overflow-x:auto}";

/// The whole page.
///
/// # Errors
/// A plot cannot be drawn.
pub(super) fn render(report: &Report, wrong: &[String]) -> Result<String> {
    let buffered = jobs_on(Backing::Buffered, &report.devices, &report.jobs);
    let direct = jobs_on(Backing::Direct, &report.devices, &report.jobs);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "bvecd demo on " (report.kernel) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (heading(report, wrong))
                h2 { "Throughput and latency" }
                (plots(&buffered)?)
                h2 { "Every job" }
                (tables(&buffered))
                h2 { "What an O_DIRECT backing adds" }
                p { (DIRECT) }
                (tables(&direct))
                h2 { "The page of a held read" }
                (held_page(&moments(&report.hold))?)
                h2 { "A medium error, once" }
                pre { (error_story(&report.fault)) }
            }
        }
    };
    Ok(page.into_string())
}

fn heading(report: &Report, wrong: &[String]) -> Markup {
    html! {
        h1 { "bvecd demo" }
        p {
            "Kernel " (report.kernel) ", " (report.machine.cpus) " CPUs, accelerator "
            (report.machine.accel) ", seed " (report.seed) ", revision " (report.revision) "."
            @if report.machine.accel == "tcg" {
                " The machine was emulated: look at ratios, not at speed."
            }
        }
        @if wrong.is_empty() {
            p.good { "Everything is as it must be." }
        } @else {
            p.bad { "Not what it must be:" }
            ul.bad { @for what in wrong { li { (what) } } }
        }
    }
}

/// A kind of plot of the jobs: which jobs, and which number of each.
struct Plot {
    title: &'static str,
    unit: &'static str,
    takes: fn(&JobResult) -> bool,
    value: fn(&JobResult) -> f64,
}

const PLOTS: [Plot; 2] = [
    Plot {
        title: "Requests a second, 4 KiB jobs",
        unit: "IOPS",
        takes: |job| job.block_size_bytes == 4096,
        value: |job| job.iops,
    },
    Plot {
        title: "Bandwidth, 256 KiB jobs",
        unit: "MB/s",
        takes: |job| job.block_size_bytes > 4096,
        value: |job| job.bandwidth_bytes_per_s / 1e6,
    },
];

fn plots(jobs: &[JobResult]) -> Result<Markup> {
    let paths = unique(jobs.iter().map(|job| job.data_path.clone()));
    let mut figures = Vec::new();
    for plot in &PLOTS {
        let taken: Vec<&JobResult> = jobs.iter().filter(|job| (plot.takes)(job)).collect();
        let groups = unique(taken.iter().map(|job| job.name.clone()));
        let value = |name: &String, path: &String| {
            let mut of = taken
                .iter()
                .filter(|job| job.name == *name && job.data_path == *path);
            of.next().map_or(0.0, |job| (plot.value)(job))
        };
        let series = paths
            .iter()
            .map(|path| groups.iter().map(|name| value(name, path)).collect())
            .collect();
        let bars = Bars {
            unit: plot.unit,
            groups,
            series,
            logarithmic: false,
        };
        figures.push(figure(plot.title, &paths, &bars)?);
    }
    let latencies = latencies(jobs, &paths);
    figures.push(figure("Completion latency at depth 1", &paths, &latencies)?);
    Ok(html! { @for figure in &figures { (figure) } })
}

/// A percentile: its name, and where a result has it, in ns.
type Percentile = (&'static str, fn(&JobResult) -> u64);

const PERCENTILES: [Percentile; 3] = [
    ("p50", |job| job.latency_ns.p50),
    ("p99", |job| job.latency_ns.p99),
    ("p99.9", |job| job.latency_ns.p99_9),
];

/// Percentiles of the jobs with one request in flight, where latency is that of a single request.
#[expect(clippy::cast_precision_loss, reason = "a plot shows three digits")]
fn latencies(jobs: &[JobResult], paths: &[String]) -> Bars {
    let single: Vec<&JobResult> = jobs.iter().filter(|job| job.depth == 1).collect();
    let names = unique(single.iter().map(|job| job.name.clone()));
    let mut bars = Bars {
        unit: "µs (logarithmic)",
        groups: Vec::new(),
        series: vec![Vec::new(); paths.len()],
        logarithmic: true,
    };
    for name in &names {
        for (percentile, ns) in PERCENTILES {
            bars.groups.push(format!("{name} {percentile}"));
            for (path, values) in paths.iter().zip(&mut bars.series) {
                let mut of = single
                    .iter()
                    .filter(|job| job.name == *name && job.data_path == *path);
                values.push(of.next().map_or(0.0, |job| ns(job) as f64 / 1e3));
            }
        }
    }
    bars
}

/// A plot with its title and the key to its colours.
fn figure(title: &str, series: &[String], bars: &Bars) -> Result<Markup> {
    let svg = bars.svg()?;
    let key = series.iter().zip(COLORS.iter().cycle());
    Ok(html! {
        figure {
            figcaption {
                strong { (title) }
                @for (name, (r, g, b)) in key {
                    span.key style=(format!("background:rgb({r},{g},{b})")) {}
                    (name)
                }
            }
            (PreEscaped(svg))
        }
    })
}

fn tables(jobs: &[JobResult]) -> Markup {
    html! {
        @for table in table::tables(jobs) {
            div.scroll {
                table {
                    caption { (table.title) }
                    thead { tr { @for head in table.columns { th { (head) } } } }
                    tbody { @for row in &table.rows { tr { @for cell in row { td { (cell) } } } } }
                }
            }
        }
    }
}

fn held_page(moments: &[Moment]) -> Result<Markup> {
    let counts =
        |count: fn(&Moment) -> u32| moments.iter().map(|at| f64::from(count(at))).collect();
    let bars = Bars {
        unit: "count",
        groups: moments
            .iter()
            .map(|moment| moment.name.to_owned())
            .collect(),
        series: vec![
            counts(|at| at.page.pin_count),
            counts(|at| at.page.map_count),
        ],
        logarithmic: false,
    };
    let series = ["pins".to_owned(), "mappings".to_owned()];
    let figure = figure("Pins and mappings over the page's life", &series, &bars)?;
    Ok(html! {
        p { "A direct read of 4 KiB was held in bvecd, and its page looked at." }
        div.scroll {
            table {
                thead {
                    tr {
                        @for head in ["moment", "frame", "pins", "references", "mapped"] {
                            th { (head) }
                        }
                        th.text { "what it means" }
                    }
                }
                tbody {
                    @for moment in moments {
                        tr {
                            td { (moment.name) }
                            td { (format!("{:#x}", moment.page.pfn)) }
                            td { (moment.page.pin_count) }
                            td { (moment.page.ref_count) }
                            td { (moment.page.map_count) }
                            td.text { (moment.meaning) }
                        }
                    }
                }
            }
        }
        (figure)
    })
}

/// Each once, in the order of the first.
fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::report::tests::good;

    #[test]
    fn the_page_stands_alone_and_has_its_plots() {
        let report = good();
        let page = render(&report, &[]).unwrap();
        assert_eq!(page.matches("<svg").count(), 4);
        for text in [
            "7.3.4+deb13",
            "auto-zero-copy",
            "after munmap",
            "ENODATA",
            "as it must be",
        ] {
            assert!(page.contains(text), "{text}");
        }
        for outside in ["<script", "<link", "src=", "href=", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_is_wrong_is_on_top_and_escaped() {
        let page = render(&good(), &["a < b".to_owned()]).unwrap();
        assert!(page.contains("a &lt; b") && !page.contains("as it must be"));
    }

    #[test]
    fn each_path_is_a_series() {
        let report = good();
        let jobs = jobs_on(Backing::Buffered, &report.devices, &report.jobs);
        let paths = unique(jobs.iter().map(|job| job.data_path.clone()));
        assert_eq!(paths, ["copy", "user-copy", "auto-zero-copy"]);
        let bars = latencies(&jobs, &paths);
        assert_eq!(bars.series.len(), 3);
        assert!(
            bars.series
                .iter()
                .all(|values| values.len() == bars.groups.len())
        );
        assert_eq!(bars.groups[0], "rand-destination-4k-qd1 p50");
    }
}
