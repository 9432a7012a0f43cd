//! Documents that readers disagree about: every case is a plain one with some oddities.

use fastrand::Rng;

/// Files of one to three documents, the same ones for the same seed.
#[derive(Debug)]
pub(super) struct Documents {
    rng: Rng,
    serial: u64,
}

const KINDS: &[(&str, &str)] = &[
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("tekton.dev/v1", "Task"),
    ("tekton.dev/v1", "Pipeline"),
    ("tekton.dev/v1", "PipelineRun"),
    ("tekton.dev/v1", "TaskRun"),
    ("apps/v1", "Deployment"),
    ("v1", "Namespace"),
    ("v1", "List"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
];

/// Keys that some reader takes for one that decides.
const KEYS: &[&str] = &[
    "Kind",
    "KIND",
    "\u{212a}ind",
    "\"\\u212aind\"",
    "\"k\\u0069nd\"",
    "\"\\x6bind\"",
    "apiversion",
    "APIVersion",
    "items",
    "Items",
    "item\u{17f}",
    "\"item\\u017f\"",
    "\"items\"",
    "metadata ",
    "Metadata",
    "\"metadata\\0\"",
    "? kind\n",
    "<<",
    "name",
    "generateName",
    "namespace",
    "kind",
    "apiVersion",
    "metadata",
    "\u{feff}kind",
    "!!str kind",
    "&k kind",
    "true",
    "1",
    "~",
    "on",
    "'kind'",
    "status",
    "spec",
    "data",
    "*a",
    "__proto__",
    "$patch",
];

const VALUES: &[&str] = &[
    "Secret",
    "v1",
    "~",
    "null",
    "\"\"",
    "''",
    "true",
    "yes",
    "on",
    "no",
    "1",
    "017",
    "0o17",
    "0x1F",
    "1_000",
    "1e3",
    "1e400",
    "-0.0",
    ".inf",
    ".NaN",
    "12345678901234567890123",
    "9223372036854775808",
    "1:30",
    "+1",
    "2001-12-14",
    "!!str 1",
    "!!int \"3\"",
    "!!binary c2VjcmV0",
    "!foo bar",
    "!!null ''",
    "{}",
    "[]",
    "*a",
    "&b c",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\U0001F600\"",
    "{kind: Secret, apiVersion: v1, metadata: {name: inner}}",
    "[{kind: Secret, apiVersion: v1, metadata: {name: inner}}]",
    "{{ revision }}",
    "\"{{ revision }}\"",
    "\"{{ target_namespace }}\"",
    "other",
    "qa",
    "kube-system",
    "|\n    text\n    ---\n",
    ">-\n    folded\n",
    "\"a\\\n    b\"",
    "?",
    "-",
    "%YAML",
    "@x",
    "`x`",
    "\u{85}",
    "\u{2028}",
    "a: b",
    "\"---\"",
];

const BETWEEN: &[&str] = &[
    "---\n",
    "---\n",
    "---\n",
    "--- \n",
    "---\t\n",
    "---#\n",
    "--- # a comment\n",
    "...\n---\n",
    "...\n",
    "\n",
    "\r\n---\r\n",
    "\r---\r",
    "---\n%YAML 1.2\n---\n",
    "%YAML 1.1\n---\n",
    "# only a comment\n---\n",
    "--- !!map\n",
    "--- &a\n",
    "\u{feff}---\n",
    "---\u{2028}\n",
];

impl Documents {
    /// A source of documents.
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), serial: 0 }
    }

    /// The bytes of one file.
    pub(super) fn file(&mut self) -> Vec<u8> {
        let mut text = String::new();
        for number in 0..self.rng.usize(1..4) {
            if number > 0 || self.rng.u8(..) < 64 {
                text.push_str(self.pick(BETWEEN));
            }
            text.push_str(&self.document());
        }
        let mut bytes = text.into_bytes();
        if self.rng.u8(..) < 24 {
            self.damage(&mut bytes);
        }
        bytes
    }

    fn pick(&mut self, from: &'static [&'static str]) -> &'static str {
        from[self.rng.usize(..from.len())]
    }

    fn document(&mut self) -> String {
        self.serial += 1;
        let plain = if self.rng.u8(..) < 220 { 6 } else { KINDS.len() };
        let (api_version, kind) = KINDS[self.rng.usize(..plain)];
        let name = format!("n{}", self.serial);
        match self.rng.u8(0..10) {
            0 => self.json(api_version, kind, &name),
            1 => self.flow(api_version, kind, &name),
            _ => self.block(api_version, kind, &name),
        }
    }

    /// How many oddities a document has: often none, so that enough of them are sent.
    fn oddities(&mut self) -> usize {
        [0, 0, 1, 1, 1, 2, 3][self.rng.usize(..7)]
    }

    fn block(&mut self, api_version: &str, kind: &str, name: &str) -> String {
        let mut lines = vec![format!("apiVersion: {api_version}"), format!("kind: {kind}")];
        let mut metadata = vec![format!("name: {name}")];
        lines.push("data: {a: &a b}".to_owned());
        for _ in 0..self.oddities() {
            let (key, value) = (self.pick(KEYS), self.pick(VALUES));
            match self.rng.u8(0..6) {
                0 | 1 => lines.insert(self.rng.usize(..=lines.len()), format!("{key}: {value}")),
                2 => metadata.insert(self.rng.usize(..=metadata.len()), format!("{key}: {value}")),
                3 => metadata.push(format!("namespace: {value}")),
                4 => metadata.push(format!("labels: {{{key}: {value}}}")),
                _ => lines.push(format!("spec: {{a: [{value}], {key}: {value}}}")),
            }
        }
        let metadata = format!("metadata:\n  {}", metadata.join("\n  "));
        lines.insert(self.rng.usize(..=lines.len()), metadata);
        lines.join("\n") + "\n"
    }

    fn flow(&mut self, api_version: &str, kind: &str, name: &str) -> String {
        let mut more = String::new();
        for _ in 0..self.oddities() {
            more += &format!(", {}: {}", self.pick(KEYS).trim_end(), self.pick(VALUES).trim_end());
        }
        format!(
            "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: {name}}}, data: {{a: &a b}}{more}}}\n"
        )
    }

    /// JSON, at times several values without anything between them.
    fn json(&mut self, api_version: &str, kind: &str, name: &str) -> String {
        let mut more = String::new();
        for _ in 0..self.oddities() {
            let key = self.pick(KEYS).trim_matches('"');
            more += &format!(", \"{key}\": \"{}\"", self.pick(VALUES).trim_matches('"'));
        }
        let one = format!(
            r#"{{"apiVersion": "{api_version}", "kind": "{kind}", "metadata": {{"name": "{name}"}}{more}}}"#
        );
        if self.rng.u8(..) < 32 { format!("{one}{one}\n") } else { one + "\n" }
    }

    /// One byte changed, put in, or cut off.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.rng.usize(..bytes.len());
        let byte = [0, 0xff, 0xc0, b'\t', b'\r', b'"', b':', b'{', b'-', self.rng.u8(..)]
            [self.rng.usize(..10)];
        match self.rng.u8(0..3) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => bytes.truncate(at),
        }
    }
}
