//! `aura session`: sessions of an app with other devices.

use std::{path::Path, time::Duration};

use aura_agent::{
    AgentError, Whose,
    api::{self, Command, Response, StartRequest},
    offline,
};
use clap::{Args, Subcommand};
use tokio::time::{Instant, sleep};

use crate::{ask, context::Context};

/// Pause between two looks at a session: people do not notice it, and the device hardly does.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a session that was opened elsewhere may take to arrive. Connected devices need
/// milliseconds.
const ARRIVAL_MAX: Duration = Duration::from_secs(2);

/// The commands of sessions.
#[derive(Debug, Subcommand)]
pub enum Session {
    /// Begin a session of an app
    Start(Start),
    /// Say something to a session on this device
    Signal {
        /// The session's id, or how it begins
        session: String,
        /// What to say
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
    /// Show where a session stands
    Show {
        /// The session's id, or how it begins
        session: String,
        /// Wait so long for its end
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// List all sessions that this device takes part in
    List,
}

/// A session to begin.
#[derive(Debug, Args)]
pub struct Start {
    /// The app's alias
    alias: String,
    /// The other participants, by name or device id [default: everybody]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    with: Vec<String>,
    /// What to say to the session on this device at once
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    input: Option<String>,
    /// What every participant's protocol is started with
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "")]
    params: String,
    /// Wait so long for participants that have no version in common yet
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// Fail at once where there is no common version
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl Session {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        let store = &context.store;
        match self {
            Self::Start(start) => context.output.object(&start.run(store).await?),
            Self::Signal { session, text } => {
                let session = whole_id(context, &session).await?;
                let signal = Command::Signal { session, input: text.into_bytes() };
                context.output.object(&ask::running(store, &signal).await?)
            }
            Self::Show { session, wait: None } => {
                let sessions = list(context).await?.sessions;
                match find(sessions, &session)? {
                    Some(session) => context.output.object(&session),
                    None => Err(unknown(&session)),
                }
            }
            Self::Show { session, wait: Some(seconds) } => {
                context.output.object(&wait(context, &session, seconds).await?)
            }
            Self::List => context.output.object(&list(context).await?),
        }
    }
}

impl Start {
    /// Begins the session; waits where it only takes time until everybody has a common version.
    async fn run(self, store: &Path) -> Result<Response, AgentError> {
        let patience = Duration::from_secs(if self.no_wait { 0 } else { self.wait });
        let (begun, command) = (Instant::now(), self.request());
        let mut told = String::new();
        loop {
            match ask::running(store, &command).await {
                Err(error) if error.code == "NoAgreement" && begun.elapsed() < patience => {
                    if error.message != told {
                        eprintln!("waiting: {} (or pass --no-wait)", error.message);
                        told = error.message;
                    }
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    fn request(self) -> Command {
        Command::StartSession(StartRequest {
            alias: self.alias,
            with: self.with.into_iter().filter(|name| !name.is_empty()).collect(),
            params: self.params.into_bytes(),
            input: self.input.map(String::into_bytes),
        })
    }
}

async fn list(context: &Context) -> Result<api::Sessions, AgentError> {
    let answer = ask::running_or_stored(&context.store, &Command::Sessions, |store| {
        offline::sessions(store).map(Response::Sessions)
    });
    sessions(answer.await?)
}

fn sessions(answer: Response) -> Result<api::Sessions, AgentError> {
    match answer {
        Response::Sessions(sessions) => Ok(sessions),
        other => Err(ask::unexpected(&other)),
    }
}

/// The session of this id, or the only one whose id begins so: people see eight digits of it.
fn find(sessions: Vec<api::Session>, id: &str) -> Result<Option<api::Session>, AgentError> {
    let mut like = sessions.into_iter().filter(|it| !id.is_empty() && it.session.starts_with(id));
    match (like.next(), like.next()) {
        (found, None) => Ok(found),
        (Some(found), Some(_)) if found.session == id => Ok(Some(found)),
        (_, Some(_)) => Err(AgentError::new(
            "AmbiguousSession",
            format_args!("more than one session begins with {id}"),
            Whose::Caller,
            "give more digits of its id; `aura --json session list` has them",
        )),
    }
}

/// The whole id of a session on the running device. One that was opened elsewhere a moment ago may
/// still be on its way.
async fn whole_id(context: &Context, id: &str) -> Result<String, AgentError> {
    let begun = Instant::now();
    loop {
        let sessions = sessions(ask::running(&context.store, &Command::Sessions).await?)?;
        match find(sessions.sessions, id)? {
            Some(session) => return Ok(session.session),
            None if ARRIVAL_MAX <= begun.elapsed() => return Err(unknown(id)),
            None => sleep(PAUSE).await,
        }
    }
}

/// Looks at the running device until the session has ended or the time is up.
async fn wait(context: &Context, id: &str, seconds: u64) -> Result<api::Session, AgentError> {
    let begun = Instant::now();
    let mut seen: Option<api::Session> = None;
    loop {
        let is_over = Duration::from_secs(seconds) <= begun.elapsed();
        seen = match seen {
            Some(session) => Some(look(context, session.session).await?),
            None => {
                let listed = ask::running(&context.store, &Command::Sessions).await?;
                find(sessions(listed)?.sessions, id)?
            }
        };
        match &seen {
            Some(session) if has_ended(session) => return Ok(session.clone()),
            Some(session) if is_over => return Err(not_ended(session, seconds)),
            None if is_over => return Err(unknown(id)),
            _ => sleep(PAUSE).await,
        }
    }
}

async fn look(context: &Context, session: String) -> Result<api::Session, AgentError> {
    match ask::running(&context.store, &Command::Session { session }).await? {
        Response::Session(session) => Ok(session),
        other => Err(ask::unexpected(&other)),
    }
}

fn has_ended(session: &api::Session) -> bool {
    matches!(session.status.as_str(), "completed" | "aborted" | "left" | "failed")
}

fn not_ended(session: &api::Session, seconds: u64) -> AgentError {
    let missing = session.participants.iter().filter(|name| !session.heard.contains(name));
    let missing: Vec<_> = missing.map(String::as_str).collect();
    let (missing, next) = match missing.as_slice() {
        [] => (
            "everybody was heard".to_owned(),
            "its own time limits end it where its steps do not: look again later, or with a longer --wait",
        ),
        names => (
            format!("nothing was heard from {}", names.join(", ")),
            "see with `aura device list` who is connected, and ask again",
        ),
    };
    AgentError::new(
        "TimedOut",
        format_args!(
            "session {} is still {} after {seconds} s: {missing}",
            session.session, session.status
        ),
        Whose::Nobody,
        next,
    )
}

fn unknown(id: &str) -> AgentError {
    AgentError::new(
        "UnknownSession",
        format_args!("this device knows no session {id}"),
        Whose::Caller,
        "see with `aura session list` which there are; one begun elsewhere may still arrive",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, heard: &[&str]) -> api::Session {
        api::Session {
            session: id.into(),
            part_of: None,
            alias: "counter".into(),
            status: "active".into(),
            spoken: "1.0.0".into(),
            version: "1.0.0".into(),
            outcome: String::new(),
            participants: vec!["anna".into(), "bert".into()],
            heard: heard.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[track_caller]
    fn check(ids: &[&str], id: &str, expected: Result<Option<&str>, &str>) {
        let sessions = ids.iter().map(|id| session(id, &[])).collect();
        let found = find(sessions, id).map(|it| it.map(|it| it.session)).map_err(|it| it.code);
        assert_eq!(found.as_ref().map(Option::as_deref).map_err(String::as_str), expected);
    }

    #[test]
    fn a_session_is_found_by_the_beginning_of_its_id() {
        check(&["aa11", "ab22"], "ab", Ok(Some("ab22")));
        check(&["aa11", "ab22"], "ab22", Ok(Some("ab22")));
        check(&["aa11", "ab22"], "a", Err("AmbiguousSession"));
        check(&["aa11", "ab22"], "ab223", Ok(None));
        check(&["aa11"], "", Ok(None));
    }

    #[test]
    fn who_was_not_heard_is_named() {
        let error = not_ended(&session("aa11", &["anna"]), 5);
        assert_eq!(
            error.message,
            "session aa11 is still active after 5 s: nothing was heard from bert"
        );
        let error = not_ended(&session("aa11", &["bert", "anna"]), 5);
        assert!(error.message.ends_with("everybody was heard"), "{error}");
        // Who is connected is not what it waits for.
        assert!(!error.next.contains("device list"), "{}", error.next);
    }
}
