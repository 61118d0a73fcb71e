//! Who a peer is, and where it may be found.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// Most addresses in one [`PeerAddr`]: two families on a few interfaces. Each costs a dialler packets.
pub const DIRECT_ADDRS_MAX: usize = 16;
/// Longest relay location, in bytes.
pub const RELAY_BYTES_MAX: usize = 256;

/// A device as the network knows it: its Ed25519 *transport* public key, which is neither its unit
/// key nor its vote key. Proven by the handshake, so an address can never redirect an identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PeerId(pub [u8; 32]);

impl PeerId {
    /// The public key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a peer id is 64 hexadecimal digits")]
pub struct InvalidPeerId;

impl FromStr for PeerId {
    type Err = InvalidPeerId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 32];
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != id.len() || !rest.is_empty() {
            return Err(InvalidPeerId);
        }
        for (byte, [high, low]) in id.iter_mut().zip(digits) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self(id))
    }
}

fn nibble(digit: u8) -> Result<u8, InvalidPeerId> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(InvalidPeerId)
}

/// Where a peer may be found. It travels inside signed metadata and tickets and is a hint: whoever
/// answers there must still prove the key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct PeerAddr {
    /// Who must answer.
    pub id: PeerId,
    /// Socket addresses, each tried.
    pub direct: Vec<SocketAddr>,
    /// Location of the peer's relay. In the format from the start; no transport dials relays yet.
    pub relay: Option<String>,
}

impl PeerAddr {
    /// A peer that may be found at `direct`.
    #[must_use]
    pub fn new(id: PeerId, direct: Vec<SocketAddr>) -> Self {
        Self { id, direct, relay: None }
    }
}

impl BorshDeserialize for PeerAddr {
    /// Refuses more addresses or a longer relay than the limits, since these bytes come from peers.
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let id = PeerId::deserialize_reader(reader)?;
        let count = u32::deserialize_reader(reader)? as usize;
        if DIRECT_ADDRS_MAX < count {
            return Err(invalid(format!(
                "{count} addresses, over the limit of {DIRECT_ADDRS_MAX}"
            )));
        }
        let direct = (0..count)
            .map(|_| SocketAddr::deserialize_reader(reader))
            .collect::<io::Result<Vec<_>>>()?;
        let relay = match u8::deserialize_reader(reader)? {
            0 => None,
            1 => Some(read_relay(reader)?),
            tag => return Err(invalid(format!("{tag} is not the tag of an option"))),
        };
        Ok(Self { id, direct, relay })
    }
}

fn read_relay<R: io::Read>(reader: &mut R) -> io::Result<String> {
    let length = u32::deserialize_reader(reader)? as usize;
    if RELAY_BYTES_MAX < length {
        return Err(invalid(format!("relay of {length} bytes, over {RELAY_BYTES_MAX}")));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    String::from_utf8(text).map_err(|error| invalid(error.to_string()))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_hex() {
        let id = PeerId(std::array::from_fn(|index| index as u8 * 8));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<PeerId>(), Err(InvalidPeerId), "{bad}");
        }
    }

    fn addr(direct: usize, relay: Option<String>) -> PeerAddr {
        let direct =
            (0..direct).map(|index| SocketAddr::from(([127, 0, 0, 1], index as u16 + 1))).collect();
        PeerAddr { id: PeerId([7; 32]), direct, relay }
    }

    #[test]
    fn an_address_travels_within_its_limits() {
        for good in [
            addr(0, None),
            addr(2, Some("https://relay.example".into())),
            PeerAddr::new(PeerId([1; 32]), vec!["[::1]:9".parse().unwrap()]),
        ] {
            let bytes = borsh::to_vec(&good).unwrap();
            assert_eq!(borsh::from_slice::<PeerAddr>(&bytes).unwrap(), good);
        }
        for bad in
            [addr(DIRECT_ADDRS_MAX + 1, None), addr(1, Some("r".repeat(RELAY_BYTES_MAX + 1)))]
        {
            let bytes = borsh::to_vec(&bad).unwrap();
            assert!(borsh::from_slice::<PeerAddr>(&bytes).is_err(), "{bad:?}");
        }
    }
}
