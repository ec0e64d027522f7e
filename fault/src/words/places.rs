//! Where the parts of a rule stand in its words.

use std::ops::Range;

use super::scan::{Piece, sections};

/// A part of a rule, as its path in TOML and JSON begins, and the bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place<'t> {
    /// `action`, `where`, `when` or `with`.
    pub(crate) section: &'static str,
    /// The bytes of all that it says.
    pub(crate) span: Range<usize>,
    /// What is said by key, and the bytes of the value of each; of an action nothing, whose parameters have short forms.
    pub(crate) values: Vec<(&'t str, Range<usize>)>,
}

/// The parts of words that were read as a rule; nothing of others.
pub(crate) fn places(text: &str) -> Vec<Place<'_>> {
    let Ok(sections) = sections(text) else {
        return Vec::new();
    };
    let parts = [
        ("action", Some(sections.action)),
        ("where", sections.selectors),
        ("when", sections.triggers),
        ("with", sections.options),
    ];
    let placed = |(section, piece)| {
        let piece: Piece<'_> = piece?;
        let values = match section {
            "action" => Vec::new(),
            _ => values(piece),
        };
        Some(Place {
            section,
            span: span(piece),
            values,
        })
    };
    parts.into_iter().filter_map(placed).collect()
}

fn values(section: Piece<'_>) -> Vec<(&str, Range<usize>)> {
    let items = section.items("", "").unwrap_or_default();
    let keyed = items
        .into_iter()
        .filter_map(|item| Some((item.key?.text, span(item.value))));
    keyed.collect()
}

fn span(piece: Piece<'_>) -> Range<usize> {
    piece.at..piece.at + piece.text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_where_it_stands() {
        let text = "fail(MEDIUM)  where op=read , size>=64K when prob=0";
        let seen: Vec<(&str, &str, &str)> = places(text)
            .iter()
            .flat_map(|place| {
                let values = place.values.iter();
                values.map(|(key, span)| (place.section, *key, &text[span.clone()]))
            })
            .collect();
        let expected = [
            ("where", "op", "read"),
            ("where", "size", ">=64K"),
            ("when", "prob", "0"),
        ];
        assert_eq!(seen, expected);
        let action = &places(text)[0];
        assert_eq!(&text[action.span.clone()], "fail(MEDIUM)");
    }
}
