//! `aura run`: the process that runs the device.

use std::{
    env,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use aura_agent::{
    AgentError, DeviceAgent, Whose,
    api::{Command, Response},
    control::ControlSocket,
    storage::StorageSecret,
};
use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{ask, context::Context, progress};

/// Runs the device.
#[derive(Debug, Args)]
pub struct Run {
    /// Where to listen for other devices; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// The file whose key seals this device's secrets; made if there is none [default: $AURA_KEY_FILE,
    /// else the store's path with `.key`]. With AURA_PASSPHRASE set, that seals them instead
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// The variable that names the key file when `--key-file` does not.
const KEY_FILE_VARIABLE: &str = "AURA_KEY_FILE";
/// The variable with the passphrase.
const PASSPHRASE_VARIABLE: &str = "AURA_PASSPHRASE";

/// What seals the device's secrets.
fn secret(key_file: Option<PathBuf>, store: &Path) -> Result<StorageSecret, AgentError> {
    let set = |name: &str| env::var_os(name).filter(|it| !it.is_empty());
    if let Some(path) = key_file {
        return Ok(StorageSecret::KeyFile(path));
    }
    if let Some(passphrase) = set(PASSPHRASE_VARIABLE) {
        let text = OsString::into_string(passphrase).map_err(|_| {
            let (what, next) = ("the passphrase is no text", "set AURA_PASSPHRASE to UTF-8 text");
            AgentError::new("BadPassphrase", what, Whose::Caller, next)
        })?;
        return Ok(StorageSecret::passphrase(text));
    }
    let path = set(KEY_FILE_VARIABLE).map(PathBuf::from);
    Ok(path.map_or_else(|| StorageSecret::beside(store), StorageSecret::KeyFile))
}

/// The line that says that the device runs and can be asked.
#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    device: String,
    name: String,
    addr: SocketAddr,
}

impl Run {
    /// Runs the device until it is interrupted.
    pub async fn run(self, context: &Context) -> Result<(), AgentError> {
        // From here on an interrupt is an orderly stop, at whatever moment it comes.
        let mut interrupts = Interrupts::new()?;
        let builder = DeviceAgent::builder(&context.store).bind(self.bind);
        let secret = secret(self.key_file, &context.store)?;
        let agent = builder.storage_secret(secret).open().await?;
        let agent = Arc::new(agent);
        let served = serve(&agent, context, &mut interrupts).await;
        let stopped = match Arc::into_inner(agent) {
            Some(agent) => agent.shutdown().await,
            None => Err(still_in_use()),
        };
        served.and(stopped)
    }
}

async fn serve(
    agent: &Arc<DeviceAgent>,
    context: &Context,
    interrupts: &mut Interrupts,
) -> Result<(), AgentError> {
    let socket = ControlSocket::bind(&context.store).await?;
    let status = match agent.request(Command::Status).await? {
        Response::Status(status) => status,
        other => return Err(ask::unexpected(&other)),
    };
    let ready =
        Ready { ready: true, device: status.device, name: status.name, addr: agent.address() };
    context.output.object(&ready)?;
    let handler = {
        let agent = Arc::clone(agent);
        move |command| {
            let agent = Arc::clone(&agent);
            async move { agent.request(command).await }
        }
    };
    let stop = async {
        tokio::select! {
            () = interrupts.next() => {}
            // The error itself comes from `shutdown`.
            _ = agent.failed() => {}
            () = progress::show(agent) => {}
        }
    };
    socket.serve(handler, stop).await;
    Ok(())
}

/// SIGINT, which a terminal sends, and SIGTERM, which supervisors send.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, AgentError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                AgentError::new(
                    "MachineRefused",
                    format_args!("signals cannot be received: {error}"),
                    Whose::Machine,
                    "raise the limit of open files",
                )
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn still_in_use() -> AgentError {
    AgentError::new(
        "StoppedHard",
        "a request was still being carried out when the device stopped",
        Whose::Machine,
        "start the device again: its store is complete up to its last write",
    )
}
