//! What two chains made of one event, side by side.

use bytes::Bytes;
use similar::TextDiff;
use std::fmt::Write as _;
use std::time::Duration;

use crate::attempt::Outcome;
use crate::dispatch::redact::Redactor;
use crate::event::EventType;
use crate::id::{EndpointId, EventId};
use crate::layout;
use crate::message::Message;

/// Lines of a difference that are shown around each change.
const CONTEXT: usize = 3;
/// How long one difference is looked for; what is found then is not the shortest one.
const PATIENCE: Duration = Duration::from_millis(50);

/// What would follow of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// This would be sent, with the body in the endpoint's form.
    Message(Message),
    /// Nothing would.
    Nothing(Outcome),
}

/// How the candidate differs from what is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The same would be sent, or nothing with either.
    Same,
    /// Both would send, and not the same.
    Changed,
    /// The candidate drops what would be sent.
    NewlyDropped,
    /// The candidate sends what would be dropped.
    NewlyPassed,
    /// The candidate fails, or rejects the message, where the active one does not.
    NewlyFailing,
    /// The other way round.
    NewlyWorking,
}

/// How many events there were of each kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    of: [u64; Change::ALL.len()],
    /// Those of `Same` that fail with both.
    pub both_failing: u64,
}

/// An event that shows a change.
#[derive(Debug, Clone)]
pub struct Sample {
    pub endpoint: EndpointId,
    pub event: EventId,
    pub event_type: EventType,
    pub change: Change,
    pub active: Shown,
    pub candidate: Shown,
    /// In the form of `diff -u`, where both would send.
    pub difference: Option<String>,
}

/// An end as it is shown: masked, and of its body no more than there is room for.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What would be sent.
    pub message: Option<Message>,
    /// Bytes of its body before it was cut.
    pub body_length: usize,
    /// What it would come to where nothing would be sent.
    pub outcome: Option<Outcome>,
}

impl Change {
    pub const ALL: [Change; 6] = [
        Change::Same,
        Change::Changed,
        Change::NewlyDropped,
        Change::NewlyPassed,
        Change::NewlyFailing,
        Change::NewlyWorking,
    ];

    pub fn between(active: &End, candidate: &End) -> Self {
        match (Way::of(active), Way::of(candidate)) {
            (Way::Sends, Way::Sends) if active != candidate => Change::Changed,
            (Way::Fails, Way::Fails) | (Way::Drops, Way::Drops) | (Way::Sends, Way::Sends) => Change::Same,
            (_, Way::Fails) => Change::NewlyFailing,
            (Way::Fails, _) => Change::NewlyWorking,
            (Way::Sends, Way::Drops) => Change::NewlyDropped,
            (Way::Drops, Way::Sends) => Change::NewlyPassed,
        }
    }

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Change::Same => "same",
            Change::Changed => "changed",
            Change::NewlyDropped => "newly_dropped",
            Change::NewlyPassed => "newly_passed",
            Change::NewlyFailing => "newly_failing",
            Change::NewlyWorking => "newly_working",
        }
    }

    /// Where there is room for few samples, those of the higher weight are kept.
    pub fn weight(self) -> u8 {
        match self {
            Change::Same => 0,
            Change::Changed | Change::NewlyPassed | Change::NewlyWorking => 1,
            Change::NewlyDropped => 2,
            Change::NewlyFailing => 3,
        }
    }
}

enum Way {
    Sends,
    Drops,
    Fails,
}

impl Way {
    fn of(end: &End) -> Self {
        match end {
            End::Message(_) => Way::Sends,
            End::Nothing(Outcome::Filtered { .. }) => Way::Drops,
            End::Nothing(_) => Way::Fails,
        }
    }
}

impl Counts {
    pub fn note(&mut self, active: &End, candidate: &End) -> Change {
        let change = Change::between(active, candidate);
        self.of[change as usize] += 1;
        let fails = change == Change::Same && matches!(Way::of(active), Way::Fails);
        self.both_failing += u64::from(fails);
        change
    }

    pub fn add(&mut self, other: &Counts) {
        self.of.iter_mut().zip(other.of).for_each(|(count, more)| *count += more);
        self.both_failing += other.both_failing;
    }

    pub fn of(&self, change: Change) -> u64 {
        self.of[change as usize]
    }

    pub fn all(&self) -> u64 {
        self.of.iter().sum()
    }
}

impl Shown {
    /// At most `limit` bytes of a body.
    pub fn of(end: &End, redactor: &Redactor, limit: usize) -> Self {
        match end {
            End::Message(message) => {
                let mut message = redactor.message(message.clone());
                let body_length = message.body.len();
                if body_length > limit {
                    message.body = Bytes::copy_from_slice(&message.body[..limit]);
                }
                Self { message: Some(message), body_length, outcome: None }
            }
            End::Nothing(outcome) => {
                Self { message: None, body_length: 0, outcome: Some(redactor.outcome(outcome.clone())) }
            }
        }
    }
}

/// Where two messages differ, line by line, masked. At most `limit` bytes of each are compared.
pub fn difference(active: (&End, &Redactor), candidate: (&End, &Redactor), limit: usize) -> Option<String> {
    let text = |(end, redactor): (&End, &Redactor)| match end {
        End::Message(message) => Some(cut(laid_out(&redactor.message(message.clone())), limit)),
        End::Nothing(_) => None,
    };
    let (before, after) = (text(active)?, text(candidate)?);
    if before == after {
        return Some(String::new());
    }
    let mut settings = TextDiff::configure();
    let diff = settings.timeout(PATIENCE).diff_lines(before.as_str(), after.as_str());
    let shown = diff.unified_diff().context_radius(CONTEXT).header("active", "candidate").to_string();
    Some(shown)
}

/// As an HTTP message reads, JSON in lines.
fn laid_out(message: &Message) -> String {
    let path = message.path_and_query.as_deref().unwrap_or_default();
    let mut text = format!("{} {path}", message.method.as_deref().unwrap_or("POST")).trim_end().to_owned();
    let _ = write!(text, "\ncontent-type: {}", message.content_type);
    for (name, value) in &message.headers {
        let _ = write!(text, "\n{name}: {value}");
    }
    text += "\n\n";
    match std::str::from_utf8(&message.body) {
        Ok(body) => text += &layout::pretty(body).unwrap_or_else(|| body.to_owned()),
        Err(_) => {
            for line in message.body.chunks(16) {
                line.iter().for_each(|byte| text += &format!("{byte:02x} "));
                text.push('\n');
            }
        }
    }
    text.push('\n');
    text
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text += "\n(cut here)\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Outcome;

    fn sends(body: &str) -> End {
        End::Message(Message::of_payload(body.to_owned().into()))
    }

    fn drops(reason: &str) -> End {
        End::Nothing(Outcome::Filtered { plugin: "p".into(), reason: reason.into() })
    }

    fn fails(kind: &str) -> End {
        let (plugin, message) = ("p".to_owned(), String::new());
        End::Nothing(Outcome::PluginFailed { plugin, kind: kind.into(), message, retry: true })
    }

    #[test]
    fn each_pair_has_its_word() {
        let rejects = End::Nothing(Outcome::Rejected { plugin: "p".into(), reason: String::new() });
        let mut counts = Counts::default();
        for (active, candidate, word) in [
            (sends("1"), sends("1"), "same"),
            (sends("1"), sends("1.0"), "changed"),
            (sends("1"), drops(""), "newly_dropped"),
            (drops(""), sends("1"), "newly_passed"),
            (drops("a"), drops("b"), "same"),
            (sends("1"), fails("trap"), "newly_failing"),
            (drops(""), rejects.clone(), "newly_failing"),
            (fails("trap"), sends("1"), "newly_working"),
            (rejects, drops(""), "newly_working"),
            (fails("trap"), fails("time_limit"), "same"),
        ] {
            assert_eq!(counts.note(&active, &candidate).word(), word, "{active:?} {candidate:?}");
        }
        assert_eq!((counts.all(), counts.of(Change::Same), counts.both_failing), (10, 3, 1));
    }

    #[test]
    fn a_difference_is_told_in_lines_of_json() {
        let redactor = Redactor::default();
        let (before, after) = (sends(r#"{"a":1,"b":2}"#), sends(r#"{"a":1,"b":3}"#));
        let told = difference((&before, &redactor), (&after, &redactor), 1_000).unwrap();
        assert!(told.starts_with("--- active\n+++ candidate\n@@ "), "{told}");
        assert!(told.contains("   \"a\": 1,\n-  \"b\": 2\n+  \"b\": 3\n }\n"), "{told}");
        assert_eq!(difference((&before, &redactor), (&drops(""), &redactor), 1_000), None);
        let long = difference((&before, &redactor), (&sends(&"x".repeat(90)), &redactor), 70).unwrap();
        assert!(long.contains("+(cut here)"), "{long}");
    }
}
