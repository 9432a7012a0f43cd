//! JSON as Go's decoders read it, which is not as serde reads it: repeated keys stay visible, keys are compared with
//! letters folded, numbers must fit.
//!
//! Written for this alone, so that it shares no line with what it judges. Sources: Go's encoding/json ("Unmarshal":
//! keys match "preferring an exact match but also accepting a case-insensitive match", by simple folding) and
//! k8s.io/apimachinery's util/json (integers become int64 where they fit, else float64).

/// A JSON value with everything that its text holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// A mapping, in order, repeated keys included.
    Map(Vec<(String, Json)>),
}

impl Json {
    /// The values of all keys that Go would take for this one.
    pub fn all<'j>(&'j self, key: &str) -> Vec<&'j Json> {
        let Self::Map(pairs) = self else { return Vec::new() };
        let folded = fold(key);
        pairs.iter().filter(|(own, _)| fold(own) == folded).map(|(_, value)| value).collect()
    }

    /// The text under a key, the last one as Go takes it; empty if there is none.
    pub fn text(&self, key: &str) -> &str {
        match self.all(key).last() {
            Some(Self::Text(text)) => text,
            _ => "",
        }
    }

    /// The same text for all that Go takes for the same value: keys in order, numbers by what they are worth.
    pub fn plain(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(",");
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(text) => worth(text),
            Self::Text(text) => format!("{text:?}"),
            Self::List(items) => format!("[{}]", joined(items.iter().map(Self::plain).collect())),
            Self::Map(pairs) => {
                let pair = |(key, value): &(String, Self)| format!("{key:?}:{}", value.plain());
                let mut pairs: Vec<String> = pairs.iter().map(pair).collect();
                pairs.sort();
                format!("{{{}}}", joined(pairs))
            }
        }
    }
}

/// A number as its value: `1e3`, `1000.0` and `1000` are one to Go's encoder.
fn worth(text: &str) -> String {
    match text.parse::<i64>() {
        Ok(whole) => whole.to_string(),
        Err(_) => text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string()),
    }
}

/// A key with its letters folded as Go folds them: ASCII, the long s and the Kelvin sign.
pub fn fold(key: &str) -> String {
    let one = |c: char| match c {
        'ſ' => 'S',
        '\u{212a}' => 'K',
        other => other.to_ascii_uppercase(),
    };
    key.chars().map(one).collect()
}

/// Reads one value and nothing after it.
///
/// # Errors
/// What Go would refuse, or read otherwise than it stands there: a repeated key, a number that does not fit, broken
/// UTF-8.
pub fn read(bytes: &[u8]) -> Result<Json, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8: {e}"))?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.wrong("more than one value"));
    }
    Ok(value)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> String {
        let start = self.text[..self.at].char_indices().rev().nth(20).map_or(0, |(at, _)| at);
        format!("{what} at byte {}, after {:?}", self.at, &self.text[start..self.at])
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn next(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, expected: &str) -> bool {
        let there = self.text[self.at..].starts_with(expected);
        self.at += if there { expected.len() } else { 0 };
        there
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > 1_000 {
            return Err(self.wrong("too deep"));
        }
        self.space();
        match self.next() {
            Some('{') => self.map(depth),
            Some('[') => self.list(depth),
            Some('"') => self.string().map(Json::Text),
            Some('-' | '0'..='9') => self.number(),
            _ if self.take("null") => Ok(Json::Null),
            _ if self.take("true") => Ok(Json::Bool(true)),
            _ if self.take("false") => Ok(Json::Bool(false)),
            _ => Err(self.wrong("no value")),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut pairs: Vec<(String, Json)> = Vec::new();
        loop {
            self.space();
            if pairs.is_empty() && self.take("}") {
                return Ok(Json::Map(pairs));
            }
            let key = self.string()?;
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(self.wrong("a repeated key"));
            }
            self.space();
            if !self.take(":") {
                return Err(self.wrong("no colon"));
            }
            pairs.push((key, self.value(depth + 1)?));
            self.space();
            if self.take("}") {
                return Ok(Json::Map(pairs));
            }
            if !self.take(",") {
                return Err(self.wrong("neither comma nor brace"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if items.is_empty() && self.take("]") {
                return Ok(Json::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Ok(Json::List(items));
            }
            if !self.take(",") {
                return Err(self.wrong("neither comma nor bracket"));
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.take("\"") {
            return Err(self.wrong("no text"));
        }
        let mut text = String::new();
        loop {
            let c = self.next().ok_or_else(|| self.wrong("an open text"))?;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                c if c < ' ' => return Err(self.wrong("a bare control character")),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let c = self.next().ok_or_else(|| self.wrong("an open escape"))?;
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits = self.text.get(self.at..self.at + 4);
                let code = digits.and_then(|hex| u32::from_str_radix(hex, 16).ok());
                // Halves of a pair are not needed by a writer of UTF-8: Go would read a lone one as another letter.
                let c = code.and_then(char::from_u32).ok_or_else(|| self.wrong("a bad escape"))?;
                self.at += 4;
                c
            }
            _ => return Err(self.wrong("an unknown escape")),
        })
    }

    fn number(&mut self) -> Result<Json, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)));
        let text = &rest[..end.unwrap_or(rest.len())];
        self.at += text.len();
        let fits = text.parse::<i64>().is_ok() || text.parse::<f64>().is_ok_and(f64::is_finite);
        if fits {
            Ok(Json::Number(text.to_owned()))
        } else {
            Err(self.wrong("no number that fits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_are_read() {
        let read = read(
            r#" {"a\n\u00e9": [1, -2.5e3, true, false, null, "x"], "b": {}, "c": []} "#.as_bytes(),
        );
        let Json::Map(pairs) = read.unwrap() else { panic!("no mapping") };
        assert_eq!(pairs[0].0, "a\né");
        let Json::List(items) = &pairs[0].1 else { panic!("no list") };
        assert_eq!((items.len(), &items[1]), (6, &Json::Number("-2.5e3".into())));
        assert_eq!(pairs[1..], [("b".into(), Json::Map(vec![])), ("c".into(), Json::List(vec![]))]);
    }

    #[test]
    fn what_go_takes_for_the_same_value_has_one_text_and_nothing_else_has() {
        let plain = |text: &str| read(text.as_bytes()).unwrap().plain();
        let one = plain(r#"{"b": [1e3, "x"], "a": null}"#);
        assert_eq!(one, plain(r#"{"a":null,"b":[1000,"\u0078"]}"#));
        for other in [
            r#"{"a":null,"b":[1000]}"#,
            r#"{"a":null,"b":[1001,"x"]}"#,
            r#"{"b":[1000,"x"]}"#,
            r#"{"a":"null","b":[1000,"x"]}"#,
            r#"{"a":null,"b":["x",1000]}"#,
            r#"{"a":null,"B":[1000,"x"]}"#,
        ] {
            assert_ne!(one, plain(other), "{other}");
        }
    }

    #[test]
    fn what_go_reads_otherwise_is_an_error() {
        for bad in [
            &b"{\"a\":1,\"a\":2}"[..],
            b"1e999",
            b"{} {}",
            b"\"\xff\"",
            b"\"\\ud800\"",
            b"",
            b"[1,]",
            b"{\"a\" 1}",
        ] {
            assert!(read(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_key_is_found_whatever_its_letters_are() {
        let json =
            read("{\"Kind\":\"a\",\"\u{212a}ind\":\"b\",\"item\u{17f}\":[]}".as_bytes()).unwrap();
        assert_eq!(json.all("kind").len(), 2);
        assert_eq!((json.text("kind"), json.all("items").len()), ("b", 1));
    }
}
