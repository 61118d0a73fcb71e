//! A server of one module on loopback that does what the path asks: everything a hostile one can.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// After so many bytes the server breaks off at `/cut`.
pub const CUT: usize = 900_000;

/// The server, and what it was asked.
pub struct Server {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    sent: AtomicU64,
}

impl Server {
    pub async fn of(module: &Bytes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let (module, shared) = (module.clone(), counts.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (module, counts) = (module.clone(), shared.clone());
                // A client that hangs up is what most of these behaviours end with.
                tokio::spawn(async move { drop(serve(stream, &module, &counts).await) });
            }
        });
        Self { address, counts }
    }

    /// The place where the server does this.
    pub fn url(&self, doing: &str) -> String {
        format!("http://{}/{doing}/module.wasm", self.address)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.counts.asked.load(Ordering::Relaxed)
    }

    /// How many bytes of bodies it wrote.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }
}

/// A client's question: what to do, and from which byte on.
struct Question {
    doing: String,
    from: Option<usize>,
}

async fn question(stream: &mut TcpStream) -> std::io::Result<Question> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
    let doing = head.split(['/', ' ']).nth(2).unwrap_or_default().to_owned();
    let range = head.lines().find_map(|it| it.strip_prefix("range: bytes="));
    let from = range.and_then(|it| it.strip_suffix('-')?.parse().ok());
    Ok(Question { doing, from })
}

async fn serve(mut stream: TcpStream, module: &Bytes, counts: &Counts) -> std::io::Result<()> {
    let Question { doing, from } = question(&mut stream).await?;
    counts.asked.fetch_add(1, Ordering::Relaxed);
    let from = from.filter(|_| doing != "norange");
    let (begin, size) = (from.unwrap_or(0), module.len());
    let body = module.slice(begin.min(size)..);
    let said = if doing == "otherrange" { begin.saturating_sub(1) } else { begin };
    let status = match from {
        Some(_) => format!("206 Partial\r\ncontent-range: bytes {said}-{}/{size}", size - 1),
        None => "200 OK".to_owned(),
    };
    let length = match doing.as_str() {
        "redirect" => {
            return answer(&mut stream, "302 Found\r\nlocation: /redirect/again", "0").await;
        }
        "moved" => return answer(&mut stream, "302 Found\r\nlocation: /good/moved", "0").await,
        "missing" => return answer(&mut stream, "404 Not Found", "0").await,
        "endless" => None,
        "long" => Some(99_999_999_999),
        _ => Some(body.len() as u64),
    };
    let status =
        if doing == "gzip" { format!("{status}\r\ncontent-encoding: gzip") } else { status };
    let length = length.map(|it| format!("\r\ncontent-length: {it}")).unwrap_or_default();
    let head = format!("HTTP/1.1 {status}{length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut out = Out { stream, counts };
    match doing.as_str() {
        "endless" => loop {
            out.write(&[7; 1 << 16]).await?;
        },
        "drip" => {
            for byte in &body {
                out.write(&[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        "stall" => {
            out.write(&body[..1000]).await?;
            std::future::pending::<()>().await;
        }
        "cut" | "tampercut" => {
            let mut part = body[..CUT.min(body.len())].to_vec();
            part[10] ^= u8::from(doing == "tampercut");
            out.write(&part).await?;
        }
        "tamper" => {
            let mut tampered = body.to_vec();
            tampered[body.len() / 2] ^= 1;
            out.write(&tampered).await?;
        }
        _ => out.write(&body).await?,
    }
    out.stream.shutdown().await
}

async fn answer(stream: &mut TcpStream, status: &str, length: &str) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.shutdown().await
}

struct Out<'a> {
    stream: TcpStream,
    counts: &'a Counts,
}

impl Out<'_> {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for chunk in bytes.chunks(1 << 14) {
            self.stream.write_all(chunk).await?;
            self.counts.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}
