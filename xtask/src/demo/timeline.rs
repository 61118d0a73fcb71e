//! What happens, as it happens: a live line where there is a terminal, plain lines where not.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the live line moves.
const TICK: Duration = Duration::from_millis(120);

/// The story of one demo, told on standard error.
#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    title: RefCell<String>,
    live: Option<ProgressBar>,
}

impl Timeline {
    /// A story that begins now.
    pub fn start() -> Self {
        let live = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:>.dim}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { start: Instant::now(), title: RefCell::default(), live }
    }

    /// A step begins.
    pub fn begin(&self, number: usize, of: usize, title: &str) {
        let title = format!("{number}/{of} {title}");
        if let Some(bar) = &self.live {
            bar.set_message(title.clone());
        } else {
            self.line(&title);
        }
        *self.title.borrow_mut() = title;
    }

    /// Something worth knowing happened.
    pub fn note(&self, text: impl AsRef<str>) {
        self.line(&format!("      {}", text.as_ref()));
    }

    /// The step ended.
    pub fn end(&self, ok: bool, took: Duration) {
        let word = if ok { "done" } else { "FAILED" };
        self.line(&format!("{} … {word} in {:.1} s", self.title.borrow(), took.as_secs_f64()));
    }

    fn line(&self, text: &str) {
        let line = format!("[{:6.1} s] {text}", self.start.elapsed().as_secs_f64());
        match &self.live {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        if let Some(bar) = &self.live {
            bar.finish_and_clear();
        }
    }
}
