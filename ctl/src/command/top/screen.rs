//! The live view. The terminal gets back its own state however this ends: by a key, by a signal, by an
//! error or by a panic.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use super::rates::View;
use super::sample::Sampler;
use super::text::{
    DEVICE_HEADS, HOLD_HEADS, RULE_HEADS, device_cells, hold_rows, rule_rows, summary,
};
use crate::interrupt::Interrupt;

/// How long a key may wait.
const PATIENCE: Duration = Duration::from_millis(50);

/// The terminal in the state of the live view.
struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal over. From here on a panic restores it, too (`ratatui::try_init`).
    fn open() -> Result<Self> {
        ratatui::try_init()
            .map(Self)
            .context("take over the terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    End,
    Pause,
    Redraw,
}

/// Shows views until the user, or `count`, ends it.
///
/// # Errors
/// The terminal cannot be used; the daemon cannot be reached.
pub(super) fn run(
    sampler: &Sampler<'_>,
    interval: Duration,
    count: Option<u64>,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut before = sampler.take()?;
    let mut view = View::between(&before, &before);
    let (mut shown, mut paused) = (0, false);
    let title = sampler.socket();
    let mut screen = Screen::open()?;
    let mut draw = |view: &View, paused| {
        let drawn = screen.0.draw(|frame| render(frame, view, &title, paused));
        drawn.map(drop).context("draw on the terminal")
    };
    draw(&view, paused)?;
    let mut next = Instant::now() + interval;
    while count.is_none_or(|count| shown < count) {
        if interrupt.is_raised() {
            break;
        }
        let patience = PATIENCE.min(next.saturating_duration_since(Instant::now()));
        match wish(patience)? {
            Some(Wish::End) => break,
            Some(Wish::Pause) => paused = !paused,
            Some(Wish::Redraw) => {}
            None if Instant::now() < next => continue,
            None => {
                next = Instant::now() + interval;
                if paused {
                    continue;
                }
                let now = sampler.take()?;
                view = View::between(&before, &now);
                before = now;
                shown += 1;
            }
        }
        draw(&view, paused)?;
    }
    Ok(())
}

/// Waits for a key.
fn wish(patience: Duration) -> Result<Option<Wish>> {
    if !event::poll(patience).context("wait for a key")? {
        return Ok(None);
    }
    Ok(match event::read().context("read a key")? {
        Event::Key(key) => of_key(key),
        Event::Resize(..) => Some(Wish::Redraw),
        _ => None,
    })
}

fn of_key(key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
        // The terminal sends no signal while it is ours.
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Wish::End)
        }
        KeyCode::Char(' ' | 'p') => Some(Wish::Pause),
        _ => None,
    }
}

fn render(frame: &mut Frame<'_>, view: &View, socket: &str, paused: bool) {
    let devices: Vec<Vec<String>> = view.devices.iter().map(device_cells).collect();
    let (rules, holds) = (rule_rows(view), hold_rows(view));
    let height = |rows: &[Vec<String>]| {
        u16::try_from(rows.len())
            .unwrap_or(u16::MAX)
            .saturating_add(3)
    };
    let [title, devices_area, rules_area, holds_area, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Max(height(&devices)),
        Constraint::Fill(2),
        Constraint::Max(height(&holds)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let state = if paused { "  paused" } else { "" };
    let head = Line::from(format!("bvecctl top  {socket}  {}{state}", summary(view)));
    frame.render_widget(head.style(Modifier::BOLD), title);
    frame.render_widget(grid("devices", &DEVICE_HEADS, devices, 1), devices_area);
    frame.render_widget(grid("rules", &RULE_HEADS, rules, 2), rules_area);
    frame.render_widget(grid("held requests", &HOLD_HEADS, holds, 3), holds_area);
    frame.render_widget(Line::from("q ends, blank pauses"), foot);
}

/// A table in a frame. Columns are as wide as their widest cell, except `wide`, which takes the rest.
fn grid<'a, const N: usize>(
    title: &'a str,
    heads: &[&'a str; N],
    rows: Vec<Vec<String>>,
    wide: usize,
) -> Table<'a> {
    let widths = (0..N).map(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        let width = u16::try_from(widest.max(heads[column].len())).unwrap_or(u16::MAX);
        match column == wide {
            true => Constraint::Fill(1),
            false => Constraint::Length(width),
        }
    });
    let widths: Vec<Constraint> = widths.collect();
    let rows = rows
        .into_iter()
        .map(|row| Row::new(row.into_iter().map(Cell::from)));
    Table::new(rows, widths)
        .header(Row::new(heads.to_vec()).style(Style::new().add_modifier(Modifier::BOLD)))
        .column_spacing(2)
        .block(Block::bordered().title(title))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::rates::tests::view;
    use super::*;

    fn drawn(width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| render(frame, &view(), "/run/bvecd/bvecd.sock", false))
            .unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_live_view_is_what_the_snapshot_shows() {
        insta::assert_snapshot!(drawn(100, 20));
    }

    #[test]
    fn no_terminal_is_too_small() {
        for (width, height) in [(1, 1), (20, 3), (80, 8), (300, 100)] {
            drawn(width, height);
        }
    }

    #[test]
    fn keys_mean_what_people_expect() {
        let key = |code, modifiers| of_key(KeyEvent::new(code, modifiers));
        let none = KeyModifiers::NONE;
        assert_eq!(key(KeyCode::Char('q'), none), Some(Wish::End));
        assert_eq!(
            key(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Wish::End)
        );
        assert_eq!(key(KeyCode::Char('c'), none), None);
        assert_eq!(key(KeyCode::Char(' '), none), Some(Wish::Pause));
    }
}
