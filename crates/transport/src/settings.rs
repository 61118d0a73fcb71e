//! What a transport may spend on its peers, and how long it waits for them.

use std::time::Duration;

use aura_protocol_core::limits::FRAME_BYTES_MAX;

use crate::{Result, TransportError};

/// How fast a sender pushes into a path that loses packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Congestion {
    /// Takes every loss for congestion. Fastest where nothing is lost, so the default: loopback and
    /// local networks.
    #[default]
    Cubic,
    /// Measures the path instead: ten times faster at 1 % loss over a wide-area path, about half as
    /// fast for many small requests on loopback.
    Bbr3,
}

/// Limits and deadlines, shared by every implementation. [`Settings::default`] is the design's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Silence after which a session is lost. Ten seconds outlast a change of network, not a dinner.
    pub idle_timeout: Duration,
    /// How often a quiet session shows that it lives: three chances within the idle timeout.
    pub keep_alive: Duration,
    /// Deadline of one dial. A wrong key or a dead address is only ever seen as silence.
    pub connect_timeout: Duration,
    /// Deadline of one inbound handshake.
    pub handshake_timeout: Duration,
    /// How long `close` delivers what finished channels still hold.
    pub close_timeout: Duration,
    /// Most inbound handshakes under way, including admitted sessions nobody accepted yet. From half
    /// of them on, a dialler must prove its address before it costs anything.
    pub handshakes_pending_max: usize,
    /// Most inbound sessions at a time, at below 100 KiB each.
    pub sessions_max: usize,
    /// Most inbound sessions of one peer: one per protocol, and as many again while it redials.
    pub sessions_per_peer_max: usize,
    /// Most channels that a peer may hold open in one session.
    pub channels_max: u32,
    /// Most unread bytes that a peer may have under way in one channel: two largest frames.
    pub channel_window_bytes: u32,
    /// The same for all channels of a session together.
    pub session_window_bytes: u32,
    /// Most unacknowledged bytes that this side keeps per session.
    pub send_window_bytes: u64,
    /// A frame once begun must bring [`frame_window_bytes_min`](Self::frame_window_bytes_min) in each
    /// such window, or end.
    pub frame_window: Duration,
    /// See [`frame_window`](Self::frame_window). 8 KiB in ten seconds is slower than any usable link.
    pub frame_window_bytes_min: usize,
    /// How fast to send.
    pub congestion: Congestion,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(3),
            handshakes_pending_max: 64,
            sessions_max: 512,
            sessions_per_peer_max: 8,
            channels_max: 256,
            channel_window_bytes: 2 << 20,
            session_window_bytes: 8 << 20,
            send_window_bytes: 8 << 20,
            frame_window: Duration::from_secs(10),
            frame_window_bytes_min: 8 << 10,
            congestion: Congestion::default(),
        }
    }
}

impl Settings {
    /// Refuses settings with which nothing could work, naming the first.
    pub fn check(&self) -> Result<()> {
        let zero = [
            ("idle_timeout", self.idle_timeout.is_zero()),
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("handshake_timeout", self.handshake_timeout.is_zero()),
            ("frame_window", self.frame_window.is_zero()),
            ("handshakes_pending_max", self.handshakes_pending_max == 0),
            ("sessions_max", self.sessions_max == 0),
            ("sessions_per_peer_max", self.sessions_per_peer_max == 0),
            ("channels_max", self.channels_max == 0),
        ];
        if let Some((name, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(invalid(name, "it must be more than zero"));
        }
        if self.idle_timeout <= self.keep_alive {
            return Err(invalid("keep_alive", "it must be below idle_timeout"));
        }
        if (self.channel_window_bytes as usize) < FRAME_BYTES_MAX + crate::frame::HEADER_BYTES {
            return Err(invalid("channel_window_bytes", "it must hold one largest frame"));
        }
        if self.session_window_bytes < self.channel_window_bytes {
            return Err(invalid("session_window_bytes", "it must hold one channel's window"));
        }
        Ok(())
    }
}

fn invalid(name: &'static str, reason: &str) -> TransportError {
    TransportError::InvalidSetting { name, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        assert_eq!(Settings::default().check(), Ok(()));
        let name = |settings: Settings| match settings.check() {
            Err(TransportError::InvalidSetting { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(Settings { sessions_max: 0, ..Settings::default() }), "sessions_max");
        let keep_alive = Duration::from_secs(10);
        assert_eq!(name(Settings { keep_alive, ..Settings::default() }), "keep_alive");
        let channel_window_bytes = 1 << 20;
        assert_eq!(
            name(Settings { channel_window_bytes, ..Settings::default() }),
            "channel_window_bytes"
        );
    }
}
