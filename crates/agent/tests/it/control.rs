//! The control socket: who may connect, and what a hostile or hasty client can do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aura_agent::{
    AgentError, Whose,
    api::{Answer, Command, Proposals, Proposed, Response, StartRequest, Started, TicketIssued},
    control::{ControlSocket, REQUEST_BYTES_MAX, SOCKET_NAME, request, serve},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// Longest wait for anything in these tests; they are done in milliseconds.
const DEADLINE: Duration = Duration::from_secs(20);

/// A server that runs until it is told to stop.
struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `dir` with [`handle`].
    async fn start(dir: &Path) -> Self {
        Self::start_with(dir, handle).await
    }

    async fn start_with<F, Fut>(dir: &Path, handler: F) -> Self
    where
        F: Fn(Command) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<Response, AgentError>> + Send + 'static,
    {
        let socket = ControlSocket::bind(dir).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(socket.serve(handler, async move { stopped.await.unwrap() }));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

/// Says back what it was asked, so that tests see what arrived.
async fn handle(command: Command) -> Result<Response, AgentError> {
    match command {
        Command::Invite { valid_seconds, .. } => {
            Ok(Response::Ticket(TicketIssued { ticket: "aura".into(), expires: valid_seconds }))
        }
        Command::StartSession(start) => Ok(Response::Started(Started {
            session: start.alias,
            spoken: String::from_utf8(start.params).unwrap(),
            runs: start.with.into_iter().map(|name| (name, "1.0.0".into())).collect(),
        })),
        other => Err(AgentError::new("Refused", format!("{other:?}"), Whose::Peer, "wait")),
    }
}

/// A client that writes what it likes.
struct Raw(BufReader<UnixStream>);

impl Raw {
    async fn connect(dir: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(dir.join(SOCKET_NAME)).await.unwrap()))
    }

    async fn write(&mut self, bytes: &[u8]) {
        timeout(DEADLINE, self.0.write_all(bytes)).await.unwrap().unwrap();
    }

    /// The next answer; `None` when the server closed the connection.
    async fn answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        timeout(DEADLINE, self.0.read_line(&mut line)).await.unwrap().unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    async fn error_code(&mut self) -> String {
        match self.answer().await {
            Some(Answer::Error(error)) => error.code,
            other => panic!("not an error: {other:?}"),
        }
    }
}

fn invite(valid_seconds: u64) -> Command {
    Command::Invite { valid_seconds, replaces: None }
}

fn ticket(expires: u64) -> Response {
    Response::Ticket(TicketIssued { ticket: "aura".into(), expires })
}

#[tokio::test]
async fn a_request_is_answered() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    assert_eq!(request(dir.path(), &invite(60)).await, Ok(Some(ticket(60))));

    let start = StartRequest {
        alias: "counter".into(),
        with: vec!["bob".into()],
        params: "grüezi\n".into(),
        input: None,
    };
    let started = request(dir.path(), &Command::StartSession(start)).await.unwrap().unwrap();
    let Response::Started(started) = started else { panic!("not a start: {started:?}") };
    assert_eq!(started.spoken, "grüezi\n");
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_arrives_whole() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    let refused = AgentError::new("Refused", "Status", Whose::Peer, "wait");
    assert_eq!(request(dir.path(), &Command::Status).await, Err(refused));
    server.stop().await;
}

/// Answers have no tag, so each must be read as what it was written as.
#[test]
fn answers_of_similar_shape_stay_apart() {
    let answers = [
        ticket(1),
        Response::Proposed(Proposed { proposal: "p".into() }),
        Response::Proposals(Proposals { proposals: vec![] }),
        Response::Started(Started {
            session: "s".into(),
            spoken: "1.0.0".into(),
            runs: [("bob".into(), "1.1.0".into())].into(),
        }),
        read(
            r#"{"session":"s","alias":"a","status":"active","spoken":"1.0.0","version":"1.1.0",
                 "outcome":"","participants":["bob"],"heard":[]}"#,
        ),
        read(r#"{"sessions":[]}"#),
        read(r#"{"lines":[]}"#),
        read(r#"{"devices":[]}"#),
    ];
    for answer in answers {
        let line = serde_json::to_string(&Answer::Ok(answer.clone())).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), Answer::Ok(answer));
    }
}

fn read(json: &str) -> Response {
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn nobody_serves() {
    let dir = TempDir::new().unwrap();
    assert_eq!(request(dir.path(), &Command::Status).await, Ok(None));
    assert_eq!(request(&dir.path().join("missing"), &Command::Status).await, Ok(None));

    let error = ControlSocket::bind(&dir.path().join("missing")).await.unwrap_err();
    assert_eq!(error.code, "StoreNotFound");
}

/// A path over the 108 bytes of `sun_path`, in a directory that may also hold odd names.
fn long_path(base: &Path) -> PathBuf {
    let path = base.join("ä".repeat(60)).join("b".repeat(200));
    fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn a_long_path_works() {
    let base = TempDir::new().unwrap();
    let dir = long_path(base.path());
    let server = Server::start(&dir).await;
    assert_eq!(request(&dir, &invite(7)).await, Ok(Some(ticket(7))));
    let second = ControlSocket::bind(&dir).await.unwrap_err();
    assert_eq!(second.code, "StoreInUse");
    server.stop().await;
    assert_eq!(request(&dir, &invite(7)).await, Ok(None));
    assert!(!dir.join(SOCKET_NAME).exists());
}

/// INV-L1: whatever the directory allows, the socket is its owner's alone.
#[tokio::test]
async fn only_the_owner_can_connect() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start(dir.path()).await;
    let mode = fs::metadata(dir.path().join(SOCKET_NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [SOCKET_NAME]);
    server.stop().await;
}

/// INV-L2: what a killed process leaves is replaced, its half-made socket included.
#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let dir = TempDir::new().unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap());
    let nursery = dir.path().join(".control.new");
    fs::create_dir(&nursery).unwrap();
    drop(std::os::unix::net::UnixListener::bind(nursery.join(SOCKET_NAME)).unwrap());
    assert_eq!(request(dir.path(), &invite(1)).await, Ok(None));

    let server = Server::start(dir.path()).await;
    assert_eq!(request(dir.path(), &invite(1)).await, Ok(Some(ticket(1))));
    assert!(!nursery.exists());
    server.stop().await;
}

/// INV-L2: a live server keeps its socket, whether it knows of the lock or not.
#[tokio::test]
async fn a_live_socket_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    let error = serve(dir.path(), handle, std::future::pending()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.whose), ("StoreInUse", Whose::Caller));
    assert_eq!(request(dir.path(), &invite(2)).await, Ok(Some(ticket(2))));
    server.stop().await;

    let foreign = std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap();
    assert_eq!(ControlSocket::bind(dir.path()).await.unwrap_err().code, "StoreInUse");
    drop(foreign);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(SOCKET_NAME), "mine").unwrap();
    let error = ControlSocket::bind(dir.path()).await.unwrap_err();
    assert_eq!(error.code, "ControlUnavailable");
    assert!(error.message.contains("is not a socket"), "{error}");
    assert_eq!(fs::read(dir.path().join(SOCKET_NAME)).unwrap(), b"mine");
}

/// INV-L4: garbage is answered, and the same connection goes on.
#[tokio::test]
async fn garbage_is_answered() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    let mut raw = Raw::connect(dir.path()).await;
    let deep = "[".repeat(100_000) + "\n";
    let garbage: [&[u8]; 6] = [
        b"\n",
        b"hello\n",
        b"\xff\xfe\x00\n",
        b"{\"command\":\"format_disk\"}\n",
        b"{\"command\":\"invite\",\"valid_seconds\":-1}\n",
        deep.as_bytes(),
    ];
    for line in garbage {
        raw.write(line).await;
        assert_eq!(raw.error_code().await, "BadRequest");
    }
    raw.write(b"{\"command\":\"invite\",\"valid_seconds\":5}\n").await;
    assert_eq!(raw.answer().await, Some(Answer::Ok(ticket(5))));
    server.stop().await;
}

/// INV-L3: a line over the limit is read away, refused, and harms nobody.
#[tokio::test]
async fn an_oversized_line_is_refused() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    let mut raw = Raw::connect(dir.path()).await;
    let padding = " ".repeat(3 * REQUEST_BYTES_MAX);
    raw.write(format!("{{\"command\":\"status\"{padding}}}\n").as_bytes()).await;
    assert_eq!(raw.error_code().await, "BadRequest");
    raw.write(b"{\"command\":\"invite\",\"valid_seconds\":6}\n").await;
    assert_eq!(raw.answer().await, Some(Answer::Ok(ticket(6))));
    server.stop().await;
}

/// INV-L3: more clients than there are places wait for one; those that leave make room.
#[tokio::test]
async fn many_clients_take_turns() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(Raw::connect(dir.path()).await);
    }
    let late = tokio::spawn({
        let dir = dir.path().to_owned();
        async move { request(&dir, &invite(8)).await }
    });
    for mut raw in idle.drain(..) {
        raw.write(b"{\"command\":\"invite\",\"valid_seconds\":9}").await;
        raw.0.shutdown().await.unwrap();
        assert_eq!(raw.answer().await, Some(Answer::Ok(ticket(9))));
        assert_eq!(raw.answer().await, None);
    }
    assert_eq!(timeout(DEADLINE, late).await.unwrap().unwrap(), Ok(Some(ticket(8))));
    server.stop().await;
}

/// A request under way when the device stops is told so; idle connections do not hold it up.
#[tokio::test]
async fn stopping_answers_what_is_under_way() {
    let dir = TempDir::new().unwrap();
    let begun = Arc::new(Notify::new());
    let server = Server::start_with(dir.path(), {
        let begun = Arc::clone(&begun);
        move |_| {
            // The device waits for a quorum that never comes.
            begun.notify_one();
            std::future::pending()
        }
    })
    .await;
    let mut idle = Raw::connect(dir.path()).await;
    let mut waiting = Raw::connect(dir.path()).await;
    waiting.write(b"{\"command\":\"status\"}\n").await;
    timeout(DEADLINE, begun.notified()).await.unwrap();
    server.stop().await;
    assert_eq!(idle.answer().await, None);
    assert_eq!(waiting.error_code().await, "Stopped");
}

#[tokio::test]
async fn a_server_that_breaks_off_is_an_error() {
    let dir = TempDir::new().unwrap();
    let listener = tokio::net::UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap();
    let broken = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"{\"ok\":{\"tick").await.unwrap();
    });
    let error = request(dir.path(), &Command::Status).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.whose), ("ControlBroken", Whose::Machine));
    broken.await.unwrap();
}
