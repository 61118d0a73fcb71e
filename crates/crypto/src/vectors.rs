//! Reading published vectors: blocks of `name=hex` lines, separated by empty lines. Tests alone.

use alloc::{string::String, vec::Vec};

/// A file of vectors.
pub struct Vectors(Vec<Block>);

/// One block of it.
pub struct Block(Vec<(String, String)>);

impl Vectors {
    /// Reads a file; lines that begin with `#` are remarks.
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter(|it| !it.starts_with('#'));
        let mut blocks = Vec::from([Block(Vec::new())]);
        for line in lines {
            match line.split_once('=') {
                Some((name, value)) => {
                    blocks.last_mut().unwrap().0.push((name.trim().into(), value.trim().into()));
                }
                None => blocks.push(Block(Vec::new())),
            }
        }
        blocks.retain(|it| !it.0.is_empty());
        Self(blocks)
    }

    /// The blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> + Clone {
        self.0.iter()
    }
}

impl Block {
    /// The bytes of a line.
    pub fn hex(&self, name: &str) -> Vec<u8> {
        let found = self.0.iter().find(|it| it.0 == name);
        let text = &found.unwrap_or_else(|| panic!("no line `{name}`")).1;
        hex(text)
    }

    /// Whether there is such a line.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|it| it.0 == name)
    }

    /// The bytes of a line of known length.
    pub fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.hex(name).try_into().unwrap()
    }
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    let pairs = text.as_bytes().chunks(2).map(|it| core::str::from_utf8(it).unwrap());
    pairs.map(|it| u8::from_str_radix(it, 16).unwrap()).collect()
}
