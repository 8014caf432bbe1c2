//! What kinds of trouble there are with deliveries, and what a person can do about each.

use crate::attempt::{Outcome, Ruling};

/// A kind of trouble: a bounded vocabulary, by which errors are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// The receiver answered with a success that the endpoint does not take for one.
    OtherSuccess,
    Redirect,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Gone,
    TooLarge,
    UnsupportedMediaType,
    Unprocessable,
    TooManyRequests,
    OtherClientError,
    ServerError,
    /// A status that HTTP does not know.
    OddStatus,
    InvalidRequest,
    RefusedAddress,
    Dns,
    Connect,
    /// The operator's proxy failed, or did not connect to the receiver.
    Proxy,
    Tls,
    Timeout,
    Protocol,
    /// A plugin judged the answer so.
    JudgedRetry,
    JudgedFail,
    JudgedDisable,
    /// The host's own failure.
    Internal,
    /// No answer came, for a reason that has no kind of its own.
    Unreachable,
    PluginRejected,
    PluginTrap,
    PluginTimeLimit,
    PluginMemoryLimit,
    PluginOutputLimit,
    PluginBadOutput,
    PluginHost,
    /// The plugin said itself that it failed.
    PluginError,
}

/// Word, title, and what to do.
type Entry = (&'static str, &'static str, &'static str);

impl Trouble {
    pub const ALL: [Trouble; 36] = [
        Trouble::OtherSuccess,
        Trouble::Redirect,
        Trouble::BadRequest,
        Trouble::Unauthorized,
        Trouble::Forbidden,
        Trouble::NotFound,
        Trouble::MethodNotAllowed,
        Trouble::Gone,
        Trouble::TooLarge,
        Trouble::UnsupportedMediaType,
        Trouble::Unprocessable,
        Trouble::TooManyRequests,
        Trouble::OtherClientError,
        Trouble::ServerError,
        Trouble::OddStatus,
        Trouble::InvalidRequest,
        Trouble::RefusedAddress,
        Trouble::Dns,
        Trouble::Connect,
        Trouble::Proxy,
        Trouble::Tls,
        Trouble::Timeout,
        Trouble::Protocol,
        Trouble::JudgedRetry,
        Trouble::JudgedFail,
        Trouble::JudgedDisable,
        Trouble::Internal,
        Trouble::Unreachable,
        Trouble::PluginRejected,
        Trouble::PluginTrap,
        Trouble::PluginTimeLimit,
        Trouble::PluginMemoryLimit,
        Trouble::PluginOutputLimit,
        Trouble::PluginBadOutput,
        Trouble::PluginHost,
        Trouble::PluginError,
    ];

    /// The trouble that an attempt ran into; `None` where it delivered, or a plugin filtered the message.
    pub fn of(outcome: &Outcome) -> Option<Trouble> {
        match outcome {
            Outcome::Delivered { .. } | Outcome::Filtered { .. } => None,
            Outcome::Refused { status, .. } => Some(of_status(*status)),
            Outcome::Gone => Some(Trouble::Gone),
            Outcome::Unreachable { kind, .. } => Some(of_fault(kind)),
            Outcome::Rejected { .. } => Some(Trouble::PluginRejected),
            Outcome::PluginFailed { kind, .. } => Some(of_plugin(kind)),
            Outcome::Judged { ruling, .. } => Some(of_ruling(*ruling)),
        }
    }

    /// A stable word, such as `http_404` or `plugin_trap`.
    pub fn word(self) -> &'static str {
        self.entry().0
    }

    pub fn parse(word: &str) -> Option<Trouble> {
        Trouble::ALL.into_iter().find(|trouble| trouble.word() == word)
    }

    /// The category, in plain words.
    pub fn title(self) -> &'static str {
        self.entry().1
    }

    /// What a person can do about it, in sentences.
    pub fn hint(self) -> &'static str {
        self.entry().2
    }

    /// Whether it lies with the receiver or the way to it: what counts towards disabling an endpoint.
    pub fn is_receivers(self) -> bool {
        self <= Trouble::Unreachable && !matches!(self, Trouble::Internal | Trouble::Proxy)
    }

    fn entry(self) -> Entry {
        match self {
            Trouble::OtherSuccess => (
                "http_2xx",
                "Success that does not count",
                "The receiver answered with a success that this endpoint does not take for one. Add the status to \
                 `success`, or have the receiver answer with one that is listed there.",
            ),
            Trouble::Redirect => (
                "http_3xx",
                "Moved",
                "The receiver answered with a redirect, which is never followed. Put the address it points to into \
                 the endpoint's URL.",
            ),
            Trouble::BadRequest => (
                "http_400",
                "Unknown parameters",
                "The receiver did not understand the request. Compare the request's body with what the receiver \
                 documents; a field may be missing, misnamed or unknown to it, and a transform can reshape it.",
            ),
            Trouble::Unauthorized => (
                "http_401",
                "Invalid key",
                "The receiver wants credentials that it did not get or does not accept. Add a token or a user and \
                 password to the endpoint's `auth`, or renew the one that is there; check the signing secret too.",
            ),
            Trouble::Forbidden => (
                "http_403",
                "Permission denied",
                "The receiver knows the sender but does not let it in. Check that the token is the right one and may \
                 write, and that the receiver does not block this server's IP address.",
            ),
            Trouble::NotFound => (
                "http_404",
                "Not found",
                "Nothing is at this URL. Check its path for a typing error; where the webhook was deleted or \
                 expired at the receiver, regenerate it there and paste the new URL.",
            ),
            Trouble::MethodNotAllowed => (
                "http_405",
                "Method not allowed",
                "The receiver takes no such requests at this URL. Check the path: a page for people is often beside \
                 the address for webhooks.",
            ),
            Trouble::Gone => (
                "http_410",
                "Gone",
                "The receiver said for good that it wants nothing more, so the endpoint was disabled. Regenerate \
                 the webhook at the receiver, put its URL into the endpoint, and enable it.",
            ),
            Trouble::TooLarge => (
                "http_413",
                "Too large",
                "The receiver does not take a body of this size. Raise its limit, or shorten the message with a \
                 transform.",
            ),
            Trouble::UnsupportedMediaType => (
                "http_415",
                "Content type not supported",
                "The receiver does not read this kind of content. Check which content type it wants; a transform \
                 can set it.",
            ),
            Trouble::Unprocessable => (
                "http_422",
                "Invalid input",
                "The receiver understood the request but not its values. The answer's body often names the field: \
                 look at the attempt, then correct the event or the transform's configuration.",
            ),
            Trouble::TooManyRequests => (
                "http_429",
                "Rate limit exceeded",
                "The receiver gets more than it takes. Deliveries are retried by themselves; to spare it, set the \
                 endpoint's `rate_limit` below what the receiver allows.",
            ),
            Trouble::OtherClientError => (
                "http_4xx",
                "Refused",
                "The receiver refused the request. Look at the attempt for its answer, and at the receiver's \
                 documentation for what the status means.",
            ),
            Trouble::ServerError => (
                "http_5xx",
                "Receiver down",
                "The receiver is down or has an error of its own. Deliveries are retried by themselves; if it goes \
                 on, tell whoever runs the receiver.",
            ),
            Trouble::OddStatus => (
                "http_other",
                "Odd answer",
                "The receiver answered with a status that HTTP does not know. Check that the URL leads to the \
                 receiver and not to something in between.",
            ),
            Trouble::InvalidRequest => (
                "invalid_request",
                "Request cannot be sent",
                "No request can be made from this endpoint's settings. Check its URL, headers and credentials, and \
                 what its transforms set.",
            ),
            Trouble::RefusedAddress => (
                "refused_address",
                "Address not allowed",
                "The URL leads to an address that deliveries may not go to, such as one of a private network, or \
                 uses plain http. Use a public https address, or have the operator allow this one.",
            ),
            Trouble::Dns => (
                "dns",
                "Name not found",
                "The host name of the URL has no address. Check it for a typing error, and that its DNS record \
                 exists.",
            ),
            Trouble::Connect => (
                "connect",
                "No connection",
                "Nothing accepts connections at the URL's host and port. Check that the receiver is running, and \
                 that no firewall stands between.",
            ),
            Trouble::Proxy => (
                "proxy",
                "Proxy failed",
                "Deliveries leave this server through a proxy, which could not be used or did not connect to the \
                 receiver. Have the operator check `--egress-proxy`, and the proxy's rules and log.",
            ),
            Trouble::Tls => (
                "tls",
                "TLS failed",
                "The receiver's certificate was not accepted, or no secure connection came about. Renew the \
                 certificate if it has expired, and check that it is for this host name and comes with its chain.",
            ),
            Trouble::Timeout => (
                "timeout",
                "Timed out",
                "The receiver did not answer in time. Have it answer at once and do the work afterwards, or raise \
                 the endpoint's `timeout`.",
            ),
            Trouble::Protocol => (
                "protocol",
                "Broken answer",
                "The receiver broke off, or answered with something that is not HTTP. Check that the port is the \
                 one that speaks HTTP, and look into the receiver's log.",
            ),
            Trouble::JudgedRetry => (
                "judged_retry",
                "Answered with an error",
                "The receiver's answer says, in its own words, that it did not take the message; the plugin that reads \
                 it has it sent again. The answer's body is in the attempt.",
            ),
            Trouble::JudgedFail => (
                "judged_fail",
                "Answered with a lasting error",
                "The receiver's answer says, in its own words, that it will never take this message. The plugin that \
                 reads it gives the reason in the attempt; correct the event, or the plugin's configuration, and \
                 replay.",
            ),
            Trouble::JudgedDisable => (
                "judged_disable",
                "Closed by the receiver",
                "The receiver's answer says, in its own words, that this address takes nothing any more, so the \
                 endpoint was disabled. Renew the webhook at the receiver, put its URL or token into the endpoint, \
                 and enable it.",
            ),
            Trouble::Internal => (
                "internal",
                "Failure of this server",
                "This server failed within the attempt; the receiver has no part in it. Its log says where; \
                 please report it.",
            ),
            Trouble::Unreachable => (
                "unreachable",
                "Not reached",
                "No answer came from the receiver. Look at the attempt for what happened.",
            ),
            Trouble::PluginRejected => (
                "plugin_rejected",
                "Rejected by a plugin",
                "A plugin of the endpoint said that this event can never be delivered. Its reason is in the \
                 attempt; correct the event, or the plugin's configuration, and replay.",
            ),
            Trouble::PluginTrap => (
                "plugin_trap",
                "Plugin crashed",
                "A plugin of the endpoint stopped in the middle. Its log is in the attempt; try the event in a dry \
                 run, and give the plugin's author what it says.",
            ),
            Trouble::PluginTimeLimit => (
                "plugin_time_limit",
                "Plugin took too long",
                "A plugin of the endpoint used up its time. Simplify its configuration, or have the operator raise \
                 the limit.",
            ),
            Trouble::PluginMemoryLimit => (
                "plugin_memory_limit",
                "Plugin out of memory",
                "A plugin of the endpoint used up its memory. Send smaller events, or have the operator raise the \
                 limit.",
            ),
            Trouble::PluginOutputLimit => (
                "plugin_output_limit",
                "Plugin's message too large",
                "A plugin of the endpoint made a message that is too large. Have it leave fields out, or have the \
                 operator raise the limit.",
            ),
            Trouble::PluginBadOutput => (
                "plugin_bad_output",
                "Plugin's message cannot be sent",
                "A plugin of the endpoint made a message that cannot be sent, such as one with a header that \
                 belongs to this server. The attempt says what is wrong with it.",
            ),
            Trouble::PluginHost => (
                "plugin_host",
                "Plugin could not be started",
                "A plugin of the endpoint could not be started. This server may be short of memory; its log says \
                 more.",
            ),
            Trouble::PluginError => (
                "plugin_error",
                "Plugin failed",
                "A plugin of the endpoint said that it failed. Its message is in the attempt; often the event \
                 lacks a field that the plugin's configuration asks for.",
            ),
        }
    }
}

fn of_status(status: u16) -> Trouble {
    match status {
        200..=299 => Trouble::OtherSuccess,
        300..=399 => Trouble::Redirect,
        400 => Trouble::BadRequest,
        401 => Trouble::Unauthorized,
        403 => Trouble::Forbidden,
        404 => Trouble::NotFound,
        405 => Trouble::MethodNotAllowed,
        410 => Trouble::Gone,
        413 => Trouble::TooLarge,
        415 => Trouble::UnsupportedMediaType,
        422 => Trouble::Unprocessable,
        429 => Trouble::TooManyRequests,
        402..=499 => Trouble::OtherClientError,
        500..=599 => Trouble::ServerError,
        _ => Trouble::OddStatus,
    }
}

/// By the words that attempts carry.
fn of_fault(kind: &str) -> Trouble {
    match kind {
        "invalid_request" => Trouble::InvalidRequest,
        "refused_address" => Trouble::RefusedAddress,
        "dns" => Trouble::Dns,
        "connect" => Trouble::Connect,
        "proxy" => Trouble::Proxy,
        "tls" => Trouble::Tls,
        "timeout" => Trouble::Timeout,
        "protocol" => Trouble::Protocol,
        "internal" => Trouble::Internal,
        _ => Trouble::Unreachable,
    }
}

fn of_ruling(ruling: Ruling) -> Trouble {
    match ruling {
        Ruling::Retry { .. } => Trouble::JudgedRetry,
        Ruling::Fail => Trouble::JudgedFail,
        Ruling::Disable => Trouble::JudgedDisable,
    }
}

/// A plugin's own code may be any word, so it is no kind.
fn of_plugin(kind: &str) -> Trouble {
    match kind {
        "trap" => Trouble::PluginTrap,
        "time_limit" => Trouble::PluginTimeLimit,
        "memory_limit" => Trouble::PluginMemoryLimit,
        "output_limit" => Trouble::PluginOutputLimit,
        "bad_output" => Trouble::PluginBadOutput,
        "host" => Trouble::PluginHost,
        _ => Trouble::PluginError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::FailureKind;
    use crate::send::FaultKind;

    #[test]
    fn words_are_told_apart_and_read_back() {
        for trouble in Trouble::ALL {
            assert_eq!(Trouble::parse(trouble.word()), Some(trouble));
            assert!(trouble.hint().ends_with('.') && trouble.hint().len() > 40, "{trouble:?}");
            assert!(!trouble.hint().contains("  "), "{trouble:?}");
        }
        assert_eq!(Trouble::parse("http_999"), None);
    }

    #[test]
    fn answers_have_their_kinds() {
        for (status, word) in [
            (202, "http_2xx"),
            (301, "http_3xx"),
            (400, "http_400"),
            (401, "http_401"),
            (402, "http_4xx"),
            (403, "http_403"),
            (404, "http_404"),
            (409, "http_4xx"),
            (410, "http_410"),
            (422, "http_422"),
            (429, "http_429"),
            (500, "http_5xx"),
            (599, "http_5xx"),
            (600, "http_other"),
        ] {
            let outcome = Outcome::Refused { status, retry_after: None };
            assert_eq!(Trouble::of(&outcome).unwrap().word(), word, "{status}");
        }
        assert_eq!(Trouble::of(&Outcome::Gone), Some(Trouble::Gone));
        assert_eq!(Trouble::of(&Outcome::Delivered { status: 200 }), None);
    }

    #[test]
    fn each_fault_of_a_request_has_its_kind() {
        for kind in FaultKind::ALL {
            let outcome = Outcome::Unreachable { kind: kind.as_str().to_owned(), message: String::new() };
            assert_eq!(Trouble::of(&outcome).unwrap().word(), kind.as_str());
        }
    }

    #[test]
    fn what_a_plugin_judged_lies_with_the_receiver() {
        for (ruling, word) in [
            (Ruling::Retry { after: None }, "judged_retry"),
            (Ruling::Fail, "judged_fail"),
            (Ruling::Disable, "judged_disable"),
        ] {
            let (plugin, reason) = ("p".to_owned(), "r".to_owned());
            let trouble = Trouble::of(&Outcome::Judged { plugin, status: None, ruling, reason }).unwrap();
            assert_eq!((trouble.word(), trouble.is_receivers()), (word, true));
        }
    }

    #[test]
    fn each_failure_of_a_plugin_has_its_kind_and_is_not_the_receivers() {
        for kind in [
            FailureKind::Trap,
            FailureKind::TimeLimit,
            FailureKind::MemoryLimit,
            FailureKind::OutputLimit,
            FailureKind::BadOutput,
            FailureKind::Host,
            FailureKind::Error { code: "no_total".to_owned() },
        ] {
            let failed = |kind: &str| Outcome::PluginFailed {
                plugin: "p".to_owned(),
                kind: kind.to_owned(),
                message: String::new(),
                retry: true,
            };
            let trouble = Trouble::of(&failed(kind.as_str())).unwrap();
            assert_eq!(trouble.word(), format!("plugin_{kind}"));
            assert!(!trouble.is_receivers());
        }
        assert!(
            Trouble::Timeout.is_receivers()
                && !Trouble::Internal.is_receivers()
                && !Trouble::Proxy.is_receivers()
        );
    }
}
