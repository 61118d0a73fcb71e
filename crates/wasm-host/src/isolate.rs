//! Where compilers run: in this process, or in a child with limits on its processor time and memory.
//!
//! The gate bounds what a compiler is asked to do; the limits here hold also where the compiler has a
//! mistake. They bound what it takes, not what it returns: a child is this program again, with this
//! program's rights, and its code is believed as this program's own.
//!
//! A question is `digest (32) ‖ metered module` on standard input, up to its end. The answer is
//! `build (32) ‖ status (1) ‖ code, or what went wrong`, where `build` names the engine, the processor
//! and the gate, so that a child of another build is not believed.

use std::{
    env, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio, exit},
    sync::mpsc,
    thread,
    time::Duration,
};

use aura_protocol_core::Digest;

use crate::{
    Engine, HostError, engine,
    gate::{self, Metered},
    limits::{ARTIFACT_BYTES_MAX, COMPILE_CPU_SECONDS_MAX, COMPILE_WALL_SECONDS_MAX},
};

/// The argument that makes a program a compiler; see [`run_child_if_asked`].
pub const CHILD_ARGUMENT: &str = "aura-compile-one-module";

const HEADER_BYTES: usize = 33;
const COMPILED: u8 = 0;
const FAILED: u8 = 1;

/// Where modules are compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Isolation {
    /// In this process, under the gate's limits alone.
    #[default]
    InProcess,
    /// In a process of the program at this path, which calls [`run_child_if_asked`] first of all.
    Child(PathBuf),
}

/// Compiles one module and ends the process, if that is what this process was started for; otherwise
/// does nothing. Programs that are their own child call it at the beginning of `main`.
pub fn run_child_if_asked() {
    if env::args_os().nth(1).is_none_or(|it| it != CHILD_ARGUMENT) {
        return;
    }
    exit(match child() {
        Ok(()) => 0,
        Err(_) => 1, // Nobody is there to read it.
    });
}

fn child() -> io::Result<()> {
    limit_this_process()?; // Before anything of the module is read.
    let mut question = Vec::new();
    io::stdin().lock().read_to_end(&mut question)?;
    let engine = engine::default();
    let (status, answer) = match compile(engine.as_ref(), &question) {
        Ok(code) => (COMPILED, code),
        Err(reason) => (FAILED, reason.into_bytes()),
    };
    let mut out = io::stdout().lock();
    out.write_all(build(&engine.id()).as_bytes())?;
    out.write_all(&[status])?;
    out.write_all(&answer)?;
    out.flush()
}

fn compile(engine: &dyn Engine, question: &[u8]) -> Result<Vec<u8>, String> {
    let (digest, metered) = question.split_first_chunk().ok_or("half a question")?;
    let module = Metered::of_parent(Digest::from_bytes(*digest), metered.to_vec());
    let compiled = engine.compile(&module).map_err(|error| error.to_string())?;
    compiled.artifact().map_err(|error| error.to_string())
}

#[cfg(unix)]
fn limit_this_process() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let limit = |resource, most: u64| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    limit(Resource::Cpu, COMPILE_CPU_SECONDS_MAX)?;
    limit(Resource::Data, crate::limits::COMPILE_MEMORY_BYTES_MAX)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    Ok(())
}

/// Elsewhere the parent's patience alone ends a child.
#[cfg(not(unix))]
fn limit_this_process() -> io::Result<()> {
    Ok(())
}

/// Has the program at `path` compile `module` for the engine `engine_id`.
pub(crate) fn compile_in_child(
    path: &Path,
    engine_id: &str,
    module: &Metered,
) -> Result<Vec<u8>, HostError> {
    let digest = module.digest();
    let failed = |source| HostError::Child { path: path.to_path_buf(), source };
    let mut child = Command::new(path)
        .arg(CHILD_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let answer = converse(&mut child, digest, module.bytes());
    // Whoever answered is done, and whoever did not must not go on.
    let ended = child.try_wait().map_err(failed)?;
    let ended = match ended {
        Some(status) => status,
        None if answer.is_some() => child.wait().map_err(failed)?,
        None => {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Err(HostError::CompileStopped { digest, limit: "time" });
        }
    };
    if let Some(limit) = limit_hit(ended) {
        return Err(HostError::CompileStopped { digest, limit });
    }
    read_answer(digest, engine_id, answer.unwrap_or_default())
}

/// What the child says, if it says something in time. Closes its output unread where that is too long.
fn converse(child: &mut Child, digest: Digest, metered: &[u8]) -> Option<Vec<u8>> {
    let (mut to, from) = (child.stdin.take()?, child.stdout.take()?);
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut answer = Vec::new();
        let most = ARTIFACT_BYTES_MAX + HEADER_BYTES as u64;
        let read = from.take(most).read_to_end(&mut answer);
        // The receiver is gone where its patience is.
        sender.send(read.map(|_| answer)).unwrap_or_default();
    });
    // A child that dies meanwhile breaks the pipe; how it died says why.
    let asked = to.write_all(digest.as_bytes()).and_then(|()| to.write_all(metered));
    drop(to);
    let patience = Duration::from_secs(COMPILE_WALL_SECONDS_MAX);
    let answer = receiver.recv_timeout(patience).ok()?;
    reader.join().ok()?;
    Some(if asked.is_ok() { answer.unwrap_or_default() } else { Vec::new() })
}

/// The limit that ended the process, if one did.
#[cfg(unix)]
fn limit_hit(status: ExitStatus) -> Option<&'static str> {
    use std::os::unix::process::ExitStatusExt;

    use rustix::process::Signal;

    let signal = status.signal()?;
    // Rust aborts where it is refused memory; a mapping of the compiler's own ends in SIGSEGV or BUS.
    if signal == Signal::XCPU.as_raw() || signal == Signal::KILL.as_raw() {
        Some("processor time")
    } else {
        Some("memory")
    }
}

#[cfg(not(unix))]
fn limit_hit(_status: ExitStatus) -> Option<&'static str> {
    None
}

fn read_answer(digest: Digest, engine_id: &str, mut answer: Vec<u8>) -> Result<Vec<u8>, HostError> {
    let failed = |reason: &str| HostError::Compile { digest, reason: reason.to_owned() };
    let (header, rest) = answer
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| failed("the child gave no answer"))?;
    let (found, status) = header.split_at(32);
    if found != build(engine_id).as_bytes() {
        return Err(failed("the child is of another build"));
    }
    if status != [COMPILED] {
        return Err(failed(&String::from_utf8_lossy(rest)));
    }
    answer.drain(..HEADER_BYTES);
    Ok(answer)
}

/// What a child and its parent must share, beside the module.
fn build(engine_id: &str) -> Digest {
    let gate = gate::VERSION.to_le_bytes();
    Digest::tagged("aura compile child v1", &[engine_id.as_bytes(), &gate])
}
