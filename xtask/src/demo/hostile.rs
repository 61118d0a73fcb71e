//! The hostile release of step 5: a module that says it is `counter` 2.0.0, has every export that
//! one has, and imports a function. A module imports nothing, so no device may run it.

use super::Fault;

/// The custom section in which a module describes itself.
const DESCRIPTOR_SECTION: &str = "aura.descriptor";

/// A module with the descriptor of `honest` and an import of its own.
pub fn importing_module(honest: &[u8]) -> Result<Vec<u8>, Fault> {
    let descriptor = custom_section(honest, DESCRIPTOR_SECTION)
        .ok_or_else(|| Fault::new(format!("counter 2.0.0 has no section {DESCRIPTOR_SECTION}")))?;
    let escaped: String = descriptor.iter().map(|it| format!("\\{it:02x}")).collect();
    let text = format!(
        r#"(module
            (import "env" "read_private_files" (func $steal (param i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "aura_abi_1"))
            (func (export "aura_in") (param i32) (result i32) (call $steal (local.get 0)))
            (func (export "aura_step") (param i32 i32) (result i64) (i64.const 0))
            (@custom "{DESCRIPTOR_SECTION}" "{escaped}"))"#
    );
    wat::parse_str(text)
        .map_err(|error| Fault::new(format!("the hostile module is no text: {error}")))
}

/// The content of a custom section. Only the frame of a module is read: its header, then sections
/// of one id byte, a length, and that many bytes.
fn custom_section<'a>(module: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0")?;
    while let [id, after @ ..] = rest {
        let (length, after) = leb_u32(after)?;
        let (section, after) = after.split_at_checked(length)?;
        if *id == 0 {
            let (length, section) = leb_u32(section)?;
            let (found, content) = section.split_at_checked(length)?;
            if found == name.as_bytes() {
                return Some(content);
            }
        }
        rest = after;
    }
    None
}

/// An unsigned number in groups of seven bits, lowest first.
fn leb_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn honest(descriptor: &str) -> Vec<u8> {
        let long = "x".repeat(300);
        let text = format!(
            "(module (@custom \"other\" \"{long}\") (@custom \"aura.descriptor\" \"{descriptor}\"))"
        );
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn the_descriptor_is_taken_over() {
        let hostile = importing_module(&honest("\\00counter\\ff")).unwrap();
        let found = custom_section(&hostile, DESCRIPTOR_SECTION);
        assert_eq!(found, Some(b"\0counter\xff".as_slice()));
        let imports = hostile.windows(18).any(|it| it == b"read_private_files");
        assert!(imports);
    }

    #[test]
    fn a_module_without_descriptor_is_a_fault() {
        let fault = importing_module(b"\0asm\x01\0\0\0").unwrap_err();
        assert!(fault.reason.contains("aura.descriptor"), "{fault}");
    }

    #[test]
    fn a_truncated_module_has_no_section() {
        let bytes = honest("d");
        for end in 0..bytes.len() {
            assert_eq!(custom_section(&bytes[..end], DESCRIPTOR_SECTION), None);
        }
    }
}
