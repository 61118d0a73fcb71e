//! The control socket: how a command reaches the process that runs a device.
//!
//! JSON lines over a Unix socket in the store directory. A request is one line, a [`Command`]; the
//! answer is one line, an [`Answer`]; a connection carries any number of such pairs in turn.
//!
//! Invariants:
//! - INV-L1: only the owner of the store can connect. The socket is made inside a directory that
//!   only its owner can enter, restricted, and only then moved to where others look for it.
//! - INV-L2: one process serves a store. A lock on the directory decides; a socket file whose
//!   process is gone is replaced, one that answers is left alone.
//! - INV-L3: lines, connections and waiting are bounded, whoever writes to the socket.
//! - INV-L4: a line that is not a request is answered with `BadRequest`, and the connection goes on.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io::{self, ErrorKind},
    os::{
        fd::AsRawFd as _,
        unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    api::{Answer, Command, Response},
    error::{AgentError, Whose},
};

/// The socket's file in the store directory.
pub const SOCKET_NAME: &str = "control.sock";
/// Longest request line. The largest request carries one session input of at most 64 KiB, which is
/// 256 KiB as a JSON list of numbers, and as much again in parameters.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Longest answer line. A ledger's log is the longest: some 200 bytes for each of 64 Ki lines.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How long a client waits for an answer. Commands that need a quorum wait for people's devices.
pub const ANSWER_SECONDS_MAX: u64 = 600;

/// Connections served at once; more wait in the socket's queue. One person's shells and scripts
/// need a handful.
const CONNECTIONS_MAX: usize = 64;
/// How long a line may take to arrive or to be taken, so that no client holds a place for ever.
const LINE_SECONDS_MAX: u64 = 60;
/// Pause after a failed accept: the usual cause, no free file descriptors, does not end sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest path that `bind` and `connect` take: `sun_path` has 108 bytes, the last one is zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Where the socket is made before it is moved to its place.
const NURSERY_NAME: &str = ".control.new";

/// A bound control socket. Dropping it removes the file.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    place: Place,
}

impl ControlSocket {
    /// Binds the socket of a store directory.
    ///
    /// # Errors
    /// `StoreNotFound` where the directory is missing, `StoreInUse` where another process serves
    /// it, `ControlUnavailable` where the machine refuses.
    pub async fn bind(dir: &Path) -> Result<Self, AgentError> {
        let place = Place::open(dir).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => not_found(dir),
            _ => unavailable(dir, &error),
        })?;
        match place.handle.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir)),
            Err(TryLockError::Error(error)) => return Err(unavailable(dir, &error)),
        }
        if !place.is_free().await.map_err(|error| unavailable(dir, &error))? {
            return Err(in_use(dir));
        }
        let listener = place.listen().map_err(|error| unavailable(dir, &error))?;
        Ok(Self { listener, place })
    }

    /// Answers requests until `shutdown` is there. Requests under way are then answered with
    /// `Stopped`: whether they took effect shows after the next start.
    pub async fn serve<F, Fut>(self, handler: F, shutdown: impl Future<Output = ()>)
    where
        F: Fn(Command) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<Response, AgentError>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => report(ended),
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    match accepted {
                        Ok((stream, _)) => {
                            let conversation = converse(stream, handler.clone(), stopped.clone());
                            connections.spawn(conversation);
                        }
                        Err(error) => {
                            warn!(%error, "control socket could not accept");
                            sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
        stop.send_replace(true);
        // New clients find no socket from here on, and read the store themselves.
        drop(self);
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let path = self.place.path(SOCKET_NAME);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => warn!(%error, path = %path.display(), "control socket was not removed"),
        }
    }
}

/// Binds the socket of a store directory and answers requests until `shutdown` is there.
///
/// # Errors
/// As of [`ControlSocket::bind`].
pub async fn serve<F, Fut>(
    dir: &Path,
    handler: F,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError>
where
    F: Fn(Command) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<Response, AgentError>> + Send + 'static,
{
    ControlSocket::bind(dir).await?.serve(handler, shutdown).await;
    Ok(())
}

/// Asks the process that runs the store in `dir`; `None` if there is no such process.
///
/// # Errors
/// Those that the device answers; `ControlUnavailable` if the socket is not ours to use;
/// `ControlBroken` if the connection ends early; `TimedOut` after [`ANSWER_SECONDS_MAX`].
pub async fn request(dir: &Path, command: &Command) -> Result<Option<Response>, AgentError> {
    let Some(stream) = connect(dir).await? else { return Ok(None) };
    match timeout(Duration::from_secs(ANSWER_SECONDS_MAX), exchange(stream, command)).await {
        Ok(Ok(Answer::Ok(response))) => Ok(Some(response)),
        Ok(Ok(Answer::Error(error))) => Err(error),
        Ok(Err(error)) => Err(AgentError::new(
            "ControlBroken",
            format_args!("the running device gave no answer: {error}"),
            Whose::Machine,
            "look at its log, then ask again",
        )),
        Err(_) => Err(AgentError::new(
            "TimedOut",
            format_args!("the running device did not answer within {ANSWER_SECONDS_MAX} s"),
            Whose::Nobody,
            "see with `aura status` what it waits for",
        )),
    }
}

async fn connect(dir: &Path) -> Result<Option<UnixStream>, AgentError> {
    let place = match Place::open(dir) {
        Ok(place) => place,
        Err(error) if means_nobody_serves(&error) => return Ok(None),
        Err(error) => return Err(unavailable(dir, &error)),
    };
    match UnixStream::connect(place.path(SOCKET_NAME)).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if means_nobody_serves(&error) => Ok(None),
        Err(error) => Err(unavailable(dir, &error)),
    }
}

async fn exchange(stream: UnixStream, command: &Command) -> io::Result<Answer> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    match read_line(&mut BufReader::new(read), ANSWER_BYTES_MAX).await? {
        Line::Whole(line) => Ok(serde_json::from_slice(&line)?),
        Line::TooLong => Err(io::Error::new(ErrorKind::InvalidData, "its answer is too long")),
        Line::End => Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
    }
}

/// Whether an error of opening or connecting says that no process listens.
fn means_nobody_serves(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused
    )
}

/// A store directory, held open: for short paths into it and for the lock.
#[derive(Debug)]
struct Place {
    dir: PathBuf,
    handle: File,
}

impl Place {
    fn open(dir: &Path) -> io::Result<Self> {
        let handle = File::open(dir)?;
        if !handle.metadata()?.is_dir() {
            return Err(io::Error::new(ErrorKind::NotADirectory, "not a directory"));
        }
        Ok(Self { dir: dir.to_owned(), handle })
    }

    /// A path into the directory that a socket call takes, valid as long as `self`.
    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let name = name.as_ref();
        let path = self.dir.join(name);
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX || !cfg!(target_os = "linux") {
            return path;
        }
        // Linux resolves an open directory's entry in /proc like a link to the directory.
        PathBuf::from(format!("/proc/self/fd/{}", self.handle.as_raw_fd())).join(name)
    }

    /// Whether the socket's place is free, after removing what a process left that is gone.
    async fn is_free(&self) -> io::Result<bool> {
        let path = self.path(SOCKET_NAME);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
            // Nothing of ours, so it is not ours to remove.
            Ok(found) if !found.file_type().is_socket() => {
                let what = format!("{SOCKET_NAME} is there and is not a socket");
                return Err(io::Error::new(ErrorKind::AlreadyExists, what));
            }
            Ok(_) => {}
        }
        match UnixStream::connect(&path).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            // Somebody listens, with or without room for us.
            Ok(_) | Err(_) => return Ok(false),
        }
        fs::remove_file(&path)?;
        Ok(true)
    }

    /// Binds and restricts the socket out of everybody's sight, then moves it to its place.
    fn listen(&self) -> io::Result<UnixListener> {
        let nursery = self.dir.join(NURSERY_NAME);
        match fs::remove_dir_all(&nursery) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        DirBuilder::new().mode(0o700).create(&nursery)?;
        let made = self.path(Path::new(NURSERY_NAME).join(SOCKET_NAME));
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, self.path(SOCKET_NAME))?;
        fs::remove_dir(&nursery)?;
        Ok(listener)
    }
}

/// Answers one client's requests, one after another.
async fn converse<F, Fut>(
    stream: UnixStream,
    handler: F,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()>
where
    F: Fn(Command) -> Fut + Clone,
    Fut: Future<Output = Result<Response, AgentError>>,
{
    let line_time = Duration::from_secs(LINE_SECONDS_MAX);
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let line = tokio::select! {
            () = stop(&mut stopped) => return Ok(()),
            line = timeout(line_time, read_line(&mut read, REQUEST_BYTES_MAX)) => line??,
        };
        let answer = match line {
            Line::End => return Ok(()),
            Line::TooLong => Answer::Error(bad_request(format_args!(
                "the request is over the limit of {REQUEST_BYTES_MAX} bytes"
            ))),
            Line::Whole(line) => tokio::select! {
                () = stop(&mut stopped) => Answer::Error(stopped_meanwhile()),
                answer = answer(&line, handler.clone()) => answer,
            },
        };
        timeout(line_time, write.write_all(&encode(&answer)?)).await??;
    }
}

async fn answer<F, Fut>(line: &[u8], handler: F) -> Answer
where
    F: Fn(Command) -> Fut,
    Fut: Future<Output = Result<Response, AgentError>>,
{
    let command = match serde_json::from_slice(line) {
        Ok(command) => command,
        Err(error) => return Answer::Error(bad_request(error)),
    };
    match handler(command).await {
        Ok(response) => Answer::Ok(response),
        Err(error) => Answer::Error(error),
    }
}

/// An answer as a line that a client accepts.
fn encode(answer: &Answer) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(answer)?;
    if ANSWER_BYTES_MAX < line.len() {
        line = serde_json::to_vec(&Answer::Error(AgentError::new(
            "AnswerTooBig",
            format_args!("the answer is over the limit of {ANSWER_BYTES_MAX} bytes"),
            Whose::Caller,
            "ask for less, such as with `--limit`",
        )))?;
    }
    line.push(b'\n');
    Ok(line)
}

/// Waits until the server stops.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, and with it the server.
    if let Err(error) = stopped.wait_for(|stopped| *stopped).await {
        debug!(%error, "control server ended without stopping its connections");
    }
}

fn report(ended: Result<io::Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "control connection ended"),
        Err(error) => warn!(%error, "control connection broke down"),
    }
}

/// What a read for one line came to.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// The line without its end.
    Whole(Vec<u8>),
    /// A line over the limit: read to its end, not kept.
    TooLong,
    /// There is nothing more.
    End,
}

async fn read_line(
    read: &mut (impl AsyncBufRead + Unpin),
    line_bytes_max: usize,
) -> io::Result<Line> {
    let mut line = Vec::new();
    let mut is_too_long = false;
    loop {
        let available = read.fill_buf().await?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = available.split(|byte| *byte == b'\n').next().unwrap_or_default();
        is_too_long |= line_bytes_max - line.len() < part.len();
        if !is_too_long {
            line.extend_from_slice(part);
        }
        let is_last = available.is_empty();
        let taken = end.map_or(available.len(), |end| end + 1);
        read.consume(taken);
        match (is_last, end) {
            (false, None) => {}
            (_, _) if is_too_long => return Ok(Line::TooLong),
            (true, _) if line.is_empty() => return Ok(Line::End),
            // The last line needs no end: half a JSON object is never a whole one.
            (_, _) => return Ok(Line::Whole(line)),
        }
    }
}

fn bad_request(why: impl std::fmt::Display) -> AgentError {
    AgentError::new(
        "BadRequest",
        format_args!("not a request: {why}"),
        Whose::Caller,
        "send one command as one line of JSON",
    )
}

fn stopped_meanwhile() -> AgentError {
    AgentError::new(
        "Stopped",
        "the device stopped before the command was finished",
        Whose::Nobody,
        "start it with `aura run` and see with `aura status` whether it took effect",
    )
}

fn in_use(dir: &Path) -> AgentError {
    AgentError::new(
        "StoreInUse",
        format_args!("the store {} is in use by another process", dir.display()),
        Whose::Caller,
        "use the process that runs it, or stop it first",
    )
}

fn not_found(dir: &Path) -> AgentError {
    AgentError::new(
        "StoreNotFound",
        format_args!("there is no store in {}", dir.display()),
        Whose::Caller,
        "make one with `aura account create` or `aura device join`, or name another with --store",
    )
}

fn unavailable(dir: &Path, error: &io::Error) -> AgentError {
    AgentError::new(
        "ControlUnavailable",
        format_args!("the control socket in {} cannot be used: {error}", dir.display()),
        Whose::Machine,
        "check that the directory is yours and on a local disk",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads every line of `text` through a buffer that is smaller than a line.
    async fn lines(text: &str, line_bytes_max: usize) -> Vec<Line> {
        let mut read = BufReader::with_capacity(3, text.as_bytes());
        let mut lines = Vec::new();
        loop {
            match read_line(&mut read, line_bytes_max).await.unwrap() {
                Line::End => return lines,
                line => lines.push(line),
            }
        }
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    /// INV-L3: the limit holds to the byte, and what comes after a long line is a line again.
    #[tokio::test]
    async fn lines_are_bounded() {
        assert_eq!(lines("12345678\nab\n", 8).await, [whole("12345678"), whole("ab")]);
        assert_eq!(lines("123456789\nab\n", 8).await, [Line::TooLong, whole("ab")]);
        assert_eq!(lines("123456789", 8).await, [Line::TooLong]);
        assert_eq!(lines("\n\nab", 8).await, [whole(""), whole(""), whole("ab")]);
        assert_eq!(lines("", 8).await, []);
    }
}
