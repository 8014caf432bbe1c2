//! Many events in one request: a JSON array, or one object a line.

use std::fmt;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Taken;
use crate::api::json;
use crate::api::problem::{Document, Kind, Problem, whole_seconds};
use crate::ingest::Accepted;

/// What became of one item.
pub(super) enum Verdict {
    Taken(Taken),
    Problem(Problem),
}

impl Verdict {
    pub fn of(accepted: Accepted, warning: Option<String>) -> Self {
        match accepted {
            Accepted::Event { id, deliveries, duplicate } => {
                Self::Taken(Taken { id: id.to_string(), deliveries, duplicate, warning })
            }
            Accepted::Conflict { event } => Self::Problem(super::conflict(event)),
        }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    accepted: usize,
    refused: usize,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    /// From 0, in the order of the request.
    index: usize,
    status: u16,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    taken: Option<&'a Taken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Document<'a>>,
    /// What `Retry-After` says where the event is posted by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

/// 202 where every item was taken on, else 207.
pub(super) fn answer(verdicts: &[Verdict]) -> Result<Response, Problem> {
    let items: Vec<Item<'_>> = verdicts.iter().enumerate().map(item).collect();
    let accepted = items.iter().filter(|item| item.taken.is_some()).count();
    let refused = items.len() - accepted;
    let status = if refused == 0 { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    json(status, &Answer { accepted, refused, items })
}

fn item((index, verdict): (usize, &Verdict)) -> Item<'_> {
    match verdict {
        Verdict::Taken(taken) => Item {
            index,
            status: StatusCode::ACCEPTED.as_u16(),
            taken: Some(taken),
            problem: None,
            retry_after_s: None,
        },
        Verdict::Problem(problem) => Item {
            index,
            status: problem.kind.status().as_u16(),
            taken: None,
            problem: Some(problem.document()),
            retry_after_s: problem.retry_after.map(whole_seconds),
        },
    }
}

/// The items of a JSON array, as they stand there; perhaps none.
pub(super) fn items(bytes: &[u8], most: usize) -> Result<Vec<&[u8]>, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let items = Items { most }.deserialize(&mut deserializer).and_then(|items| {
        deserializer.end()?;
        Ok(items)
    });
    let items = items.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => too_many(most),
        _ => Problem::malformed(format!("The batch is not JSON: {error}.")),
    })?;
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

/// The lines of NDJSON; empty ones are passed over.
pub(super) fn lines(bytes: &[u8], most: usize) -> Result<Vec<&[u8]>, Problem> {
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let lines: Vec<&[u8]> = lines.take(most + 1).collect();
    match lines.len() > most {
        true => Err(too_many(most)),
        false => not_empty(lines),
    }
}

pub(super) fn not_empty(items: Vec<&[u8]>) -> Result<Vec<&[u8]>, Problem> {
    match items.is_empty() {
        true => Err(Problem::field("", "the batch holds no event")),
        false => Ok(items),
    }
}

fn too_many(most: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("The batch holds more than {most} events; post it in parts."))
}

/// Stops at the first item too many: what follows is not even kept.
struct Items {
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            if items.len() == self.most {
                return Err(de::Error::custom("too many"));
            }
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_told_apart() {
        let array = br#" [ {"a": 1} , 2,"x" ] "#;
        assert_eq!(items(array, 3).unwrap(), [&br#"{"a": 1}"#[..], b"2", br#""x""#]);
        assert_eq!(items(array, 2).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(not_empty(items(b"[]", 2).unwrap()).unwrap_err().kind, Kind::Invalid);
        for (bad, kind) in [
            (&b"[1"[..], Kind::Malformed),
            (b"[1,]", Kind::Malformed),
            (b"[1] 2", Kind::Malformed),
            (b"[\xff]", Kind::Malformed),
        ] {
            assert_eq!(items(bad, 10).unwrap_err().kind, kind, "{bad:?}");
        }
    }

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(lines(b"{}\r\n\n {\"a\":1} \n", 2).unwrap(), [&b"{}"[..], b"{\"a\":1}"]);
        assert_eq!(lines(b"1\n2\n3", 2).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(lines(b" \n", 2).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn a_mixed_batch_says_so() {
        let taken =
            || Verdict::Taken(Taken { id: "evt_x".into(), deliveries: 1, duplicate: false, warning: None });
        assert_eq!(answer(&[taken()]).unwrap().status(), StatusCode::ACCEPTED);
        let refused = Verdict::Problem(Problem::field("/type", "it is missing"));
        assert_eq!(answer(&[taken(), refused]).unwrap().status(), StatusCode::MULTI_STATUS);
    }
}
