//! What the demo does to files: copies a store, and damages a module.

use std::fs;
use std::path::Path;

use super::Fault;

/// Copies a folder with everything in it. The store in it must not be in use.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), Fault> {
    copy_below(from, to).map_err(|error| {
        Fault::new(format!("{} cannot be copied to {} ({error})", from.display(), to.display()))
    })
}

fn copy_below(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy_below(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Reads a file, naming it if that fails.
pub fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path)
        .map_err(|error| Fault::new(format!("{} cannot be read ({error})", path.display())))
}

/// Writes a file, naming it if that fails.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    fs::write(path, bytes)
        .map_err(|error| Fault::new(format!("{} cannot be written ({error})", path.display())))
}

/// The same bytes with one bit of the middle byte changed.
pub fn with_one_byte_flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_copied_whole() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("deep/er")).unwrap();
        fs::write(from.join("deep/er/file"), "x").unwrap();
        copy_folder(&from, &dir.path().join("to")).unwrap();
        assert_eq!(fs::read(dir.path().join("to/deep/er/file")).unwrap(), b"x");
        let fault = copy_folder(&dir.path().join("none"), &dir.path().join("to")).unwrap_err();
        assert!(fault.reason.contains("cannot be copied"), "{fault}");
    }

    #[test]
    fn one_byte_differs() {
        let bytes = vec![7; 9];
        let flipped = with_one_byte_flipped(bytes.clone());
        assert_eq!(flipped.len(), 9);
        assert_eq!(bytes.iter().zip(&flipped).filter(|(a, b)| a != b).count(), 1);
    }
}
