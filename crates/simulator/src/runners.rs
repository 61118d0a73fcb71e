//! Runs the futures of participants in a simulation.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use tokio::sync::RwLock;

use crate::simulation::Simulation;

/// Polls futures, and lets one epoch of the simulation pass whenever all of them wait.
pub struct ProtocolExecutor {
    simulation: Arc<RwLock<Simulation>>,
}

/// A future that is not over, or its value.
enum Slot<F: Future> {
    Running(Pin<Box<F>>),
    Over(Option<F::Output>),
}

impl ProtocolExecutor {
    /// An executor for this simulation.
    #[must_use]
    pub const fn new(simulation: Arc<RwLock<Simulation>>) -> Self {
        Self { simulation }
    }

    /// Runs a future to its end.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            match polled {
                Poll::Ready(value) => return value,
                Poll::Pending => self.tick().await,
            }
        }
    }

    /// Runs futures to their ends, and gives their values in the order of the futures.
    pub async fn run_many<F: Future>(
        &self,
        futures: impl IntoIterator<Item = F>,
    ) -> Vec<F::Output> {
        let mut slots: Vec<Slot<F>> =
            futures.into_iter().map(|it| Slot::Running(Box::pin(it))).collect();
        self.run(poll_fn(move |cx| {
            let mut waits = false;
            for slot in &mut slots {
                if let Slot::Running(future) = slot {
                    match future.as_mut().poll(cx) {
                        Poll::Ready(value) => *slot = Slot::Over(Some(value)),
                        Poll::Pending => waits = true,
                    }
                }
            }
            if waits {
                return Poll::Pending;
            }
            let values = slots.iter_mut().filter_map(|it| match it {
                Slot::Over(value) => value.take(),
                Slot::Running(_) => None,
            });
            Poll::Ready(values.collect())
        }))
        .await
    }

    async fn tick(&self) {
        self.simulation.write().await.tick();
        // Others on the same thread go on too.
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
