//! Codes with which a session or a channel is closed, and how reasons are kept printable.
//!
//! Codes below [`APPLICATION_MIN`] belong to this crate; callers of
//! [`Session::close`](crate::Session::close) use their own from there on. Append-only.

/// The session ended as both sides expected. Also what a peer sees when a session is just dropped.
pub const NORMAL: u32 = 0;
/// Admission was denied: the reason says why.
pub const DENIED: u32 = 1;
/// The peer holds as many sessions as it will; try again later.
pub const BUSY: u32 = 2;
/// The peer's transport shut down.
pub const SHUTDOWN: u32 = 3;
/// The other side broke the framing rules.
pub const VIOLATION: u32 = 4;
/// A channel was dropped by its owner before it was finished.
pub const ABANDONED: u32 = 5;
/// A channel was cut because its peer stalled in the middle of a frame.
pub const STALLED: u32 = 6;
/// First code free for what is built on this crate.
pub const APPLICATION_MIN: u32 = 16;

/// Longest reason, in bytes. It has to fit into one packet next to everything else.
pub const REASON_BYTES_MAX: usize = 256;

/// A reason as it may be shown: valid text, no control characters, bounded. Peers choose the bytes,
/// and a log line or a terminal must not obey them.
pub(crate) fn printable(reason: &[u8]) -> String {
    let mut text = String::new();
    for symbol in String::from_utf8_lossy(reason).chars().filter(|it| !it.is_control()) {
        if REASON_BYTES_MAX < text.len() + symbol.len_utf8() {
            break;
        }
        text.push(symbol);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_command_a_terminal() {
        assert_eq!(printable(b"bye\x1b[2J\nnow"), "bye[2Jnow");
        assert_eq!(printable(&[0xff, b'a']), "\u{fffd}a");
        assert!(printable("é".repeat(500).as_bytes()).len() <= REASON_BYTES_MAX);
    }
}
