//! A browser: Debian's chromium without a window, led by WebDriver (<https://www.w3.org/TR/webdriver2/>).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::eventually;

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What the browser gets: `scripts/setup` installs it.
const REMEDY: &str = "run `scripts/setup`: it installs chromium, chromium-driver and axe-core";

/// So many chromedrivers are started until one has a port.
const TRIES: usize = 5;

/// A chromium of its own, with a profile of its own. It goes when this is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    /// Kept open: what chromedriver says later goes nowhere, and does no harm.
    _said: BufReader<ChildStdout>,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// One that shows nothing yet.
    ///
    /// # Panics
    /// When there is no chromium here, with what to do.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One that runs no scripts.
    pub fn without_scripts() -> Self {
        Self::with(&["--blink-settings=scriptEnabled=false"])
    }

    fn with(more: &[&str]) -> Self {
        let profile = TempDir::new().expect("a temporary directory");
        let (driver, said, port) = driver();
        let data = format!("--user-data-dir={}", profile.path().display());
        let mut args = vec!["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"];
        args.extend(["--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1", &data]);
        args.extend(more);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": 60_000, "pageLoad": 60_000},
            "goog:chromeOptions": {"args": args},
        }}});
        let mut browser =
            Self { driver, port, _said: said, session: String::new(), _profile: profile };
        let made = browser.send("POST", "/session", &wanted);
        let session = made.as_ref().ok().and_then(|made| made["sessionId"].as_str());
        let session =
            session.unwrap_or_else(|| panic!("chromium does not start: {REMEDY}: {made:?}"));
        browser.session = format!("/session/{session}");
        browser
    }

    /// Sends one command and gives its value, or the error.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver answers");
        stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a limit");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .expect("sent");
        let mut answer = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        // It keeps the connection open, whatever it is asked for.
        while answer.read_line(&mut head).expect("a head") > 2 {
            let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).expect("a body");
        let value = serde_json::from_slice::<Value>(&body).expect("JSON")["value"].take();
        if head.starts_with("HTTP/1.1 200") { Ok(value) } else { Err(value) }
    }

    #[track_caller]
    fn command(&self, path: &str, body: &Value) -> Value {
        self.send("POST", &format!("{}{path}", self.session), body)
            .unwrap_or_else(|error| panic!("{path} {body}: {}", error["message"]))
    }

    /// Opens an address.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.command("/url", &json!({ "url": url }));
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let url = self.send("GET", &format!("{}/url", self.session), &Value::Null);
        url.expect("an address").as_str().unwrap_or_default().to_owned()
    }

    /// What a script returns.
    #[track_caller]
    pub fn script(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a script gives to its last argument, a function.
    #[track_caller]
    pub fn later(&self, script: &str) -> Value {
        self.command("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Does something with the first element that fits, once there is one: while one page gives way to another, it may be
    /// gone as soon as it was found.
    #[track_caller]
    fn with_element(&self, css: &str, mut act: impl FnMut(&str) -> Result<Value, Value>) -> Value {
        let wanted = json!({"using": "css selector", "value": css});
        let mut done = Value::Null;
        eventually(css, || {
            let found = self.send("POST", &format!("{}/element", self.session), &wanted);
            let path = |found: Value| {
                format!("{}/element/{}", self.session, found[ELEMENT].as_str().unwrap_or_default())
            };
            match found.and_then(|found| act(&path(found))) {
                Ok(value) => done = value,
                Err(error) if page_gave_way(&error) => return false,
                Err(error) => panic!("{css}: {}", error["message"]),
            }
            true
        });
        done
    }

    /// Clicks on the first element that fits.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.with_element(css, |path| self.send("POST", &format!("{path}/click"), &json!({})));
    }

    /// Types into the first element that fits.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        let text = json!({ "text": text });
        self.with_element(css, |path| self.send("POST", &format!("{path}/value"), &text));
    }

    /// Presses one key after the other: `\u{e004}` is Tab, `\u{e007}` Enter.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let keys = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        });
        let actions: Vec<Value> = keys.collect();
        self.command(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}),
        );
    }

    /// What the first element that fits shows.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let get = |path: &str| self.send("GET", &format!("{path}/text"), &Value::Null);
        self.with_element(css, get).as_str().unwrap_or_default().to_owned()
    }

    /// The label, or else the text, of what has the focus; empty while another page is on its way.
    pub fn focused(&self) -> String {
        let get = |path: &str| self.send("GET", &format!("{}{path}", self.session), &Value::Null);
        let focused = || {
            let active = get("/element/active").ok()?;
            let path = format!("/element/{}", active[ELEMENT].as_str()?);
            let label = get(&format!("{path}/attribute/aria-label")).ok()?;
            let text = get(&format!("{path}/text")).ok()?;
            Some(label.as_str().or(text.as_str())?.to_owned())
        };
        focused().unwrap_or_default()
    }

    /// Waits until what the page shows contains a text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        eventually(text, || self.text("body").contains(text));
    }

    /// A command of the browser's own protocol.
    #[track_caller]
    pub fn protocol(&self, command: &str, params: &Value) -> Value {
        self.command("/goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    /// Shows pages in a window of this width, in the light or the dark scheme.
    #[track_caller]
    pub fn view(&self, width: u32, scheme: &str) {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.protocol("Emulation.setDeviceMetricsOverride", &size);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.protocol("Emulation.setEmulatedMedia", &features);
    }

    /// A picture of the whole page.
    ///
    /// # Panics
    /// When it can't be written.
    #[track_caller]
    pub fn picture(&self, file: &Path) {
        self.shoot(file, &json!({"format": "png", "captureBeyondViewport": true}));
    }

    #[track_caller]
    fn shoot(&self, file: &Path, how: &Value) {
        let shot = self.protocol("Page.captureScreenshot", how);
        let data = shot["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder of pictures");
        std::fs::write(file, bytes).expect("a picture is written");
    }

    /// A small picture of what the window shows.
    ///
    /// # Panics
    /// As [`Browser::picture`].
    #[track_caller]
    pub fn still(&self, file: &Path) {
        self.shoot(file, &json!({"format": "webp", "quality": 80}));
    }

    /// Findings of axe-core that are serious or critical, each in a line.
    ///
    /// # Panics
    /// When axe-core is not there, with what to do.
    #[track_caller]
    pub fn serious_findings(&self) -> Vec<String> {
        let file = target().join("tools/npm/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}: {REMEDY}", file.display()));
        self.script(&axe);
        let found = self.later(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']})\
             .then(r => done(r.violations.filter(v => ['serious', 'critical'].includes(v.impact))\
             .flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 160)}: ${n.failureSummary}`))),\
             e => done([String(e)]));",
        );
        let lines = found.as_array().expect("a list").iter();
        lines.map(|line| line.as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends chromium; if it has gone already there is nothing to end.
            let _ = self.send("DELETE", &self.session, &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A chromedriver with what it says and its port. It takes any port for IPv4 and ends where another program has the same one
/// for IPv6: then one more is asked.
fn driver() -> (Child, BufReader<ChildStdout>, u16) {
    let mut all = String::new();
    for _ in 0..TRIES {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): {REMEDY}"));
        let mut said = BufReader::new(driver.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        while said.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            let port = line.split_once("started successfully on port ");
            if let Some(port) =
                port.and_then(|(_, port)| port.trim().trim_end_matches('.').parse().ok())
            {
                return (driver, said, port);
            }
            all.push_str(&std::mem::take(&mut line));
        }
        driver.wait().expect("it has closed its output");
    }
    panic!("chromedriver names no port: {REMEDY}: {all}");
}

/// Where builds and what they leave go.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from)
}

/// Whether what was asked for went with the page it stood on. Chromium's driver has a standard word for most moments of
/// that, and for some only its inspector's own sentence.
fn page_gave_way(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    ["no such element", "stale element reference"].iter().any(|word| error["error"] == *word)
        || ["does not belong to the document", "aborted by navigation", "No node with given id"]
            .iter()
            .any(|said| message.contains(said))
}
