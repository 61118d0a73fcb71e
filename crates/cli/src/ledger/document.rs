//! `aura ledger document`: the account as one Automerge document.
//!
//! It is compiled by this process from a copy of the ledger, so that a running device goes on
//! meanwhile.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use aura_agent::{AgentError, Whose};
use aura_journal::Ledger;
use aura_journal_document::{DocumentError, Exported, Extent, Format, write};
use clap::Args;
use serde::Serialize;

use crate::{ask, context::Context, exit, output::Output};

/// How to write the document.
#[derive(Debug, Args)]
pub struct Document {
    /// As what: automerge, a file for any Automerge tool, or json
    #[arg(long, value_name = "FORMAT", default_value_t = Format::Json)]
    format: Format,
    /// Everything since the account began, not only since its newest snapshot: on a device that has
    /// dropped nothing
    #[arg(long)]
    whole: bool,
    /// Into which file; standard output otherwise
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A document was written to a file.
#[derive(Serialize)]
struct Written {
    file: PathBuf,
    format: String,
    bytes: u64,
    units: usize,
    entries: usize,
    heads: Vec<String>,
    /// The height of the snapshot that it begins with. Whoever begins with the same one, and holds the
    /// same entries and units since, has the same heads, dropped or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

impl Document {
    /// Writes the document.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let extent = if self.whole { Extent::Whole } else { Extent::SinceSnapshot };
        let Some(file) = self.file else {
            let lines_only = context.output == Output::Json || io::stdout().is_terminal();
            if self.format == Format::Automerge && lines_only {
                return Err(not_for_people());
            }
            let ledger = ask::ledger(&context.store).await?;
            return print(&ledger, extent, self.format);
        };
        let ledger = ask::ledger(&context.store).await?;
        context.output.object(&save(&ledger, extent, self.format, file)?)
    }
}

fn print(ledger: &Ledger, extent: Extent, format: Format) -> Result<(), AgentError> {
    match write(ledger, extent, format, &mut io::stdout().lock()) {
        Ok(_written) => Ok(()),
        Err(DocumentError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(failed(&error, "the standard output")),
    }
}

/// Whoever looks finds the whole document or what stood there before.
fn save(
    ledger: &Ledger,
    extent: Extent,
    format: Format,
    file: PathBuf,
) -> Result<Written, AgentError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!("{name}.new"));
    let saved = write_to(ledger, extent, format, &new).and_then(|written| {
        let bytes = fs::metadata(&new)?.len();
        fs::rename(&new, &file)?;
        Ok((written, bytes))
    });
    let (Exported { heads, since }, bytes) = saved.map_err(|error| {
        // It was never there, or is of no use.
        let _removed = fs::remove_file(&new);
        failed(&error, &file.display().to_string())
    })?;
    let (units, entries) = (ledger.len(), ledger.chain().entries().len());
    let heads = heads.iter().map(ToString::to_string).collect();
    Ok(Written { file, format: format.to_string(), bytes, units, entries, heads, since })
}

fn write_to(
    ledger: &Ledger,
    extent: Extent,
    format: Format,
    new: &Path,
) -> Result<Exported, DocumentError> {
    let mut out = BufWriter::new(File::create(new)?);
    let written = write(ledger, extent, format, &mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(written)
}

fn failed(error: &DocumentError, place: &str) -> AgentError {
    let message = format!("the document was not written to {place}: {error}");
    let (whose, next) = match error {
        DocumentError::Write(_) => (Whose::Machine, "name a file in a folder that has room"),
        DocumentError::Settled { .. } => (
            Whose::Nobody,
            "leave out --whole, or write it on a device that has not dropped its units",
        ),
        _ => (Whose::Machine, "report this as a bug"),
    };
    let cause = std::error::Error::source(error).map(|it| format!(": {it}")).unwrap_or_default();
    AgentError::new(error.code(), format_args!("{message}{cause}"), whose, next)
}

fn not_for_people() -> AgentError {
    AgentError::new(
        exit::USAGE,
        "an Automerge document is neither text nor a line of JSON",
        Whose::Caller,
        "name a file, or lead standard output into one without --json",
    )
}
