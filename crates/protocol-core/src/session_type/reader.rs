//! Reads words, numbers, signs and layouts, and knows where it is.

use alloc::string::{String, ToString};

use super::{SessionTypeError, TextFault};

/// A place in a text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The place of the next thing to read.
    pub(super) fn place(&mut self) -> usize {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\n']).len();
        self.at
    }

    /// The word that comes next, empty if none does.
    fn peek_word(&mut self) -> &'a str {
        self.place();
        let rest = self.rest();
        let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    }

    /// Whether the word or sign `token` comes next; it is read if so.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let word = self.peek_word();
        let here = if word.is_empty() { self.rest().starts_with(token) } else { word == token };
        if here {
            self.at += token.len();
        }
        here
    }

    /// Reads the word or sign `token`.
    pub(super) fn expect(&mut self, token: &'static str) -> Result<(), SessionTypeError> {
        if self.eat(token) { Ok(()) } else { Err(self.expected(token)) }
    }

    /// Reads a word. Whether it is a name is checked with the type.
    pub(super) fn word(&mut self, expected: &'static str) -> Result<String, SessionTypeError> {
        let word = self.peek_word();
        if word.is_empty() {
            return Err(self.expected(expected));
        }
        self.at += word.len();
        Ok(word.to_string())
    }

    /// Reads a number, if one comes next and fits.
    pub(super) fn number<T: core::str::FromStr>(&mut self) -> Result<T, SessionTypeError> {
        let word = self.peek_word();
        match word.parse() {
            Ok(number) => {
                self.at += word.len();
                Ok(number)
            }
            Err(_) => Err(self.expected("a number")),
        }
    }

    /// Reads a layout up to the bracket that closes it.
    pub(super) fn layout(&mut self) -> Result<String, SessionTypeError> {
        let rest = self.rest();
        let mut open = 0_usize;
        for (index, byte) in rest.bytes().enumerate() {
            match byte {
                b'(' => open += 1,
                b')' if open == 0 => {
                    self.at += index;
                    return Ok(rest.get(..index).unwrap_or_default().to_string());
                }
                b')' => open -= 1,
                b'\n' => break,
                _ => {}
            }
        }
        Err(self.expected("a layout and `)` on this line"))
    }

    /// Whether the text is over.
    pub(super) fn at_end(&mut self) -> bool {
        self.place();
        self.rest().is_empty()
    }

    /// Says what should stand here.
    pub(super) fn expected(&mut self, expected: &'static str) -> SessionTypeError {
        let word = self.peek_word();
        let found = match (word, self.rest().chars().next()) {
            ("", None) => "the end".to_string(),
            ("", Some(sign)) => alloc::format!("`{}`", sign.escape_debug()),
            (word, _) => alloc::format!("`{}`", word.get(..32).unwrap_or(word)),
        };
        self.error(self.at, TextFault::Expected { expected, found })
    }

    /// Says what is wrong at a place.
    pub(super) fn error(&self, place: usize, fault: TextFault) -> SessionTypeError {
        error_at(self.text, place, fault)
    }
}

/// Turns a place into line and column.
pub(super) fn error_at(text: &str, place: usize, fault: TextFault) -> SessionTypeError {
    let before = text.as_bytes().get(..place).unwrap_or(text.as_bytes());
    let line_starts = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    SessionTypeError {
        line: 1 + before.iter().filter(|it| **it == b'\n').count(),
        column: 1 + before.len() - line_starts,
        fault,
    }
}
