//! Cuts the words of a rule into sections and items, each with its place in the text.

use crate::error::ValueError;

/// A piece of the text and the byte it starts at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

/// `key=value`, or a lone `value`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'t> {
    pub(super) key: Option<Piece<'t>>,
    pub(super) value: Piece<'t>,
}

/// The parts of a rule.
#[derive(Debug)]
pub(super) struct Sections<'t> {
    pub(super) action: Piece<'t>,
    pub(super) selectors: Option<Piece<'t>>,
    pub(super) triggers: Option<Piece<'t>>,
    pub(super) options: Option<Piece<'t>>,
}

/// What begins each part but the first, in the order of the parts.
const KEYWORDS: [&str; 3] = ["where", "when", "with"];

impl<'t> Piece<'t> {
    /// The bytes `from..to` of this piece, without the white space around them.
    pub(super) fn part(self, from: usize, to: usize) -> Self {
        let text = &self.text[from..to];
        let trimmed = text.trim_start();
        Self {
            text: trimmed.trim_end(),
            at: self.at + from + (text.len() - trimmed.len()),
        }
    }

    /// An error about this piece.
    pub(super) fn refuse(self, expected: impl Into<String>) -> ValueError {
        ValueError::new(self.at, self.text, expected)
    }

    /// Reads the piece by its type's own syntax.
    pub(super) fn read<T>(
        self,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Result<T, ValueError> {
        parse(self.text).map_err(|error| error.shifted(self.at))
    }

    /// Splits at the first sign of a comparison. Only `=` alone is no part of the value.
    fn item(self) -> Item<'t> {
        let Some(sign) = self.text.find(['=', '<', '>', '!']) else {
            return Item {
                key: None,
                value: self,
            };
        };
        let after = sign + usize::from(self.text[sign..].starts_with('='));
        Item {
            key: Some(self.part(0, sign)),
            value: self.part(after, self.text.len()),
        }
    }

    /// The comma-separated items of this piece; at least one, none of them empty.
    ///
    /// `expected` says what an item is, and `end` what may follow the last one.
    pub(super) fn items(self, expected: &str, end: &str) -> Result<Vec<Item<'t>>, ValueError> {
        let mut items = Vec::new();
        let mut from = 0;
        for text in self.text.split(',') {
            let piece = self.part(from, from + text.len());
            from += text.len() + 1;
            if piece.text.is_empty() {
                return Err(piece.refuse(expected));
            }
            if let Some(gap) = piece.text.find(char::is_whitespace) {
                let rest = piece.part(gap, piece.text.len());
                let word = rest.text.split_whitespace().next().unwrap_or_default();
                let wrong = Piece {
                    text: word,
                    at: rest.at,
                };
                return Err(wrong.refuse(format!("a comma{end}")));
            }
            items.push(piece.item());
        }
        Ok(items)
    }
}

/// Finds the keywords `where`, `when` and `with` and cuts the text there.
pub(super) fn sections(text: &str) -> Result<Sections<'_>, ValueError> {
    let whole = Piece { text, at: 0 };
    let place = |word: &Piece<'_>| KEYWORDS.iter().position(|keyword| *keyword == word.text);
    let keywords: Vec<(usize, Piece<'_>)> = words(text)
        .filter_map(|word| Some((place(&word)?, word)))
        .collect();
    let first = keywords.first().map_or(text.len(), |(_, word)| word.at);
    let mut parts = [None; KEYWORDS.len()];
    for (position, (part, keyword)) in keywords.iter().enumerate() {
        let to = keywords
            .get(position + 1)
            .map_or(text.len(), |(_, next)| next.at);
        if parts[*part].is_some() {
            return Err(keyword.refuse(format!("`{}` only once", keyword.text)));
        }
        if let Some(later) = (part + 1..parts.len()).find(|later| parts[*later].is_some()) {
            let expected = format!("`{}` before `{}`", keyword.text, KEYWORDS[later]);
            return Err(keyword.refuse(expected));
        }
        parts[*part] = Some(whole.part(keyword.at + keyword.text.len(), to));
    }
    let [selectors, triggers, options] = parts;
    Ok(Sections {
        action: whole.part(0, first),
        selectors,
        triggers,
        options,
    })
}

/// The words of a text, cut at white space.
fn words(text: &str) -> impl Iterator<Item = Piece<'_>> {
    text.split_whitespace().map(move |word| Piece {
        text: word,
        // Both point into one allocation, and a part never starts before its whole.
        at: word.as_ptr().addr() - text.as_ptr().addr(),
    })
}
