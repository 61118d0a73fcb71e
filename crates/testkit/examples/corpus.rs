//! Writes the hostile corpus into a folder, a file for each module, and says of each on a line of its own
//! what it must get: its file, `prepare` or `step`, the code of the error, and its name. For tests in homes
//! that are no Rust program, such as a browser.

use std::{env, fs, io, path::PathBuf};

use aura_testkit::{Stage, hostile};

fn main() -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "usage: corpus FOLDER");
    let folder = PathBuf::from(env::args_os().nth(1).ok_or_else(missing)?);
    fs::create_dir_all(&folder)?;
    for (number, module) in hostile::corpus().into_iter().enumerate() {
        let file = format!("{number}.wasm");
        fs::write(folder.join(&file), &module.bytes)?;
        let stage = match module.stage {
            Stage::Prepare => "prepare",
            Stage::Step => "step",
        };
        println!("{file}\t{stage}\t{}\t{}", module.code, module.name);
    }
    Ok(())
}
