//! What a store can be written on besides a file.

use std::{fmt::Debug, io};

/// A place for bytes with the promises of a file: what was synced is there after a crash, and of what
/// was not, anything may be. For tests that fail at a chosen operation.
pub trait Medium: Debug + Send + Sync + 'static {
    /// How many bytes it has.
    ///
    /// # Errors
    /// Whatever it is made to fail with, as of all that follow.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// As [`Self::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads all of `out` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where it has fewer bytes.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Cuts it off, or adds zeros.
    ///
    /// # Errors
    /// As [`Self::len`].
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// As [`Self::len`].
    fn sync(&self) -> io::Result<()>;

    /// Writes bytes at `offset`.
    ///
    /// # Errors
    /// As [`Self::len`].
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}
