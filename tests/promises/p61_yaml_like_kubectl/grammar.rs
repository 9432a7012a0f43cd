//! Files of YAML about which readers disagree: odd scalars, keys, merge keys, tags, separators; and ordinary ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fastrand::Rng;

/// One file and what is in it.
pub(super) struct File {
    pub(super) text: String,
    /// Documents.
    pub(super) documents: usize,
    /// True if it holds nothing odd: it has to be read.
    pub(super) is_plain: bool,
}

/// Files, the same ones for the same seed.
pub(super) struct Grammar {
    rng: Rng,
    words: BTreeMap<String, Vec<String>>,
    prefix: String,
    serial: usize,
    nodes: usize,
    is_plain: bool,
    /// Anchors of the document: a name, and whether it is one of a mapping.
    anchors: Vec<(String, bool)>,
}

impl Grammar {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            words: serde_json::from_str(include_str!("words.json")).unwrap(),
            prefix: format!("n{seed}"),
            serial: 0,
            nodes: 0,
            is_plain: false,
            anchors: Vec::new(),
        }
    }

    /// The next file, of one to three documents.
    pub(super) fn file(&mut self) -> File {
        self.is_plain = self.one_in(4);
        let documents = [1, 1, 1, 2, 3][self.rng.usize(..5)];
        let mut text = String::new();
        for number in 0..documents {
            match number {
                _ if self.is_plain || !self.one_in(8) => {
                    text += if number > 0 || self.one_in(2) { "---\n" } else { "" };
                }
                _ => text += &self.word_of("between"),
            }
            text += &self.document();
        }
        if self.is_plain && text.starts_with('{') {
            // Else kubectl takes all of the file for JSON.
            text.insert_str(0, "---\n");
        }
        if !self.is_plain && self.one_in(6) {
            // The names that the judge goes by stand before it.
            let spec = text.rfind("spec").map_or(text.len(), |at| at + 4);
            for _ in 0..self.rng.usize(1..4) {
                self.damage(&mut text, spec);
            }
        }
        if self.one_in(20) {
            text = text.replace('\n', "\r\n");
        }
        if self.one_in(40) {
            text.insert(0, '\u{feff}');
        }
        if self.one_in(20) {
            text.truncate(text.trim_end().len());
        }
        File { text, documents, is_plain: self.is_plain }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.rng.usize(..n) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.rng.usize(..from.len())]
    }

    fn word_of(&mut self, list: &str) -> String {
        let list = &self.words[list];
        list[self.rng.usize(..list.len())].clone()
    }

    /// Damages a text somewhere from a place on.
    fn damage(&mut self, text: &mut String, from: usize) {
        let mut at = self.rng.usize(from..=text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        if self.one_in(4) {
            text.truncate(at);
        } else {
            text.insert_str(at, &self.word_of("damage"));
        }
    }

    fn document(&mut self) -> String {
        self.serial += 1;
        self.anchors.clear();
        let name = format!("{}x{}", self.prefix, self.serial);
        match self.rng.usize(..24) {
            0 => return self.json(&name),
            1 => {
                let spec = self.flow(3);
                return format!(
                    "{{apiVersion: example.com/v1, kind: Thing, metadata: {{name: {name}}}, spec: {spec}}}\n"
                );
            }
            _ => {}
        }
        let mut text =
            format!("apiVersion: example.com/v1\nkind: Thing\nmetadata:\n  name: {name}\nspec:\n");
        let entries = self.rng.usize(1..5);
        self.block_map(&mut text, 1, entries);
        text
    }

    fn json(&mut self, name: &str) -> String {
        let value = match self.is_plain {
            true => self.pick(&[
                "1",
                "-2.5",
                "\"a\\n\\u00e9\"",
                "[true, null]",
                "{\"b\":\"c\"}",
                "[{\"b\" : 1},\n\t2]",
            ]),
            false => self.pick(&[
                "\"\\ud83d\\ude00\"",
                "\"\\/\"",
                "1e400",
                "-0.0",
                "1E2",
                "01",
                "{\"b\":1,\"b\":2}",
                "[1,]",
                "\"\\u0000\"",
                "'a'",
                "a",
                "\"a\tb\"",
                "1.0",
                "\"\\ud800\"",
                "18446744073709551615",
                "{\"<<\":{\"b\":1}}",
                "yes",
            ]),
        };
        let text = format!(
            r#"{{"apiVersion":"example.com/v1","kind":"Thing","metadata":{{"name":"{name}"}},"spec":{{"a":{value}}}}}"#
        );
        text + if self.is_plain || !self.one_in(10) { "\n" } else { "" }
    }

    fn block_map(&mut self, text: &mut String, depth: usize, entries: usize) {
        for number in 0..entries {
            let indent = "  ".repeat(depth);
            if !self.anchors.is_empty()
                && (if self.is_plain { number == 0 && self.one_in(4) } else { self.one_in(6) })
            {
                let merge = self.merge();
                _ = writeln!(text, "{indent}<<: {merge}");
            }
            let key = self.key(number);
            _ = write!(text, "{indent}{key}:");
            self.block_value(text, depth);
            if self.one_in(12) {
                _ = writeln!(text, "{indent}# a comment: with [odd \"text");
            }
        }
    }

    /// A value after a colon, up to its line's end.
    fn block_value(&mut self, text: &mut String, depth: usize) {
        let kind = if depth > 2 { 0 } else { self.rng.usize(..10) };
        let mut before = " ".to_owned();
        self.nodes += 1;
        // Odd documents use a name more than once.
        let number = if self.is_plain { self.nodes } else { self.rng.usize(1..4) };
        let anchor = self.one_in(5).then(|| format!("a{number}"));
        if let Some(name) = &anchor {
            _ = write!(before, "&{name} ");
        }
        if !self.is_plain && self.one_in(8) {
            _ = write!(before, "{} ", self.word_of("tags"));
        }
        match kind {
            7 => {
                _ = writeln!(text, "{}", before.trim_end());
                let entries = self.rng.usize(1..4);
                self.block_map(text, depth + 1, entries);
            }
            8 if depth == 1 => {
                _ = writeln!(text, "{}", before.trim_end());
                let indent = self.pick(&["  ", "    "]);
                for _ in 0..self.rng.usize(1..3) {
                    let value = self.scalar();
                    _ = writeln!(text, "{indent}- {}", value.trim_end_matches('\n'));
                }
            }
            9 => {
                let flow = self.flow(2);
                _ = writeln!(text, "{before}{flow}");
            }
            _ => {
                let mut scalar = self.scalar();
                if self.is_plain && depth > 2 && scalar.contains('\n') {
                    // The lines of the list are not far enough to the right.
                    scalar = "text".to_owned();
                }
                // An alias has neither anchor nor tag.
                let before = if self.is_plain && scalar.starts_with('*') { " " } else { &before };
                _ = writeln!(text, "{before}{}", scalar.strip_suffix('\n').unwrap_or(&scalar));
                if before.len() < 2 {
                    return;
                }
            }
        }
        self.anchors.extend(anchor.map(|name| (name, kind == 7)));
    }

    fn scalar(&mut self) -> String {
        if !self.anchors.is_empty() && self.one_in(8) {
            return self.alias();
        }
        if self.is_plain || self.one_in(3) {
            return self.word_of("plain");
        }
        match self.rng.usize(..6) {
            0 => self.word(),
            1 => self.digits(),
            2 => self.characters(),
            _ => self.word_of("scalars"),
        }
    }

    fn alias(&mut self) -> String {
        let (name, _) = &self.anchors[self.rng.usize(..self.anchors.len())];
        format!("*{name}")
    }

    /// A word that may be a boolean or null, in any case.
    fn word(&mut self) -> String {
        let word = self
            .pick(&["y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan"]);
        word.chars().map(|c| if self.rng.bool() { c.to_ascii_uppercase() } else { c }).collect()
    }

    /// What may be a number or a date.
    fn digits(&mut self) -> String {
        let length = self.rng.usize(1..9);
        let mut text = String::new();
        for _ in 0..length {
            text += self.pick(&[
                "0", "0", "1", "7", "8", "9", "_", "+", "-", ".", "e", "E", "x", "o", "b", "X",
                ":", "f",
            ]);
        }
        text
    }

    /// A scalar in some quotes, of characters that mean something.
    fn characters(&mut self) -> String {
        let quote = self.pick(&["", "", "'", "\""]);
        let mut text = String::new();
        for _ in 0..self.rng.usize(1..7) {
            text += self.pick(&[
                "a", "b", " ", ":", "#", "-", "?", "!", "&", "*", "%", "@", "`", "|", ">", ",",
                "[", "]", "{", "}", "'", "\"", "\\", "\t", "\n      ", "é", "\u{a0}", "~", "=",
                "<", ".",
            ]);
        }
        format!("{quote}{text}{quote}")
    }

    fn key(&mut self, number: usize) -> String {
        if self.is_plain || !self.one_in(8) {
            let quote = if self.one_in(8) { "\"" } else { "" };
            return format!("{quote}k{number}{quote}");
        }
        if self.one_in(30) {
            return "k".repeat([1_000, 1_022, 1_023, 1_024, 1_025, 1_100][self.rng.usize(..6)]);
        }
        self.word_of("keys")
    }

    fn merge(&mut self) -> String {
        let maps: Vec<String> =
            self.anchors.iter().filter(|(_, map)| *map).map(|(name, _)| name.clone()).collect();
        if self.is_plain {
            return maps.first().map_or_else(|| "{}".to_owned(), |name| format!("*{name}"));
        }
        let alias = maps.first().map_or_else(|| self.alias(), |name| format!("*{name}"));
        match self.rng.usize(..9) {
            0 => format!("[{alias}, {{k0: m, k2: m}}]"),
            1 => "{k0: m, k1: m}".to_owned(),
            2 => format!("{{<<: {alias}, k1: m}}"),
            3 => format!("{{k1: m, <<: {alias}}}"),
            4 => format!("[{{k0: m}}, {alias}, {{k0: n, z: 1}}]"),
            5 => self.scalar(),
            6 => "[]".to_owned(),
            _ => alias,
        }
    }

    fn flow(&mut self, depth: usize) -> String {
        let mut items = Vec::new();
        let is_map = self.rng.bool();
        for number in 0..self.rng.usize(..4) {
            let value = match depth {
                1.. if self.one_in(4) => self.flow(depth - 1),
                _ => self.flow_scalar(),
            };
            if is_map && !self.is_plain && self.one_in(5) && !self.anchors.is_empty() {
                let merge = self.merge();
                items.push(format!("<<: {merge}"));
            }
            let colon = if self.is_plain || !self.one_in(20) {
                ": "
            } else {
                self.pick(&[":", " :", " : ", "", ":\t", ":\n      "])
            };
            items.push(if is_map { format!("{}{colon}{value}", self.key(number)) } else { value });
        }
        let comma = if self.is_plain || !self.one_in(20) {
            ", "
        } else {
            self.pick(&[",", " , ", ",\n      ", ", ,", ",\t", ", # c\n      "])
        };
        let end = if self.is_plain || !self.one_in(20) {
            ""
        } else {
            self.pick(&[",", " ", "\n  ", "\n", ", ", "\t"])
        };
        let inner = items.join(comma);
        if is_map { format!("{{{inner}{end}}}") } else { format!("[{inner}{end}]") }
    }

    fn flow_scalar(&mut self) -> String {
        let scalar = self.scalar();
        if self.is_plain && scalar.contains(['\n', ':', '#', '{', '[', '$']) {
            "x".to_owned()
        } else {
            scalar
        }
    }
}
