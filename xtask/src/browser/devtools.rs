//! A browser and one page of it, driven by the DevTools protocol over two pipes.
//!
//! The browser reads commands from its descriptor 3 and writes answers to 4, each a JSON text that a zero
//! byte ends. A shell puts our pipes there, so nothing is needed that a test of a socket would need.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the browser may take for anything. A machine that compiles at the same time is slow.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// Pause between two looks at a process.
const PAUSE: Duration = Duration::from_millis(20);

/// A running browser with one page. It is ended when dropped.
pub struct Browser {
    child: RefCell<Child>,
    input: RefCell<Option<ChildStdin>>,
    messages: Receiver<Value>,
    next: Cell<u64>,
    session: RefCell<Option<String>>,
    /// What the page complained of.
    complaints: RefCell<Vec<String>>,
    home: TempDir,
}

impl Browser {
    /// Starts it, with an empty profile that is deleted in the end.
    pub fn start(program: &Path) -> Result<Self> {
        let home = tempfile::tempdir().context("no folder for the browser's profile")?;
        let log = File::create(home.path().join("log")).context("no file for the browser's log")?;
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >&2"#, "sh"])
            .arg(program)
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-dev-shm-usage", "--disable-default-apps", "--hide-scrollbars"])
            // It opens nothing but our own page; its sandbox does not start as root or in a container.
            .arg("--no-sandbox")
            .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        let output = child.stdout.take().context("the browser has no output")?;
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut texts = BufReader::new(output).split(0);
            // It ends with the browser, or when nobody listens any more.
            while let Some(Ok(text)) = texts.next() {
                let Ok(message) = serde_json::from_slice(&text) else { break };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let input = RefCell::new(child.stdin.take());
        let (next, session, complaints) = Default::default();
        let child = RefCell::new(child);
        let this = Self { child, input, messages, next, session, complaints, home };
        this.attach()?;
        Ok(this)
    }

    /// Opens the page that all commands are for.
    fn attach(&self) -> Result<()> {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": at(&target, "/targetId"), "flatten": true});
        let attached = self.call("Target.attachToTarget", attach)?;
        let session = at(&attached, "/sessionId").as_str().context("the browser opened no page")?;
        *self.session.borrow_mut() = Some(session.to_owned());
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            self.call(domain, json!({}))?;
        }
        Ok(())
    }

    /// Sends a command and waits for its answer.
    pub fn call(&self, method: &str, params: Value) -> Result<Value> {
        let id = self.next.get() + 1;
        self.next.set(id);
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = self.session.borrow().as_ref() {
            let command = command.as_object_mut().context("a command is an object")?;
            command.insert("sessionId".to_owned(), json!(session));
        }
        self.send(&command)
            .with_context(|| format!("the browser takes no {method}{}", self.log()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = match self.messages.recv_timeout(left) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the browser did not answer {method} within {} s", PATIENCE.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the browser ended while it was asked {method}{}", self.log())
                }
            };
            if *at(&message, "/id") != json!(id) {
                self.complaints.borrow_mut().extend(complaint(&message));
                continue;
            }
            if let Some(error) = at(&message, "/error/message").as_str() {
                bail!("the browser refuses {method}: {error}");
            }
            return Ok(at(&message, "/result").clone());
        }
    }

    fn send(&self, command: &Value) -> Result<()> {
        let mut input = self.input.borrow_mut();
        let input = input.as_mut().context("it was closed")?;
        let mut text = command.to_string().into_bytes();
        text.push(0);
        input.write_all(&text)?;
        Ok(input.flush()?)
    }

    /// What an expression comes to in the page, once its promise is kept.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params)?;
        if let Some(details) = answer.get("exceptionDetails") {
            let said = at(details, "/exception/description");
            bail!("in the page, `{expression}` threw {}", said.as_str().unwrap_or("something"));
        }
        Ok(at(&answer, "/result/value").clone())
    }

    /// Waits until a condition holds in the page.
    pub fn until(&self, condition: &str) -> Result<()> {
        let expression = format!(
            "(async () => {{ const end = Date.now() + {}; while (!({condition})) {{ \
             if (end < Date.now()) return document.body.innerText; \
             await new Promise((it) => setTimeout(it, 10)); }} return null; }})()",
            PATIENCE.as_millis() / 2
        );
        match self.evaluate(&expression)? {
            Value::Null => Ok(()),
            page => bail!("`{condition}` did not come true; the page says: {page}"),
        }
    }

    /// Opens an address and waits until it is loaded.
    pub fn open(&self, address: &str) -> Result<()> {
        let opened = self.call("Page.navigate", json!({"url": address}))?;
        if let Some(error) = at(&opened, "/errorText").as_str() {
            bail!("{address} cannot be opened: {error}");
        }
        self.until("document.readyState === 'complete'")
    }

    /// Chooses a file in an input of the page, as a person would.
    pub fn choose(&self, input: &str, file: &Path) -> Result<()> {
        let expression = format!("document.querySelector('{input}')");
        let found = self.call("Runtime.evaluate", json!({"expression": expression}))?;
        let object =
            at(&found, "/result/objectId").as_str().context("the page has no such input")?;
        let params = json!({"files": [file], "objectId": object});
        self.call("DOM.setFileInputFiles", params).map(|_| ())
    }

    /// A picture of the whole page.
    pub fn picture(&self, file: &Path) -> Result<()> {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", params)?;
        let text = at(&answer, "/data").as_str().context("the browser made no picture")?;
        let bytes = base64(text).context("the browser's picture is unreadable")?;
        fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// What the page complained of since it was last asked: exceptions, and errors on its console.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.take()
    }

    /// Ends it in good order.
    pub fn close(&self) -> Result<()> {
        *self.session.borrow_mut() = None;
        self.call("Browser.close", json!({}))?;
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline {
            if self.child.borrow_mut().try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        bail!("the browser did not end within {} s", FAREWELL.as_secs())
    }

    /// The end of what the browser wrote, for an error.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        log.lines()
            .rfind(|it| !it.trim().is_empty())
            .map_or_else(String::new, |it| format!(" ({it})"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.input.borrow_mut().take(); // A browser whose pipe is closed ends by itself.
        let child = self.child.get_mut();
        let deadline = Instant::now() + FAREWELL;
        while matches!(child.try_wait(), Ok(None)) {
            if deadline < Instant::now() {
                // It may have ended in this moment, which is as good.
                let _ended = child.kill().and_then(|()| child.wait());
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// A value inside another; null where there is none.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    value.pointer(path).unwrap_or(&NULL)
}

/// What an event of the browser complains of, if it does.
fn complaint(message: &Value) -> Option<String> {
    let params = at(message, "/params");
    let text = match at(message, "/method").as_str()? {
        "Runtime.exceptionThrown" => at(params, "/exceptionDetails/exception/description"),
        "Runtime.consoleAPICalled" if at(params, "/type") == "error" => at(params, "/args/0/value"),
        "Log.entryAdded" if at(params, "/entry/level") == "error" => at(params, "/entry/text"),
        _ => return None,
    };
    Some(text.as_str().map_or_else(|| message.to_string(), str::to_owned))
}

/// The bytes that a text of base 64 stands for.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |it: u8| match it {
        b'A'..=b'Z' => Some(it - b'A'),
        b'a'..=b'z' => Some(it - b'a' + 26),
        b'0'..=b'9' => Some(it - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut word = 0_u32;
        for byte in group {
            word = word << 6 | u32::from(digit(*byte)?);
        }
        let word = word << (6 * (4 - group.len()));
        bytes.extend(word.to_be_bytes().iter().skip(1).take(group.len() * 6 / 8));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_read() {
        for (text, bytes) in [("", ""), ("TQ==", "M"), ("TWE=", "Ma"), ("TWFu", "Man")] {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64("+/+/"), Some(vec![0xfb, 0xff, 0xbf]));
        assert_eq!(base64("T W="), None);
    }

    #[test]
    fn what_the_page_complains_of_is_noticed() {
        let thrown = json!({"method": "Runtime.exceptionThrown",
            "params": {"exceptionDetails": {"exception": {"description": "TypeError: x"}}}});
        assert_eq!(complaint(&thrown), Some("TypeError: x".to_owned()));
        let said = json!({"method": "Log.entryAdded", "params": {"entry": {"level": "info", "text": "x"}}});
        assert_eq!(complaint(&said), None);
        let refused = json!({"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": "CSP"}}});
        assert_eq!(complaint(&refused), Some("CSP".to_owned()));
    }
}
