//! Events to a request body, plain or gzip. Pure.

use std::io::{self, BufWriter, Write};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::Secret;
use crate::event::iso_timestamp;

/// Fast, because the engine shares the machine with the application: on batches of events level 1 costs a
/// third of the default level and gives up a tenth of the saving (`npm run bench`).
const LEVEL: Compression = Compression::fast();

/// A request body.
#[derive(Debug)]
pub struct Body {
    /// What goes on the wire.
    pub bytes: Vec<u8>,
    /// Bytes of the JSON.
    pub raw_length: usize,
}

/// Writes bodies for one write key.
#[derive(Debug)]
pub struct Encoder {
    /// `],"writeKey":"…","sentAt":"`
    middle: Secret<String>,
}

/// Events that are compressed with one call.
const PIECE_BYTES: usize = 128 * 1024;

const START: &str = r#"{"batch":["#;
const END: &str = r#""}"#;
const SENT_AT_LENGTH: usize = "2026-01-01T00:00:00.000Z".len();

impl Encoder {
    /// An encoder; with `None` the body carries no key, for those who only look.
    #[must_use]
    pub fn new(write_key: Option<&Secret<String>>) -> Self {
        let key = write_key.map_or_else(String::new, |key| {
            format!(r#""writeKey":{},"#, serde_json::Value::from(key.expose().as_str()))
        });
        Self { middle: Secret::new(format!(r#"],{key}"sentAt":""#)) }
    }

    /// Bytes of a body beside its events and their commas.
    #[must_use]
    pub fn envelope_length(&self) -> usize {
        START.len() + self.middle.expose().len() + SENT_AT_LENGTH + END.len()
    }

    /// `{"batch":[…],"writeKey":"…","sentAt":"…"}`, the shape analytics-node sends.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn encode<'a>(
        &self,
        events: impl Iterator<Item = &'a [u8]>,
        sent_at: SystemTime,
        gzip: bool,
    ) -> io::Result<Body> {
        if gzip {
            // In large pieces: the encoder clears its free space at each write.
            let encoder = BufWriter::with_capacity(PIECE_BYTES, GzEncoder::new(Vec::new(), LEVEL));
            let mut counted = Counted { inner: encoder, length: 0 };
            self.write(&mut counted, events, sent_at)?;
            let encoder = counted.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok(Body { bytes: encoder.finish()?, raw_length: counted.length })
        } else {
            let mut bytes = Vec::new();
            self.write(&mut bytes, events, sent_at)?;
            Ok(Body { raw_length: bytes.len(), bytes })
        }
    }

    fn write<'a>(
        &self,
        to: &mut impl Write,
        events: impl Iterator<Item = &'a [u8]>,
        sent_at: SystemTime,
    ) -> io::Result<()> {
        to.write_all(START.as_bytes())?;
        for (index, event) in events.enumerate() {
            if index > 0 {
                to.write_all(b",")?;
            }
            to.write_all(event)?;
        }
        to.write_all(self.middle.expose().as_bytes())?;
        to.write_all(iso_timestamp(sent_at).as_bytes())?;
        to.write_all(END.as_bytes())
    }
}

/// Counts what passes.
struct Counted<W> {
    inner: W,
    length: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.length += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::UNIX_EPOCH;

    const EVENTS: [&[u8]; 2] = [br#"{"a":1}"#, br#"{"b":2}"#];

    fn encoder() -> Encoder {
        Encoder::new(Some(&Secret::new("k\"ey".into())))
    }

    #[test]
    fn the_body_is_the_one_analytics_node_sends() {
        let body = encoder().encode(EVENTS.into_iter(), UNIX_EPOCH, false).unwrap();
        let text = r#"{"batch":[{"a":1},{"b":2}],"writeKey":"k\"ey","sentAt":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(String::from_utf8(body.bytes).unwrap(), text);
        assert_eq!(body.raw_length, text.len());
        assert_eq!(encoder().envelope_length() + 7 + 1 + 7, text.len());
    }

    #[test]
    fn gzip_is_the_same_body() {
        let plain = encoder().encode(EVENTS.into_iter(), UNIX_EPOCH, false).unwrap();
        let packed = encoder().encode(EVENTS.into_iter(), UNIX_EPOCH, true).unwrap();
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.bytes);
        assert_eq!(packed.raw_length, plain.raw_length);
    }

    #[test]
    fn without_a_key_there_is_none() {
        let body = Encoder::new(None).encode(EVENTS.into_iter(), UNIX_EPOCH, false).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&body.bytes).unwrap().get("writeKey").is_none());
    }
}
