//! Bars for modules on their way, where a person looks on.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, stderr},
};

use aura_agent::{AgentEvent, DeviceAgent};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::broadcast::error::RecvError;

/// What a bar shows.
const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";
/// Digits of a digest that tell modules apart for a person.
const SHORT: usize = 8;

/// Shows modules being fetched until the device stops. Where standard error is no terminal this does
/// nothing: the log says what was fetched.
pub async fn show(agent: &DeviceAgent) {
    if !stderr().is_terminal() {
        return std::future::pending().await;
    }
    let (mut events, mut bars) = (agent.subscribe(), Bars::default());
    loop {
        match events.recv().await {
            Ok(event) => bars.take(event),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

#[derive(Default)]
struct Bars {
    all: MultiProgress,
    by_module: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn take(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::ModuleProgress { module, held_bytes, total_bytes } => {
                let bar = self.by_module.entry(module.clone()).or_insert_with(|| {
                    let bar = self.all.add(ProgressBar::new(total_bytes.into()));
                    bar.set_style(style());
                    bar.set_message(format!("module {}", short(&module)));
                    bar
                });
                bar.set_position(held_bytes.into());
            }
            AgentEvent::ModuleFetched { module, .. } => {
                if let Some(bar) = self.by_module.remove(&module) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}

fn short(module: &str) -> &str {
    module.get(..SHORT).unwrap_or(module)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_stands_while_its_module_is_on_its_way() {
        let mut bars = Bars::default();
        bars.all.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        let module = "0123456789".to_owned();
        let progress = |held_bytes| AgentEvent::ModuleProgress {
            module: module.clone(),
            held_bytes,
            total_bytes: 10,
        };
        bars.take(progress(3));
        bars.take(progress(7));
        let bar = &bars.by_module[&module];
        assert_eq!(
            (bar.position(), bar.length(), bar.message()),
            (7, Some(10), "module 01234567".to_owned())
        );
        bars.take(AgentEvent::ModuleFetched { module, from: String::new() });
        assert!(bars.by_module.is_empty());
    }

    #[test]
    fn the_style_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
