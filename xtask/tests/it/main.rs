//! The program as others start it: by a person, by cargo, and by itself.

use std::io::{self, Read};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// How long anything here may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn xtask(args: &[&str]) -> io::Result<Output> {
    Command::new(XTASK).args(args).output()
}

fn last_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn what_is_not_understood_ends_with_2() {
    for args in [&["dmeo"][..], &["tidy", "--loud"], &[], &["demo", "--devices", "3"]] {
        assert_eq!(xtask(args).unwrap().status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn an_unknown_suite_is_one_line_with_those_that_exist() {
    let output = xtask(&["test", "jurnal"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: there is no suite \"jurnal\"; there are "), "{error}");
    assert!(error.contains("xtask") && error.trim_end().lines().count() == 1, "{error}");
}

#[test]
fn the_help_lists_the_suites() {
    let output = xtask(&["test", "--help"]).unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("protocol-core") && help.contains("modules"), "{help}");
}

/// Cargo starts the compiler through this program and must see the compiler's own end and words.
#[test]
fn as_a_wrapper_it_is_the_compiler() {
    let output = Command::new(XTASK)
        .args(["sh", "-c", "echo out; echo err >&2; exit 7"])
        .env("AURA_GUEST_ROOT", "/nowhere")
        .env("AURA_GUEST_CARGO_HOME", "/nowhere")
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
}

#[test]
fn as_a_leash_it_becomes_the_device() {
    let output = Command::new(XTASK)
        .args(["sh", "-c", "echo \"$1 ${AURA_DEMO_LEASH:-free}\"", "sh", "device"])
        .env("AURA_DEMO_LEASH", std::process::id().to_string())
        .output()
        .unwrap();
    assert_eq!(last_line(&output.stdout), "device free");
}

#[test]
fn a_leash_without_its_parent_starts_nothing() {
    let output = Command::new(XTASK)
        .args(["sh", "-c", "echo started"])
        .env("AURA_DEMO_LEASH", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert_eq!(last_line(&output.stderr), "error: the parent has ended already");
}

/// A device ends with the demo, even when the demo is killed and can end nothing itself.
#[cfg(target_os = "linux")]
#[test]
fn a_device_on_the_leash_ends_with_its_parent() {
    let script = "AURA_DEMO_LEASH=$$ \"$0\" sh -c 'echo $$; exec tail -f /dev/null' & wait";
    let mut parent =
        Command::new("sh").args(["-c", script, XTASK]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    let mut stdout = parent.stdout.take().unwrap();
    while said.last() != Some(&b'\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    let pid: i32 = String::from_utf8(said).unwrap().trim().parse().unwrap();
    let device = Pid::from_raw(pid).unwrap();
    assert!(test_kill_process(device).is_ok());

    parent.kill().unwrap();
    parent.wait().unwrap();
    let start = Instant::now();
    while test_kill_process(device).is_ok() {
        assert!(start.elapsed() < LIMIT, "the device outlived its parent");
        thread::yield_now();
    }
}
