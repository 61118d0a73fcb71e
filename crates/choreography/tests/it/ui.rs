//! What does not compile, and what is said of it.

/// Each file of `tests/ui` is wrong in the way that its first line says.
#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}
