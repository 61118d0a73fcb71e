//! A ledger's document, written out in one go.

use std::{fmt, io::Write, str::FromStr};

use aura_journal::Ledger;
use aura_protocol_core::Digest;
use thiserror::Error;

use crate::{
    document::{Document, Extent},
    error::DocumentError,
};

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

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The document's heads.
    pub heads: Vec<Digest>,
    /// The height of the snapshot that it begins with; none where it begins with the account.
    pub since: Option<u64>,
}

/// Compiles the document of a ledger and writes it. JSON ends with a line feed.
///
/// # Errors
/// [`DocumentError::Write`] when it cannot be written; else as [`Document::update`].
pub fn write(
    ledger: &Ledger,
    extent: Extent,
    format: Format,
    out: &mut impl Write,
) -> Result<Exported, DocumentError> {
    let mut document = Document::with_extent(ledger.account(), extent);
    let _all = document.update(ledger)?;
    match format {
        Format::Automerge => out.write_all(&document.save()?)?,
        Format::Json => writeln!(out, "{}", document.to_json())?,
    }
    out.flush()?;
    Ok(Exported { heads: document.heads(), since: document.since() })
}
