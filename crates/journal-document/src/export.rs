//! A ledger's document, written out in one go.

use std::{fmt, io::Write, str::FromStr};

use aura_journal::Ledger;
use aura_protocol_core::Digest;
use thiserror::Error;

use crate::{document::Document, error::DocumentError};

/// As what a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An Automerge file, for any Automerge tool.
    Automerge,
    /// One line of JSON, for people and programs.
    Json,
}

/// A format of another name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no format is called `{name}`: automerge, json")]
pub struct UnknownFormat {
    /// The name.
    pub name: String,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Automerge => "automerge",
            Self::Json => "json",
        })
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        [Self::Automerge, Self::Json]
            .into_iter()
            .find(|it| it.to_string() == name)
            .ok_or_else(|| UnknownFormat { name: name.to_owned() })
    }
}

/// Compiles the document of a ledger and writes it. JSON ends with a line feed. Gives the document's
/// heads.
///
/// # Errors
/// [`DocumentError::Write`] when it cannot be written, [`DocumentError::Refused`] for a bug of this
/// crate.
pub fn write(
    ledger: &Ledger,
    format: Format,
    out: &mut impl Write,
) -> Result<Vec<Digest>, DocumentError> {
    let document = Document::of(ledger)?;
    match format {
        Format::Automerge => out.write_all(&document.save()?)?,
        Format::Json => writeln!(out, "{}", document.to_json())?,
    }
    out.flush()?;
    Ok(document.heads())
}
