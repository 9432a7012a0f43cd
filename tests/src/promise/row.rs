//! What the table says of a promise.

/// A promise: a sentence, the figure that its proofs must show, and who else would see a breach.
#[derive(Debug)]
pub struct Promise {
    /// Its number, also of its file in `tests/promises/`.
    pub number: u8,
    /// What is promised.
    pub text: &'static str,
    /// What the proofs must show.
    pub figure: &'static str,
    /// What its file proves, by name.
    pub proofs: &'static [Proof],
    /// Another test that a breach would fail, outside the proofs: its file and its name, as `tests/a.rs::a_name`.
    pub witness: &'static str,
}

/// A proof of a promise, or of a part of it.
#[derive(Debug)]
pub struct Proof {
    /// What it is called; empty where it is the only one.
    pub part: &'static str,
    /// What judges it, and whether time or anybody in it is not real: words that the page explains.
    pub judge: &'static str,
    /// How much of it every test run tries.
    pub few: &'static str,
}

pub(super) const fn promise(
    number: u8,
    text: &'static str,
    figure: &'static str,
    proofs: &'static [Proof],
    witness: &'static str,
) -> Promise {
    Promise { number, text, figure, proofs, witness }
}

pub(super) const fn proof(part: &'static str, judge: &'static str, few: &'static str) -> Proof {
    Proof { part, judge, few }
}

impl Promise {
    /// True if it is said that a small run tries so few, as `40 of 500`, or one in so many, as `1 in 19`.
    pub(super) fn tells(&self, few: usize) -> bool {
        let few = grouped(few);
        let said = |text: &str| {
            let words: Vec<&str> = text.split(' ').map(|word| word.trim_end_matches(',')).collect();
            words
                .windows(2)
                .any(|pair| pair == [few.as_str(), "of"] || pair == ["in", few.as_str()])
        };
        self.proofs.iter().any(|proof| said(proof.few))
    }
}

/// A number as it is written: `10,000`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let (first, rest) = digits.split_at(digits.len() % 3);
    let groups = rest.as_bytes().chunks(3).map(String::from_utf8_lossy).map(String::from);
    let groups = std::iter::once(first.to_owned()).chain(groups);
    groups.filter(|group| !group.is_empty()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_few_is_told_in_the_words_of_the_table() {
        const FEW: &[Proof] = &[proof("", "", "1,500 of 100,000 answers, 1 in 19 commits")];
        let written = [7, 40, 500, 10_000, 1_000_000].map(grouped);
        assert_eq!(written, ["7", "40", "500", "10,000", "1,000,000"]);
        let one = promise(1, "", "", FEW, "");
        assert!(one.tells(1_500) && one.tells(19));
        assert!(!one.tells(500) && !one.tells(100_000) && !one.tells(1));
    }
}
