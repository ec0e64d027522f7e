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

/// The three parts of a rule.
#[derive(Debug)]
pub(super) struct Sections<'t> {
    pub(super) action: Piece<'t>,
    pub(super) selectors: Option<Piece<'t>>,
    pub(super) triggers: Option<Piece<'t>>,
}

impl<'t> Piece<'t> {
    /// The bytes `from..to` of this piece, without the white space around them.
    fn part(self, from: usize, to: usize) -> Self {
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

    /// Splits at the first `separator`, if there is one.
    pub(super) fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let middle = self.text.find(separator)?;
        let after = middle + separator.len_utf8();
        Some((self.part(0, middle), self.part(after, self.text.len())))
    }

    /// Reads the piece by its type's own syntax.
    pub(super) fn read<T>(
        self,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Result<T, ValueError> {
        parse(self.text).map_err(|error| error.shifted(self.at))
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
            let (key, value) = match piece.split_once('=') {
                Some((key, value)) => (Some(key), value),
                None => (None, piece),
            };
            items.push(Item { key, value });
        }
        Ok(items)
    }
}

/// Finds the keywords `where` and `when` and cuts the text there.
pub(super) fn sections(text: &str) -> Result<Sections<'_>, ValueError> {
    let whole = Piece { text, at: 0 };
    let keywords = words(text)
        .filter(|word| matches!(word.text, "where" | "when"))
        .collect::<Vec<Piece<'_>>>();
    let mut sections = Sections {
        action: whole.part(0, keywords.first().map_or(text.len(), |word| word.at)),
        selectors: None,
        triggers: None,
    };
    for (position, keyword) in keywords.iter().enumerate() {
        let to = keywords
            .get(position + 1)
            .map_or(text.len(), |next| next.at);
        let section = whole.part(keyword.at + keyword.text.len(), to);
        let (slot, in_order) = match keyword.text {
            "where" => (&mut sections.selectors, sections.triggers.is_none()),
            _ => (&mut sections.triggers, true),
        };
        if slot.is_some() {
            return Err(keyword.refuse(format!("`{}` only once", keyword.text)));
        }
        if !in_order {
            return Err(keyword.refuse("`where` before `when`"));
        }
        *slot = Some(section);
    }
    Ok(sections)
}

/// The words of a text, cut at white space.
fn words(text: &str) -> impl Iterator<Item = Piece<'_>> {
    text.split_whitespace().map(move |word| Piece {
        text: word,
        // Both point into one allocation, and a part never starts before its whole.
        at: word.as_ptr().addr() - text.as_ptr().addr(),
    })
}
