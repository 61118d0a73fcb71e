//! The kernels as a module and as a native program, built from the same file with the same versions.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use aura_testkit::hostile;

const FILES: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("guest/manifest.toml")),
    ("lib.rs", include_str!("guest/lib.rs")),
    ("native.rs", include_str!("guest/native.rs")),
];
const TARGET: &str = "wasm32-unknown-unknown";

/// The native program, waiting for its next task.
pub struct Native {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Native {
    /// Runs a kernel; the result and the processor time in seconds.
    pub fn run(&mut self, kernel: u8, rounds: u32) -> (u64, f64) {
        writeln!(self.to, "{kernel} {rounds}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let (result, nanoseconds) = line.trim().split_once(' ').unwrap();
        (result.parse().unwrap(), nanoseconds.parse::<f64>().unwrap() * 1e-9)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Builds both in `dir`. Software only: a module has no instructions for hashing, nor has the floor.
pub fn build(dir: &Path) -> (Vec<u8>, Native) {
    for (name, text) in FILES {
        fs::write(dir.join(name), text).unwrap();
    }
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(lock, dir.join("Cargo.lock")).unwrap();
    let cargo = |arguments: &[&str]| {
        let status = Command::new("cargo")
            .args(["build", "--release", "--target-dir", "target"])
            .args(arguments)
            .current_dir(dir)
            .env("RUSTFLAGS", "--cfg sha2_backend=\"soft\"")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "cargo build {arguments:?}");
    };
    cargo(&["--lib", "--target", TARGET]);
    cargo(&["--bin", "native"]);
    let module = dir.join("target").join(TARGET).join("release/figures_guest.wasm");
    let module = hostile::with_descriptor(fs::read(module).unwrap(), "figures", "1.0.0");
    let mut child = Command::new(dir.join("target/release/native"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (module, Native { child, to, from: BufReader::new(from) })
}
