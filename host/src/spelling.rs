//! What somebody may have meant who wrote a name that there is not.

/// How many letters are changed, added or left out between the two, where that is `most` at the most (Levenshtein).
pub fn distance(from: &str, to: &str, most: usize) -> Option<usize> {
    let to: Vec<char> = to.chars().collect();
    if from.chars().count().abs_diff(to.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
        // It never gets less from one row to the next.
        if row.iter().all(|changes| *changes > most) {
            return None;
        }
    }
    Some(row[to.len()]).filter(|changes| *changes <= most)
}

/// Those of `known` that are near to `name`, the nearest first, `most` at the most.
pub fn near<'k>(name: &str, known: impl IntoIterator<Item = &'k str>, most: usize) -> Vec<&'k str> {
    let rated = known.into_iter().filter_map(|known| Some((distance(name, known, FARTHEST)?, known)));
    let mut rated: Vec<(usize, &str)> = rated.collect();
    rated.sort_unstable();
    rated.into_iter().map(|(_, known)| known).take(most).collect()
}

/// Changes from which on a name is another one.
const FARTHEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, changes) in [
            ("", "", Some(0)),
            ("invoice.paid", "invoice.paid", Some(0)),
            ("invoice.payed", "invoice.paid", Some(2)),
            ("ab", "ba", Some(2)),
            ("", "abc", Some(3)),
            ("abc", "", Some(3)),
            ("abcd", "", None),
            ("abcdefgh", "ijklmnop", None),
        ] {
            assert_eq!(distance(from, to, 3), changes, "{from} {to}");
        }
    }

    #[test]
    fn the_nearest_stand_first() {
        let known = ["invoice.void", "invoice.paid", "invoice.pain", "contact.created"];
        assert_eq!(near("invoice.paid", known, 2), ["invoice.paid", "invoice.pain"]);
        assert_eq!(near("invoice.payd", known, 5), ["invoice.paid", "invoice.pain", "invoice.void"]);
        assert!(near("x", known, 5).is_empty());
    }
}
