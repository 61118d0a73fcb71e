//! Counts finished channels whose last bytes the peer has not acknowledged yet.

use std::{future::Future, sync::Arc};

use tokio::sync::watch;

/// Shared by a session and its channels.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    pending: Arc<watch::Sender<usize>>,
}

impl Deliveries {
    pub(crate) fn new() -> Self {
        Self { pending: Arc::new(watch::Sender::new(0)) }
    }

    /// Counts one channel until `acknowledged` resolves.
    pub(crate) fn track(&self, acknowledged: impl Future<Output = ()> + Send + 'static) {
        self.pending.send_modify(|count| *count += 1);
        let pending = self.pending.clone();
        tokio::spawn(async move {
            acknowledged.await;
            pending.send_modify(|count| *count = count.saturating_sub(1));
        });
    }

    /// Resolves when nothing is pending.
    pub(crate) async fn settled(&self) {
        let mut pending = self.pending.subscribe();
        if pending.wait_for(|count| *count == 0).await.is_err() {
            // Unreachable: `self` holds the sender. Nothing can be pending without one.
            tracing::error!("the counter of deliveries is gone");
        }
    }
}
