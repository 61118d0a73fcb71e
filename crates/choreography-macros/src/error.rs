//! What is wrong with a text, all of it at once.

use std::fmt::Display;

use syn::{Error, Result};

/// Errors so far.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// An error at a token of the author's.
    pub(crate) fn at(&mut self, token: &impl quote::ToTokens, what: impl Display) {
        self.push(Error::new_spanned(token, what));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of a result; an error is kept, and the value is then missing.
    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn or<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}
