//! A command line that cannot be understood, said in one line.

use std::{env, process::ExitCode};

use aura_agent::{AgentError, Whose};
use aura_guest_build::metadata::WrapperError;
use clap::error::ErrorKind;

use crate::{exit, output::Output, trace::chain};

/// Prints what was asked for, such as help, or what is wrong.
pub fn explain(error: &clap::Error) -> ExitCode {
    let output = if env::args_os().any(|it| it == "--json") { Output::Json } else { Output::Text };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            // Nobody reads it, so there is nobody to tell.
            Err(_) => ExitCode::FAILURE,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Where nothing at all was given, the parser's text is the whole help: not one line.
            let help = error.to_string();
            let usage = help.lines().find_map(|line| line.strip_prefix("Usage: "));
            let usage = usage.unwrap_or("aura <COMMAND>");
            let command = command_of(usage);
            let missing = format!("'{command}' requires a subcommand but one was not provided");
            output.error(&in_one_line(&format!("{missing}\nUsage: {usage}")))
        }
        _ => output.error(&in_one_line(&error.to_string())),
    }
}

/// Says to cargo, which started this program around the compiler, why there was none.
pub fn as_wrapper(error: &WrapperError) -> ExitCode {
    let next = "build with `aura protocol build`";
    Output::Text.error(&AgentError::new("Wrapper", chain(error), Whose::Machine, next))
}

/// The parser's paragraphs: first what is wrong, then tips, then the usage, then where help is.
fn in_one_line(paragraphs: &str) -> AgentError {
    let (mut message, mut next) = (Vec::new(), Vec::new());
    let mut help = "aura".to_owned();
    for line in paragraphs.lines().map(str::trim).filter(|it| !it.is_empty()) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            next.push(tip.to_owned());
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            next.push(format!("use it as `{usage}`"));
            help = command_of(usage);
        } else if next.is_empty() && !line.starts_with("For more information") {
            message.push(line);
        }
    }
    next.push(format!("see `{help} --help`"));
    let message = message.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    AgentError::new(exit::USAGE, message, Whose::Caller, next.join(", "))
}

/// The words of a usage before its first argument: the command that can be asked for help.
fn command_of(usage: &str) -> String {
    let words = usage.split_whitespace();
    let command = words.take_while(|word| !word.starts_with(['[', '<', '-']));
    command.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tip_and_the_usage_become_what_to_do_next() {
        let error = in_one_line(
            "error: unrecognized subcommand 'statu'\n\n  tip: a similar subcommand exists: \
             'status'\n\nUsage: aura [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.\n",
        );
        assert_eq!(error.message, "unrecognized subcommand 'statu'");
        assert_eq!(
            error.next,
            "a similar subcommand exists: 'status', use it as `aura [OPTIONS] <COMMAND>`, \
             see `aura --help`"
        );
    }

    #[test]
    fn where_help_is_does_not_get_into_the_message() {
        let error = in_one_line(
            "error: invalid value 'x' for '--bind <ADDR:PORT>': invalid socket address syntax\n\n\
             For more information, try '--help'.\n",
        );
        assert!(error.message.ends_with("address syntax"), "{error}");
        assert_eq!(error.next, "see `aura --help`");
    }

    #[test]
    fn what_is_missing_is_on_the_same_line() {
        let error = in_one_line(
            "error: the following required arguments were not provided:\n  --name <NAME>\n\n\
             Usage: aura account create --name <NAME>\n\nFor more information, try '--help'.\n",
        );
        assert_eq!(
            error.message,
            "the following required arguments were not provided: --name <NAME>"
        );
        assert_eq!(
            error.next,
            "use it as `aura account create --name <NAME>`, see `aura account create --help`"
        );
    }
}
