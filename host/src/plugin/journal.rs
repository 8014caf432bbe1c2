//! The plugin log of one call: what it logged through the contract, and what it printed.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::Bounds;
use super::text::clean;

/// One line of a plugin's log, free of control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub level: Level,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Shared by the instance and the streams it prints to.
#[derive(Clone)]
pub(super) struct Journal(Arc<Mutex<Pages>>);

struct Pages {
    lines: Vec<LogLine>,
    /// Lines that found no room.
    lost: usize,
    max_lines: usize,
    max_length: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    panic: Panic,
}

/// A Rust panic on stderr is two lines or more: where, and then what. It is kept apart from the lines, so
/// that a chatty plugin still says why it died.
#[derive(Default)]
enum Panic {
    #[default]
    None,
    At(String),
    Saying(String, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Journal {
    pub fn new(bounds: &Bounds<'_>) -> Self {
        Self(Arc::new(Mutex::new(Pages {
            lines: Vec::new(),
            lost: 0,
            max_lines: bounds.log_lines,
            max_length: bounds.log_line_length,
            stdout: Vec::new(),
            stderr: Vec::new(),
            panic: Panic::None,
        })))
    }

    pub fn write(&self, level: Level, text: &str) {
        self.with(|pages| pages.push(level, text));
    }

    pub fn print(&self, stream: Stream, bytes: &[u8]) {
        self.with(|pages| pages.print(stream, bytes));
    }

    /// The lines, and `at src/lib.rs:14:24: message` if the plugin panicked.
    pub fn finish(&self) -> (Vec<LogLine>, Option<String>) {
        self.with(Pages::finish)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pages) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pages {
    fn push(&mut self, level: Level, text: &str) {
        if self.lines.len() < self.max_lines {
            let text = clean(text, self.max_length);
            self.lines.push(LogLine { level, text });
        } else {
            self.lost += 1;
        }
    }

    fn print(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.hold(stream, &rest[..end]);
            self.end_line(stream);
            rest = &rest[end + 1..];
        }
        self.hold(stream, rest);
    }

    /// Keeps the beginning of a line until its end is seen; one byte more than is shown tells that it was cut.
    fn hold(&mut self, stream: Stream, bytes: &[u8]) {
        let max = self.max_length + 1;
        let held = self.held(stream);
        let room = max.saturating_sub(held.len());
        held.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self, stream: Stream) {
        let line = mem::take(self.held(stream));
        let line = String::from_utf8_lossy(&line);
        match stream {
            Stream::Stdout => self.push(Level::Info, &line),
            Stream::Stderr => {
                self.watch_for_panic(&line);
                self.push(Level::Error, &line);
            }
        }
    }

    fn held(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn watch_for_panic(&mut self, line: &str) {
        if let Some(place) = panic_place(line) {
            self.panic = Panic::At(clean(place, self.max_length));
            return;
        }
        self.panic = match mem::take(&mut self.panic) {
            Panic::At(place) => Panic::Saying(place, clean(line, self.max_length)),
            other => other,
        };
    }

    fn finish(&mut self) -> (Vec<LogLine>, Option<String>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.held(stream).is_empty() {
                self.end_line(stream);
            }
        }
        if self.lost > 0 {
            let text = format!("{} more lines were not kept", self.lost);
            self.lines.push(LogLine { level: Level::Warn, text });
        }
        let panic = match mem::take(&mut self.panic) {
            Panic::None => None,
            Panic::At(place) => Some(format!("at {place}")),
            Panic::Saying(place, what) => Some(format!("at {place}: {what}")),
        };
        (mem::take(&mut self.lines), panic)
    }
}

/// `src/lib.rs:14:24` of `thread 'main' (1) panicked at src/lib.rs:14:24:`.
fn panic_place(line: &str) -> Option<&str> {
    let (thread, place) = line.split_once(" panicked at ")?;
    thread.trim_start().starts_with("thread '").then(|| place.trim_end_matches(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::limits::Limits;
    use crate::terms::Allowance;

    fn journal(log_lines: usize, log_line_length: usize) -> Journal {
        let limits = Limits { log_lines, log_line_length, ..Limits::default() };
        Journal::new(&limits.bounds("p", Allowance::default()))
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn keeps_the_order_and_splits_what_was_printed_into_lines() {
        let journal = journal(10, 100);
        journal.print(Stream::Stdout, b"one\ntw");
        journal.write(Level::Warn, "between");
        journal.print(Stream::Stdout, b"o\nrest");
        let (lines, panic) = journal.finish();
        assert_eq!(texts(&lines), ["one", "between", "two", "rest"]);
        assert_eq!(panic, None);
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let journal = journal(2, 8);
        for _ in 0..5 {
            journal.write(Level::Info, "0123456789");
        }
        let (lines, _) = journal.finish();
        assert_eq!(texts(&lines), ["01234…", "01234…", "3 more lines were not kept"]);
    }

    #[test]
    fn a_panic_is_heard_over_the_noise() {
        let journal = journal(0, 100);
        journal.print(
            Stream::Stderr,
            b"\nthread '<unnamed>' (1) panicked at src/lib.rs:14:24:\nboom\nnote: run with",
        );
        let (_, panic) = journal.finish();
        assert_eq!(panic.as_deref(), Some("at src/lib.rs:14:24: boom"));
    }
}
