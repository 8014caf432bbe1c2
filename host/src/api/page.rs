//! Queries of lists: filters, cursors and limits. A parameter that a list does not know is an error, not a
//! filter that filters nothing.

use std::fmt::Display;

use http::Uri;
use serde::Serialize;

use super::problem::{FieldError, Problem};
use crate::store::{PageRequest, Place};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page. A page may be short, even empty, while more follow.
    pub next: Option<String>,
}

/// The parameters of a request's query.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Query {
    pub fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { pairs, errors: Vec::new() }
    }

    /// The parameter, read by `parse`. What is wrong is kept for [`Query::finish`].
    pub fn take<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let place = self.pairs.iter().position(|(given, _)| given == name)?;
        let (_, text) = self.pairs.remove(place);
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push(FieldError::new(format!("?{name}"), error));
                None
            }
        }
    }

    pub fn page(&mut self) -> PageRequest {
        let after = self.take("cursor", decode);
        PageRequest { after, limit: self.limit() }
    }

    pub fn limit(&mut self) -> usize {
        self.take("limit", parse_limit).unwrap_or(DEFAULT_LIMIT)
    }

    /// # Errors
    ///
    /// What was wrong, and parameters that nobody asked for or that stand there twice.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.pairs {
            let message = "this list has no such parameter, or it stands there twice";
            self.errors.push(FieldError::new(format!("?{}", cut(name)), message));
        }
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(Problem::invalid(self.errors)),
        }
    }
}

fn parse_limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(format!("it must be a number from 1 to {MAX_LIMIT}")),
    }
}

/// How a place is shown to clients, who do not look inside.
pub(super) fn encode(place: Place) -> String {
    format!("{:x}-{:x}", place.sequence, place.ordinal)
}

fn decode(text: &str) -> Result<Place, &'static str> {
    let parts = || {
        let (sequence, ordinal) = text.split_once('-')?;
        let sequence = u64::from_str_radix(sequence, 16).ok()?;
        Some(Place { sequence, ordinal: u16::from_str_radix(ordinal, 16).ok()? })
    };
    parts().ok_or("it is no cursor; take it from `next` of the page before")
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/v1/events?{text}").parse().unwrap())
    }

    #[test]
    fn cursors_come_back() {
        for place in [Place { sequence: 0, ordinal: 0 }, Place { sequence: u64::MAX, ordinal: u16::MAX }] {
            assert_eq!(decode(&encode(place)), Ok(place));
        }
        for bad in ["", "-", "1", "1-", "1-10000", "x-1", "1-1-1"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameters() {
        let mut good = query("limit=500&cursor=1-2&tenant=a%20b");
        assert_eq!(good.page().limit, 500);
        assert_eq!(good.take("tenant", |text| Ok::<_, String>(text.to_owned())).unwrap(), "a b");
        assert!(good.finish().is_ok());
        for bad in ["limit=0", "limit=501", "limit=x", "cursor=x", "colour=red", "limit=1&limit=2"] {
            let mut query = query(bad);
            query.page();
            assert_eq!(query.finish().unwrap_err().errors.len(), 1, "{bad}");
        }
    }
}
