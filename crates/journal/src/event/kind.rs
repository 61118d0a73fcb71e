//! The kinds of events, as subscriptions name them.

use borsh::BorshDeserialize;

use crate::event::Event;

/// Which kind of event a unit carries. In the order of [`Event`]: its encoding begins with the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::PublishManifest`].
    PublishManifest,
    /// [`Event::Control`].
    Control,
    /// [`Event::ProposeUpgrade`].
    ProposeUpgrade,
    /// [`Event::AcknowledgeUpgrade`].
    AcknowledgeUpgrade,
    /// [`Event::SignalReady`].
    SignalReady,
    /// [`Event::DeclineUpgrade`].
    DeclineUpgrade,
    /// [`Event::OpenSession`].
    OpenSession,
    /// [`Event::SessionMessage`].
    SessionMessage,
    /// [`Event::CloseSession`].
    CloseSession,
    /// [`Event::EpochTick`].
    EpochTick,
    /// [`Event::OpenChild`].
    OpenChild,
    /// [`Event::OpenUntil`].
    OpenUntil,
    /// [`Event::Unread`].
    Unread,
}

impl Event {
    /// Which kind this is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::PublishManifest(_) => EventKind::PublishManifest,
            Self::Control(_) => EventKind::Control,
            Self::ProposeUpgrade(_) => EventKind::ProposeUpgrade,
            Self::AcknowledgeUpgrade { .. } => EventKind::AcknowledgeUpgrade,
            Self::SignalReady { .. } => EventKind::SignalReady,
            Self::DeclineUpgrade { .. } => EventKind::DeclineUpgrade,
            Self::OpenSession(_) => EventKind::OpenSession,
            Self::SessionMessage(_) => EventKind::SessionMessage,
            Self::CloseSession(_) => EventKind::CloseSession,
            Self::EpochTick { .. } => EventKind::EpochTick,
            Self::OpenChild(_) => EventKind::OpenChild,
            Self::OpenUntil(_) => EventKind::OpenUntil,
            Self::Unread(_) => EventKind::Unread,
        }
    }
}
