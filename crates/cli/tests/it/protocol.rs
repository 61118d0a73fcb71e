//! A protocol's crate and its module, as their author meets them.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::aura::{Ran, run};

fn new(folder: &Path, more: &[&str]) -> Ran {
    let dir = folder.to_str().unwrap();
    run(None, &[&["--json", "protocol", "new", "standup", "--dir", dir], more].concat(), &[])
}

#[test]
fn a_new_crate_is_whole() {
    let base = TempDir::new().unwrap();
    let folder = base.path().join("standup");
    let ran = new(&folder, &[]);
    assert_eq!(ran.code, 0, "{ran}");
    let said = ran.object();
    let files: Vec<&str> =
        said["files"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    for file in ["Cargo.toml", "README.md", "src/lib.rs", "tests/it/simulated.rs"] {
        assert!(files.contains(&file), "{file} is not in {files:?}");
    }
    for file in files {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(!text.is_empty() && text.ends_with('\n'), "{file}: {text:?}");
    }
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let sdk = Path::new(said["sdk"].as_str().unwrap()).join("crates/protocol-sdk");
    assert!(manifest.contains(sdk.to_str().unwrap()), "{manifest}");
    assert!(sdk.join("Cargo.toml").is_file());
    assert!(folder.join("Cargo.lock").is_file(), "the versions that the repository is tested with");
}

#[test]
fn somebodys_work_is_not_written_over() {
    let base = TempDir::new().unwrap();
    fs::write(base.path().join("mine"), "mine").unwrap();
    let ran = new(base.path(), &[]);
    assert_eq!(ran.code, 1, "{ran}");
    assert_eq!(ran.object()["error"]["code"], "FolderInUse");
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
}

#[test]
fn an_sdk_that_is_none_is_named() {
    let base = TempDir::new().unwrap();
    let ran = new(&base.path().join("standup"), &["--sdk", base.path().to_str().unwrap()]);
    assert_eq!(ran.object()["error"]["code"], "SdkMissing", "{ran}");
    assert!(!base.path().join("standup").exists());
}

#[test]
fn every_reason_of_a_refusal_is_told_with_what_next() {
    let base = TempDir::new().unwrap();
    let file = base.path().join("hostile.wasm");
    // A module with a start function, and nothing of the interface.
    fs::write(
        &file,
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\x0a\x04\x01\x02\0\x0b",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let ran = run(None, &["--json", "protocol", "check", file], &[]);
    assert_eq!(ran.code, 1, "{ran}");
    let said = ran.object();
    assert_eq!(said["verdict"], "refused");
    let findings = said["findings"].as_array().unwrap();
    let codes: Vec<&str> = findings.iter().map(|it| it["code"].as_str().unwrap()).collect();
    for code in ["StartFunction", "AbiMarker", "MissingExport", "DescriptorMissing"] {
        assert!(codes.contains(&code), "{code} is not in {codes:?}");
    }
    assert!(findings.iter().all(|it| !it["next"].as_str().unwrap().is_empty()));
    let text = run(None, &["protocol", "check", file], &[]);
    assert_eq!(text.code, 1);
    assert!(text.stdout.contains("refused, by 7 rules"), "{text}");
    assert_eq!(text.stdout.matches("next: ").count(), 7, "{text}");
}

#[test]
fn a_folder_without_a_crate_is_not_built() {
    let base = TempDir::new().unwrap();
    let folder = base.path().to_str().unwrap();
    let arguments = ["--json", "protocol", "build", folder, "--wasm-toolchain", "installed"];
    let ran = run(None, &arguments, &[]);
    assert_eq!(ran.code, 1, "{ran}");
    let code = ran.object()["error"]["code"].as_str().unwrap().to_owned();
    // `NoCompiler` where the target was never installed.
    assert!(["BuildFailed", "NoCompiler"].contains(&code.as_str()), "{ran}");
}
