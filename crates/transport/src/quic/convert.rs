//! Between iroh's types and ours: settings inwards, errors outwards.

use std::{io, net::SocketAddr, sync::Arc};

use iroh::endpoint::{
    BindError, ConnectError, ConnectWithOptsError, ConnectingError, ConnectionError, IdleTimeout,
    QuicTransportConfig, ReadError, TransportErrorCode, VarInt, WriteError,
};
use noq_proto::congestion::Bbr3Config;

use crate::{
    Congestion, PeerId, Result, Settings, TransportError, close, protocol::PROTOCOL_BYTES_MAX,
};

/// TLS alert `no_application_protocol`: how a peer says that it does not speak what was asked for.
const ALERT_NO_APPLICATION_PROTOCOL: u8 = 120;

pub(super) fn quic_settings(settings: &Settings) -> Result<QuicTransportConfig> {
    let idle = IdleTimeout::try_from(settings.idle_timeout).map_err(|error| {
        TransportError::InvalidSetting { name: "idle_timeout", reason: error.to_string() }
    })?;
    let config = QuicTransportConfig::builder()
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(settings.keep_alive)
        .max_concurrent_bidi_streams(settings.channels_max.into())
        // Channels have two directions; a stream with one would never be read.
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window(settings.channel_window_bytes.into())
        .receive_window(settings.session_window_bytes.into())
        .send_window(settings.send_window_bytes);
    Ok(match settings.congestion {
        Congestion::Cubic => config.build(),
        Congestion::Bbr3 => {
            config.congestion_controller_factory(Arc::new(Bbr3Config::default())).build()
        }
    })
}

pub(super) fn check_protocols(protocols: &[String]) -> Result<()> {
    let is_valid = |it: &String| (1..=PROTOCOL_BYTES_MAX).contains(&it.len());
    if protocols.iter().all(is_valid) {
        return Ok(());
    }
    let reason = "a name has 1 to 255 bytes".to_owned();
    Err(TransportError::InvalidSetting { name: "protocols", reason })
}

pub(super) fn bind_error(addr: SocketAddr, error: BindError) -> TransportError {
    match error {
        BindError::Sockets { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            TransportError::AddressInUse { addr }
        }
        BindError::Sockets { source, .. } => {
            TransportError::Bind { addr, reason: source.to_string() }
        }
        other => TransportError::Bind { addr, reason: other.to_string() },
    }
}

pub(super) fn connect_error(peer: PeerId, protocol: &str, error: ConnectError) -> TransportError {
    let source = match error {
        ConnectError::Connect { source: ConnectWithOptsError::EndpointClosed { .. }, .. } => {
            return TransportError::Shutdown;
        }
        ConnectError::Connecting {
            source: ConnectingError::ConnectionError { source, .. },
            ..
        }
        | ConnectError::Connection { source, .. } => source,
        other => return TransportError::Unreachable { peer, reason: format!("{other:#}") },
    };
    match source {
        ConnectionError::ConnectionClosed(frame)
            if frame.error_code == TransportErrorCode::crypto(ALERT_NO_APPLICATION_PROTOCOL) =>
        {
            TransportError::NoProtocol { peer, protocol: protocol.to_owned() }
        }
        ConnectionError::ApplicationClosed(_) => session_error(source),
        other => TransportError::Unreachable { peer, reason: other.to_string() },
    }
}

pub(super) fn session_error(error: ConnectionError) -> TransportError {
    match error {
        ConnectionError::ApplicationClosed(frame) => TransportError::Closed {
            code: code(frame.error_code),
            reason: close::printable(&frame.reason),
        },
        ConnectionError::LocallyClosed => TransportError::ClosedLocally,
        other => TransportError::Lost { reason: other.to_string() },
    }
}

pub(super) fn read_error(error: ReadError) -> TransportError {
    match error {
        ReadError::Reset(reset) => TransportError::Reset { code: code(reset) },
        ReadError::ConnectionLost(source) => session_error(source),
        other => TransportError::Lost { reason: other.to_string() },
    }
}

pub(super) fn write_error(error: WriteError) -> TransportError {
    match error {
        WriteError::Stopped(stop) => TransportError::Reset { code: code(stop) },
        WriteError::ConnectionLost(source) => session_error(source),
        WriteError::ClosedStream => TransportError::Finished,
        other => TransportError::Lost { reason: other.to_string() },
    }
}

/// Codes of ours have 32 bits; a peer may send 62.
fn code(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(u32::MAX)
}
