//! How answers and errors leave the process.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use aura_agent::{AgentError, Whose};
use serde::Serialize;

use crate::{exit, text};

/// Whom the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A person.
    Text,
    /// A program.
    Json,
}

#[derive(Serialize)]
struct Failed<'a> {
    error: &'a AgentError,
}

impl Output {
    /// Prints the object that was asked for. A person who reads its first lines only, as with
    /// `| head`, has what they wanted; a program has not.
    ///
    /// # Errors
    /// `OutputClosed` if nobody takes it.
    pub fn object(self, object: &impl Serialize) -> Result<(), AgentError> {
        let json = serde_json::to_string(object).map_err(io::Error::from);
        let text = |json: &str| text::render(json);
        self.printed(json, text)
    }

    /// Prints a text as it is for a person, and the object for a program.
    ///
    /// # Errors
    /// As [`Self::object`].
    pub fn document(self, text: &str, object: &impl Serialize) -> Result<(), AgentError> {
        let json = serde_json::to_string(object).map_err(io::Error::from);
        self.printed(json, |_| Ok(text::printable_lines(text)))
    }

    fn printed(
        self,
        json: io::Result<String>,
        text: impl Fn(&str) -> io::Result<String>,
    ) -> Result<(), AgentError> {
        let print = |json: String| match self {
            Self::Json => print(&json),
            Self::Text => match print(&text(&json)?) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                printed => printed,
            },
        };
        json.and_then(print).map_err(|error| {
            AgentError::new(
                "OutputClosed",
                format_args!("the answer could not be printed: {error}"),
                Whose::Caller,
                "give the command an open standard output",
            )
        })
    }

    /// Prints an error and gives the code to end with.
    pub fn error(self, error: &AgentError) -> ExitCode {
        let AgentError { message, whose, next, .. } = error;
        let line = text::printable(&format!("error: {message} ({whose}); {next}"));
        let said = writeln!(io::stderr(), "{line}");
        let told = match self {
            Self::Json => {
                let json = serde_json::to_string(&Failed { error }).map_err(io::Error::from);
                json.and_then(|json| print(&json))
            }
            Self::Text => Ok(()),
        };
        // Where both outputs are closed, the exit code is all that can still be said.
        match said.and(told) {
            Ok(()) | Err(_) => ExitCode::from(exit::code(error)),
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    // Whoever waits for a running device to be ready reads this line while the device goes on.
    out.flush()
}
