//! Which field a word is meant to be.

/// How many letters may be wrong in a field that counts as a slip.
const SLIP: usize = 2;

/// The known fields that a word is most likely meant to be: one letter wrong, or two where that is less than half of
/// the field's name. Letters are compared without case.
pub(super) fn nearest<'f>(
    word: &str,
    known: impl Iterator<Item = &'f &'static str>,
) -> Vec<&'static str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let (mut best, mut found) = (SLIP, Vec::new());
    for name in known {
        let letters: Vec<char> = name.to_lowercase().chars().collect();
        let Some(wrong) = slips(&word, &letters, best) else { continue };
        if wrong > 1 && wrong * 2 >= letters.len() {
            continue;
        }
        if wrong < best {
            best = wrong;
            found.clear();
        }
        found.push(*name);
    }
    found
}

/// How many letters must be changed, added, removed or swapped with their neighbour, if it is at most so many.
fn slips(a: &[char], b: &[char], most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let (mut older, mut last) = (Vec::new(), (0..=b.len()).collect::<Vec<usize>>());
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(older[j - 2] + 1);
            }
        }
        older = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|wrong| *wrong <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of slips between two words, as it is defined.
    fn defined(a: &[char], b: &[char]) -> usize {
        let ([x, after_x @ ..], [y, after_y @ ..]) = (a, b) else { return a.len() + b.len() };
        let changed = defined(after_x, after_y) + usize::from(x != y);
        let mut least = changed.min(defined(after_x, b) + 1).min(defined(a, after_y) + 1);
        if let ([second, rest_a @ ..], [first, rest_b @ ..]) = (after_x, after_y)
            && (x, second) == (first, y)
        {
            least = least.min(defined(rest_a, rest_b) + 1);
        }
        least
    }

    #[test]
    fn slips_are_counted_as_they_are_defined_up_to_the_most_that_count() {
        let mut words = vec![Vec::new()];
        for at in 0..31 {
            words.extend(['a', 'b'].map(|letter| [&words[at][..], &[letter]].concat()));
        }
        assert_eq!(words.last().unwrap(), &['b'; 5]);
        for (a, b) in words.iter().flat_map(|a| words.iter().map(move |b| (a, b))) {
            let defined = defined(a, b);
            for most in 0..=3 {
                let wanted = (defined <= most).then_some(defined);
                assert_eq!(slips(a, b, most), wanted, "{a:?} {b:?} {most}");
            }
        }
    }
}
