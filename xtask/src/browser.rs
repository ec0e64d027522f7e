//! Opens a page of ours in headless Chromium and says what is wrong with it: a console error, a request to a
//! network, a figure that is missing or empty, a page that a phone must scroll sideways, a text that cannot be read
//! before what is behind it, in the light, in the dark or on paper.

mod protocol;
mod views;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::process::{self, root, say};
use crate::{setup, test};
use protocol::Browser;
use views::VIEWS;

/// A page of ours.
struct Subject {
    /// What it is of, from the root of the repository.
    record: &'static str,
    /// What makes a page of that, with a directory behind it.
    made_by: [&'static str; 2],
    /// The option before what is written.
    option: &'static str,
    /// What is written, in a directory of the check's own.
    written: &'static str,
    /// Where the page is in that directory.
    page: &'static str,
    /// The kinds of figures that it must have.
    figures: &'static [&'static str],
}

const SUBJECTS: [Subject; 2] = [
    // Has something for every figure.
    Subject {
        record: "bench/tests/data/recorded-session.json",
        made_by: ["bench", "report"],
        option: "--html",
        written: "report.html",
        page: "report.html",
        figures: &["ratio", "depth", "pins", "cdf", "time", "heat"],
    },
    Subject {
        record: "lab/tests/data/recorded-matrix.json",
        made_by: ["lab", "merge"],
        option: "--out",
        written: "matrix",
        page: "matrix/matrix.html",
        figures: &[],
    },
];
/// What a figure must have to be one: kind, width and height of its drawing, and elements in it.
const MEASURE: &str = "JSON.stringify({
    figures: [...document.querySelectorAll('figure[data-kind]')].map(figure => {
        const svg = figure.querySelector('svg');
        const box = svg ? svg.getBoundingClientRect() : {width: 0, height: 0};
        const parts = svg ? svg.querySelectorAll('path, rect, circle, line').length : 0;
        return [figure.dataset.kind, box.width, box.height, parts];
    }),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
})";
/// A drawing of fewer lines and dots has axes and nothing else.
const PARTS_LEAST: u64 = 6;

/// Which pages.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Pages, such as target/bench/report.html.
    #[arg(required = true, value_name = "PAGE")]
    pages: Vec<PathBuf>,
}

/// Looks at pages. What is wrong with one is no error, and ends with 1.
///
/// # Errors
/// A page or the browser cannot be had.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure_all()?;
    let mut good = true;
    for page in &arguments.pages {
        let problems = told_of(page.display(), page, &[])?;
        if problems == 0 {
            say(format_args!("{}: nothing found", page.display()));
        }
        good &= problems == 0;
    }
    Ok(ExitCode::from(u8::from(!good)))
}

/// Makes the pages of what was recorded and looks at them.
///
/// # Errors
/// A page or the browser cannot be had, or something is wrong with a page.
pub(crate) fn check() -> Result<()> {
    // Of what the tests need all the same: `cargo run` would compile its dependencies once more.
    let bvecctl = test::build_all()?.join("bvecctl");
    for subject in &SUBJECTS {
        check_one(subject, &bvecctl)?;
    }
    Ok(())
}

fn check_one(subject: &Subject, bvecctl: &Path) -> Result<()> {
    let record = subject.record;
    let directory = tempfile::tempdir().context("failed to make a temporary directory")?;
    process::run(
        Command::new(bvecctl)
            .args(subject.made_by)
            .arg(root().join(record))
            .arg(subject.option)
            .arg(directory.path().join(subject.written)),
    )?;
    let page = directory.path().join(subject.page);
    let problems = told_of(format_args!("the page of {record}"), &page, subject.figures)?;
    ensure!(problems == 0, "the page of {record} has {problems} faults");
    say(format_args!(
        "browser: the page of {record} is whole, and fetches nothing"
    ));
    Ok(())
}

/// Looks at a page, says what is wrong with it, and how much that is.
fn told_of(name: impl Display, page: &Path, kinds: &[&str]) -> Result<usize> {
    let problems = look(page, kinds)?;
    for problem in &problems {
        say(format_args!("{name}: {problem}"));
    }
    Ok(problems.len())
}

/// What is wrong with a page that must have figures of these kinds.
///
/// # Errors
/// The browser is missing or does not answer.
pub(crate) fn look(page: &Path, kinds: &[&str]) -> Result<Vec<String>> {
    let page = page.canonicalize();
    let page = page.context("failed to find the page")?;
    let url = format!("file://{}", page.display());
    let mut browser = Browser::start(&program()?)?;
    for domain in ["Page", "Runtime", "Log", "Network"] {
        browser.ask(&format!("{domain}.enable"), json!({}))?;
    }
    let mut problems = Vec::new();
    for view in &VIEWS {
        view.set(&mut browser)?;
        browser.ask("Page.navigate", json!({ "url": url }))?;
        browser.wait_for("Page.loadEventFired")?;
        let mut faults = measured(&browser.evaluate(MEASURE)?, kinds);
        faults.extend(views::unreadable(&browser.evaluate(views::TEXTS)?));
        if view.paper {
            faults.extend(views::cut_off(&browser.evaluate(views::CUT_OFF)?));
        }
        problems.extend(faults.into_iter().map(|fault| format!("{view}: {fault}")));
    }
    problems.extend(
        browser
            .events()
            .iter()
            .filter_map(|event| told(event, &url)),
    );
    browser.end()?;
    problems.dedup();
    Ok(problems)
}

/// What is wrong with what was measured.
fn measured(seen: &Value, kinds: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let none = Vec::new();
    let figures = seen["figures"].as_array().unwrap_or(&none);
    for kind in kinds {
        if !figures.iter().any(|figure| figure[0] == *kind) {
            faults.push(format!("there is no figure `{kind}`"));
        }
    }
    for figure in figures {
        let size = |index: usize| figure[index].as_f64().unwrap_or(0.0);
        let parts = figure[3].as_u64().unwrap_or(0);
        if size(1) < 100.0 || size(2) < 40.0 || parts < PARTS_LEAST {
            faults.push(format!(
                "the figure {} is empty: {:.0} x {:.0} pixels, {parts} lines and dots",
                figure[0],
                size(1),
                size(2)
            ));
        }
    }
    if seen["wide"].as_i64() != Some(0) {
        faults.push(format!("it is {} pixels too wide", seen["wide"]));
    }
    faults
}

/// What an event of the browser says against the page.
fn told(event: &Value, url: &str) -> Option<String> {
    let parameters = &event["params"];
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &parameters["exceptionDetails"];
            let what = &details["exception"]["description"];
            Some(format!("a script broke off: {}", text(what)))
        }
        "Runtime.consoleAPICalled" if parameters["type"] == "error" => {
            Some(format!("the console has an error: {}", parameters["args"]))
        }
        "Log.entryAdded" if parameters["entry"]["level"] == "error" => {
            let entry = &parameters["entry"];
            Some(format!(
                "the console has an error: {}",
                text(&entry["text"])
            ))
        }
        "Network.requestWillBeSent" => {
            let asked = text(&parameters["request"]["url"]);
            let own = asked == url || asked.starts_with("data:");
            (!own).then(|| format!("it asks for {asked}"))
        }
        _ => None,
    }
}

/// The browser of this machine.
fn program() -> Result<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().find_map(|name| vm::find_program(name));
    found.context("failed to find chromium; `cargo xtask setup` installs it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURE: &str = "<figure data-kind='time'><svg width='300' height='200'>\
        <line/><line/><line/><rect/><rect/><circle/></svg></figure>";

    /// What is found in a page with this body.
    fn found(body: &str) -> Option<Vec<String>> {
        if program().is_err() {
            println!("not run: chromium is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let page = directory.path().join("page.html");
        let head = "<meta name='viewport' content='width=device-width, initial-scale=1'>";
        std::fs::write(&page, format!("<!DOCTYPE html>{head}{body}")).unwrap();
        Some(look(&page, &["time"]).unwrap())
    }

    #[test]
    fn what_is_wrong_with_a_page_is_found() {
        let Some(faults) = found(FIGURE) else {
            return;
        };
        assert_eq!(faults, Vec::<String>::new());
        // Each browser takes seconds, so that one page has many faults.
        let small = FIGURE.replace("300", "30").replace("'time'", "'small'");
        let bare = FIGURE
            .replace("<rect/><rect/>", "")
            .replace("'time'", "'bare'");
        let scripts = "<script>console.error('planted')</script><script>planted()</script>";
        let image = "<img src='http://127.0.0.1:1/x.png'>";
        let wide = "<div style='width:500px'>x</div>";
        let pale = "<p style='color:#bbb;background:#fff'>pale</p>";
        let dark = "<style>@media (prefers-color-scheme:dark){body{background:#111}}</style>";
        let paper = "<div style='overflow:auto'><div style='width:900px'>long</div></div>";
        let faults =
            found(&[&small, &bare, scripts, image, wide, pale, dark, paper].concat()).unwrap();
        for fault in [
            "no figure `time`",
            "\"small\" is empty: 30 x 200",
            "\"bare\" is empty: 300 x 200 pixels, 4 lines and dots",
            "\"planted\"",
            "a script broke off",
            "asks for http://127.0.0.1:1/x.png",
            "on a phone: it is",
            "on a desktop: `pale` has a contrast of 1.9",
            "in the dark: `x` has a contrast of 1.1",
            "on paper: 198 pixels of what begins with `long` are cut off",
        ] {
            assert!(
                faults.iter().any(|it| it.contains(fault)),
                "{fault}: {faults:#?}"
            );
        }
    }
}
