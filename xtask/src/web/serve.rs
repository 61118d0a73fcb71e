//! A static server for one folder, on this machine alone.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// Bytes of a request's head. Browsers send some 600.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// How long a browser may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at once. A browser opens six.
const CONNECTIONS_MAX: usize = 64;

/// A folder and the port it is served at.
pub struct Server {
    folder: PathBuf,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the port, on the loopback address.
    pub fn open(folder: PathBuf, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("port {port} cannot be served; choose another with --port"))?;
        let address = listener.local_addr()?;
        Ok(Self { folder, listener, address })
    }

    /// Where it is served.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub fn run(self) -> Result<()> {
        static OPEN: AtomicUsize = AtomicUsize::new(0);
        for stream in self.listener.incoming() {
            // A browser that went away is no failure of the server, nor is one that is one too many.
            let Ok(stream) = stream else { continue };
            if CONNECTIONS_MAX <= OPEN.fetch_add(1, Ordering::Relaxed) {
                OPEN.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let folder = self.folder.clone();
            thread::spawn(move || {
                if let Err(error) = serve(stream, &folder) {
                    eprintln!("web: a connection ended: {error}");
                }
                OPEN.fetch_sub(1, Ordering::Relaxed);
            });
        }
        Ok(())
    }
}

fn serve(stream: TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new((&stream).take(HEAD_BYTES_MAX)).lines();
    let Some(request) = lines.next().transpose()? else { return Ok(()) };
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let answer = answer(&request, folder);
    (&stream).write_all(&answer)
}

/// The whole answer to a request's first line.
fn answer(request: &str, folder: &Path) -> Vec<u8> {
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !matches!(method, "GET" | "HEAD") {
        return response("405 Method Not Allowed", "text/plain", b"only GET\n", method);
    }
    let name = path.split(['?', '#']).next().and_then(|it| it.strip_prefix('/'));
    let name = name.map(|it| if it.is_empty() { "index.html" } else { it });
    let found = name.filter(|it| is_plain(it)).map(|it| (it, fs::read(folder.join(it))));
    match found {
        Some((name, Ok(body))) => response("200 OK", kind(name), &body, method),
        _ => response("404 Not Found", "text/plain", b"there is no such file\n", method),
    }
}

/// Whether a name can only be that of a file in the folder itself.
fn is_plain(name: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-');
    name.bytes().all(plain) && !name.starts_with('.')
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn response(status: &str, kind: &str, body: &[u8], method: &str) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if method != "HEAD" {
        bytes.extend_from_slice(body);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_served() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("web");
        fs::create_dir(&folder).unwrap();
        fs::write(root.path().join("secret"), "s").unwrap();
        fs::write(folder.join("index.html"), "<p>").unwrap();
        fs::write(folder.join("a.wasm"), "w").unwrap();
        fs::write(folder.join(".hidden"), "h").unwrap();
        let ask = |it: &str| String::from_utf8(answer(it, &folder)).unwrap();
        assert!(ask("GET / HTTP/1.1").starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"));
        assert!(ask("GET /a.wasm?x HTTP/1.1").contains("Content-Type: application/wasm\r\n"));
        assert!(ask("GET / HTTP/1.1").ends_with("\r\n\r\n<p>"));
        assert!(ask("HEAD / HTTP/1.1").ends_with("\r\n\r\n"));
        for path in ["/../secret", "/%2e%2e/secret", "//etc/passwd", "/.hidden", "/none", "x", ""] {
            assert!(ask(&format!("GET {path} HTTP/1.1")).starts_with("HTTP/1.1 404"), "{path}");
        }
        assert!(ask("POST / HTTP/1.1").starts_with("HTTP/1.1 405"));
    }

    #[test]
    fn a_browser_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.html"), "here").unwrap();
        let server = Server::open(folder.path().to_owned(), 0).unwrap();
        let address = server.address();
        assert!(address.ip().is_loopback());
        thread::spawn(move || server.run());
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    }
}
