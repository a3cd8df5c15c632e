//! What an event is: the JSON text JavaScript made, sealed with type, messageId, timestamp and library.
//!
//! Sealing splices bytes; nothing is parsed. The face promises one thing about its text: it is an object
//! written by `JSON.stringify`, and when [`Parts::context`] is set its last member is `context`, an object.
//! The limits are those of Segment's HTTP Tracking API, measured on the final UTF-8 bytes.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use memchr::memmem::Finder;
use uuid::Uuid;

use crate::stats::Refusal;

/// 32 KiB per event (Segment docs, HTTP Tracking API, "Max request size").
pub const MAX_EVENT_BYTES: usize = 32 * 1024;
/// Nesting beyond this is refused: parsers on the way (serde's limit is 128) would give up on it.
pub const MAX_DEPTH: usize = 100;

/// The calls of Segment's spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Who the user is.
    Identify,
    /// What the user did.
    Track,
    /// A web page was seen.
    Page,
    /// A screen of an application was seen.
    Screen,
    /// Which account the user belongs to.
    Group,
    /// Two identities are the same user.
    Alias,
}

impl EventType {
    /// The six types in the order of their numbers at the border.
    pub const ALL: [Self; 6] =
        [Self::Identify, Self::Track, Self::Page, Self::Screen, Self::Group, Self::Alias];

    const fn name(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Track => "track",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }
}

/// Which members the text holds already.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts about one text")]
pub struct Parts {
    /// `context` is the last member and an object without `library`.
    pub context: bool,
    /// `messageId` is there.
    pub message_id: bool,
    /// `timestamp` is there.
    pub timestamp: bool,
    /// `integrations` is there.
    pub integrations: bool,
}

/// The constant end of every event of one client.
#[derive(Clone, Debug)]
pub struct Seal {
    library: String,
    metadata: String,
}

impl Seal {
    /// Names the library and the runtime as analytics-node does.
    #[must_use]
    pub fn new(node_version: &str) -> Self {
        let node_version: String =
            node_version.chars().filter(|c| c.is_ascii_alphanumeric() || ".-+".contains(*c)).collect();
        Self {
            library: format!(
                r#""library":{{"name":"@companion/segment","version":"{}"}}}}"#,
                env!("CARGO_PKG_VERSION")
            ),
            metadata: format!(r#","_metadata":{{"nodeVersion":"v{node_version}","jsRuntime":"node"}}}}"#),
        }
    }

    /// Makes the event as it will be sent, in pieces: the id and the time are fixed here, for every attempt.
    ///
    /// # Errors
    /// Why the event can't be sent; nothing was kept.
    pub fn seal<T>(
        &self,
        text: &[u8],
        event_type: EventType,
        parts: Parts,
        now: SystemTime,
        accept: impl FnOnce(&Sealed<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let marks = Marks::of(text);
        if marks.may_be_too_deep && depth(text) > MAX_DEPTH {
            return Err(Refusal::TooDeep);
        }
        if marks.may_have_surrogates {
            let mut mended = text.to_vec();
            mend_lone_surrogates(&mut mended);
            return self.splice(&mended, event_type, parts, now, accept);
        }
        self.splice(text, event_type, parts, now, accept)
    }

    fn splice<T>(
        &self,
        text: &[u8],
        event_type: EventType,
        parts: Parts,
        now: SystemTime,
        accept: impl FnOnce(&Sealed<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let inner = inner(text, parts).ok_or(Refusal::Malformed)?;
        let mut head = Head::new();
        head.push(b"{");
        if !parts.message_id {
            head.push(br#""messageId":""#);
            head.push(Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
            head.push(br#"","#);
        }
        if !parts.timestamp {
            head.push(br#""timestamp":""#);
            with_iso_timestamp(now, |timestamp| head.push(timestamp.as_bytes()));
            head.push(br#"","#);
        }
        head.push(br#""type":""#);
        head.push(event_type.name().as_bytes());
        head.push(b"\"");
        let separator: &[u8] = if inner.is_empty() { b"" } else { b"," };
        let integrations: &[u8] = if parts.integrations { b"" } else { br#","integrations":{}"# };
        let before_library: &[u8] = match (parts.context, inner.ends_with(b"{")) {
            (true, true) => b"",
            (true, false) => b",",
            (false, _) => br#","context":{"#,
        };
        // `context` must stay last until the library is in it.
        let sealed = Sealed::of([
            head.bytes(),
            integrations,
            separator,
            inner,
            before_library,
            self.library.as_bytes(),
            self.metadata.as_bytes(),
        ]);
        if sealed.len() > MAX_EVENT_BYTES { Err(Refusal::TooLarge) } else { accept(&sealed) }
    }
}

/// An event as it will be sent, in pieces that are not put together yet.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::len_without_is_empty, reason = "an event is never empty")]
pub struct Sealed<'a> {
    pieces: [&'a [u8]; 7],
    length: usize,
}

impl<'a> Sealed<'a> {
    fn of(pieces: [&'a [u8]; 7]) -> Self {
        Self { pieces, length: pieces.iter().map(|piece| piece.len()).sum() }
    }

    /// The pieces, in order.
    #[must_use]
    pub const fn pieces(&self) -> &[&'a [u8]] {
        &self.pieces
    }

    /// Bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }
}

/// The members of the object, without the braces that the seal closes.
fn inner(text: &[u8], parts: Parts) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    if parts.context { inner.strip_suffix(b"}") } else { Some(inner) }
}

/// The variable start of an event; short, so it is put together without an allocation.
struct Head {
    buffer: [u8; 160],
    length: usize,
}

impl Head {
    const fn new() -> Self {
        Self { buffer: [0; 160], length: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.buffer.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// What one look at a text tells of it. Almost no event has that many brackets, or a backslash, so that the walks which
/// know what a string is are rare.
struct Marks {
    may_be_too_deep: bool,
    may_have_surrogates: bool,
}

impl Marks {
    fn of(text: &[u8]) -> Self {
        // In pieces that a byte can count, so that the compiler counts many bytes at once.
        let (mut brackets, mut has_backslash) = (0, false);
        for piece in text.chunks(255) {
            let (mut count, mut backslash) = (0_u8, false);
            for &byte in piece {
                count += u8::from(byte | 0x20 == b'{');
                backslash |= byte == b'\\';
            }
            brackets += usize::from(count);
            has_backslash |= backslash;
        }
        Self {
            may_be_too_deep: brackets > MAX_DEPTH,
            may_have_surrogates: has_backslash && ESCAPE.find(text).is_some(),
        }
    }
}

static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br"\ud"));

fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// `JSON.stringify` writes a lone surrogate as an escape such as `\ud800`, which strict parsers refuse with
/// the whole batch. It becomes U+FFFD, as in every UTF-8 encoder. Pairs never appear as escapes.
fn mend_lone_surrogates(json: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = json.get(from..).and_then(|rest| ESCAPE.find(rest)) {
        let at = from + found;
        let backslashes = json.iter().take(at).rev().take_while(|&&byte| byte == b'\\').count();
        let is_escape = backslashes % 2 == 0;
        let is_surrogate = matches!(json.get(at + 3), Some(b'8'..=b'9' | b'a'..=b'f'));
        if is_escape
            && is_surrogate
            && let Some(digits) = json.get_mut(at + 2..at + 6)
        {
            digits.copy_from_slice(b"fffd");
        }
        from = at + 3;
    }
}

/// The moment as ISO 8601 with milliseconds, as `Date.prototype.toISOString` writes it.
#[must_use]
pub fn iso_timestamp(now: SystemTime) -> String {
    with_iso_timestamp(now, ToOwned::to_owned)
}

/// Formatting a date costs more than the rest of a seal, and many events share a millisecond: the last text is
/// kept for each thread.
fn with_iso_timestamp<T>(now: SystemTime, look: impl FnOnce(&str) -> T) -> T {
    thread_local! {
        static LAST: RefCell<(Option<i64>, String)> = const { RefCell::new((None, String::new())) };
    }
    let millisecond = milliseconds_since_1970(now);
    LAST.with_borrow_mut(|(last, text)| {
        if *last != Some(millisecond) {
            // A clock outside the years that ISO 8601 can write: the epoch stands in.
            let timestamp = Timestamp::from_millisecond(millisecond).unwrap_or_default();
            *text = format!("{timestamp:.3}");
            *last = Some(millisecond);
        }
        look(text)
    })
}

fn milliseconds_since_1970(moment: SystemTime) -> i64 {
    let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match moment.duration_since(UNIX_EPOCH) {
        Ok(after) => milliseconds(after),
        Err(before) => -milliseconds(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn seal(text: &str, parts: Parts) -> Result<serde_json::Value, Refusal> {
        let sealed = sealed(text, parts)?;
        Ok(serde_json::from_slice(&sealed).expect("sealed events are JSON"))
    }

    fn sealed(text: &str, parts: Parts) -> Result<Vec<u8>, Refusal> {
        let whole = |sealed: &Sealed<'_>| Ok(sealed.pieces().concat());
        Seal::new("20.19.0").seal(text.as_bytes(), EventType::Track, parts, NOW, whole)
    }

    #[test]
    fn the_seal_adds_what_analytics_node_adds() {
        let event = seal(r#"{"event":"e","userId":"u"}"#, Parts::default()).unwrap();
        assert_eq!(event["type"], "track");
        assert_eq!(event["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(event["messageId"].as_str().unwrap().len(), 36);
        assert_eq!(event["context"]["library"]["name"], "@companion/segment");
        assert_eq!(event["integrations"], serde_json::json!({}));
        assert_eq!(event["_metadata"]["nodeVersion"], "v20.19.0");
    }

    #[test]
    fn the_library_joins_the_callers_context() {
        let parts = Parts { context: true, ..Parts::default() };
        let event = seal(r#"{"event":"e","context":{"ip":"::1","page":{"path":"/"}}}"#, parts).unwrap();
        assert_eq!(event["context"]["ip"], "::1");
        assert_eq!(event["context"]["page"]["path"], "/");
        assert_eq!(event["context"]["library"]["name"], "@companion/segment");
        let empty = seal(r#"{"context":{}}"#, parts).unwrap();
        assert_eq!(empty["context"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn what_the_caller_gave_is_not_added_again() {
        let parts = Parts { message_id: true, timestamp: true, integrations: true, ..Parts::default() };
        let text = r#"{"messageId":"m","timestamp":"t","integrations":{"All":false}}"#;
        let sealed = String::from_utf8(sealed(text, parts).unwrap()).unwrap();
        for member in ["messageId", "timestamp", "integrations"] {
            assert_eq!(sealed.matches(member).count(), 1, "{sealed}");
        }
    }

    #[test]
    fn the_limit_is_exact_on_the_final_bytes() {
        let overhead = sealed(r#"{"e":""}"#, Parts::default()).unwrap().len();
        let padded = |bytes: usize| format!(r#"{{"e":"{}"}}"#, "x".repeat(bytes));
        assert!(seal(&padded(MAX_EVENT_BYTES - overhead), Parts::default()).is_ok());
        assert_eq!(seal(&padded(MAX_EVENT_BYTES - overhead + 1), Parts::default()), Err(Refusal::TooLarge));
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let nested = |depth: usize| format!(r#"{{"p":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(seal(&nested(MAX_DEPTH - 1), Parts::default()).is_ok());
        assert_eq!(seal(&nested(MAX_DEPTH), Parts::default()), Err(Refusal::TooDeep));
        assert!(seal(&format!(r#"{{"p":"{}\""}}"#, "[".repeat(500)), Parts::default()).is_ok());
    }

    #[test]
    fn text_that_is_no_object_is_refused() {
        for text in ["", "{", "[]", "null", "\"{}\""] {
            assert_eq!(seal(text, Parts::default()), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        let event =
            seal(r#"{"a":"\ud800x","b":"\\ud800","c":"\\\udfff","d":"\ud7ff"}"#, Parts::default()).unwrap();
        assert_eq!(event["a"], "\u{fffd}x");
        assert_eq!(event["b"], "\\ud800");
        assert_eq!(event["c"], "\\\u{fffd}");
        assert_eq!(event["d"], "\u{d7ff}");
    }

    #[test]
    fn timestamps_are_written_as_javascript_writes_them() {
        let moment = UNIX_EPOCH + Duration::from_millis(1_795_196_047_009);
        assert_eq!(iso_timestamp(moment), "2026-11-20T17:34:07.009Z");
        assert!(iso_timestamp(UNIX_EPOCH - Duration::from_secs(1)).starts_with("1969-12-31T23:59:59.000"));
    }

    proptest! {
        #[test]
        fn any_object_stays_the_same_object(keys in proptest::collection::btree_map(".{0,8}", ".{0,20}", 0..8)) {
            let reserved = ["messageId", "timestamp", "type", "integrations", "context", "_metadata"];
            let given: std::collections::BTreeMap<_, _> =
                keys.into_iter().filter(|(key, _)| !reserved.contains(&key.as_str())).collect();
            let members = serde_json::to_string(&given).unwrap();
            let text = format!(r#"{{"p":{members},"context":{members}}}"#);
            let event = seal(&text, Parts { context: true, ..Parts::default() }).unwrap();
            for (key, value) in &given {
                prop_assert_eq!(&event["p"][key], value);
                prop_assert_eq!(&event["context"][key], value);
            }
        }
    }
}
