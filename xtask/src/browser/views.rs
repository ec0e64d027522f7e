//! The ways in which a page is looked at, and whether it can be read in each.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use super::protocol::Browser;

/// A way to look at a page.
#[derive(Debug)]
pub(super) struct View {
    name: &'static str,
    width: u32,
    dark: bool,
    pub(super) paper: bool,
}

const fn view(name: &'static str, width: u32) -> View {
    View {
        name,
        width,
        dark: false,
        paper: false,
    }
}

/// Widths in CSS pixels: of paper, that of A4 without its margins of 1 cm.
pub(super) const VIEWS: [View; 4] = [
    view("on a phone", 390),
    view("on a desktop", 1280),
    View {
        dark: true,
        ..view("in the dark", 1280)
    },
    View {
        paper: true,
        // Who prints may have a dark desktop.
        dark: true,
        ..view("on paper", 718)
    },
];

/// What is behind a text must differ from it so much: WCAG 2.2, success criterion 1.4.3, for ordinary text.
const CONTRAST: f64 = 4.5;

/// Every text with its contrast to the nearest background of an element of HTML that is not transparent; a page
/// without any is taken for white. What a drawing has behind its own texts, and `opacity`, are not seen.
pub(super) const TEXTS: &str = "JSON.stringify((() => {
    const part = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const numbers = text => (text.match(/[0-9.]+/g) || []).map(Number);
    const light = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const color = numbers(getComputedStyle(at).backgroundColor);
            if (color.length === 3 || color[3] > 0.5) return light(color);
        }
        return 1;
    };
    const own = element => [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('');
    return [...document.body.querySelectorAll('*')].filter(element => own(element) !== ''
        && !['SCRIPT', 'STYLE', 'title'].includes(element.tagName)).map(element => {
        const style = getComputedStyle(element);
        const ink = light(numbers(element instanceof SVGElement ? style.fill : style.color));
        const ground = behind(element);
        return [own(element).slice(0, 40), (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)];
    });
})())";

/// What scrolls on a screen, and by how much it is wider than its frame.
pub(super) const CUT_OFF: &str = "JSON.stringify([...document.body.querySelectorAll('*')]
    .filter(element => getComputedStyle(element).overflowX !== 'visible' || element.classList.contains('scroll'))
    .filter(element => !(element instanceof SVGElement) && element.scrollWidth > element.clientWidth)
    .map(element => [element.textContent.trim().slice(0, 40), element.scrollWidth - element.clientWidth]))";

impl View {
    /// Has the browser show pages so.
    pub(super) fn set(&self, browser: &mut Browser) -> Result<()> {
        let screen = json!({"width": self.width, "height": 900, "deviceScaleFactor": 1, "mobile": self.width < 600});
        browser.ask("Emulation.setDeviceMetricsOverride", screen)?;
        let scheme = if self.dark { "dark" } else { "light" };
        let medium = if self.paper { "print" } else { "screen" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = json!({"media": medium, "features": features});
        browser.ask("Emulation.setEmulatedMedia", media)?;
        Ok(())
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The texts that cannot be read.
pub(super) fn unreadable(texts: &Value) -> Vec<String> {
    let pale = pairs(texts).filter(|(_, contrast)| *contrast < CONTRAST);
    pale.map(|(text, contrast)| {
        format!("`{text}` has a contrast of {contrast:.1}, should be {CONTRAST}")
    })
    .collect()
}

/// What paper has no room for.
pub(super) fn cut_off(parts: &Value) -> Vec<String> {
    pairs(parts)
        .map(|(text, pixels)| format!("{pixels} pixels of what begins with `{text}` are cut off"))
        .collect()
}

fn pairs(list: &Value) -> impl Iterator<Item = (&str, f64)> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_f64()?)))
}
