//! A scripted HTTP/1.1 server on loopback. It records what it is sent and does what the script says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use companion_segment::testing::Attempt;
use serde_json::Value;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status.
    Status(u16),
    /// A status with a header.
    With(u16, &'static str, String),
    /// 200 and this many bytes of body.
    Body(usize),
    /// The connection ends without an answer.
    Reset,
    /// The connection ends in the middle of an answer's first line.
    PartialAnswer,
    /// No answer until the client gives up.
    Hang,
    /// 200 at once, and then a byte of the body now and then.
    Drip,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request line.
    pub line: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, decompressed.
    pub body: Value,
    /// Bytes of the body on the wire.
    pub length: usize,
    /// The `n` of each event.
    pub n: Vec<u64>,
}

impl Recorded {
    /// The `n` of each event.
    pub fn numbers(&self) -> Vec<u64> {
        self.n.clone()
    }

    /// The request that an attempt would be.
    pub fn virtually(attempt: &Attempt, sent_at: SystemTime, length: usize) -> Self {
        let mut headers = BTreeMap::new();
        if attempt.gzip {
            headers.insert("content-encoding".to_owned(), "gzip".to_owned());
        }
        if let Some(token) = &attempt.token {
            headers.insert("authorization".to_owned(), format!("Bearer {}", token.expose()));
        }
        if attempt.retry_count > 0 {
            headers.insert("x-retry-count".to_owned(), attempt.retry_count.to_string());
        }
        let events = attempt.batch.entries();
        let n: Vec<_> = events.iter().map(|entry| number(&entry.bytes)).collect();
        let batch: Vec<_> =
            events.iter().map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned()).collect();
        let body = serde_json::json!({ "batch": batch, "sentAt": format!("{sent_at:?}") });
        Self { line: String::new(), headers, body, length, n }
    }

    /// The events of the batch.
    pub fn events(&self) -> &[Value] {
        self.body["batch"].as_array().unwrap()
    }

    /// Whether the body came compressed.
    pub fn is_gzip(&self) -> bool {
        self.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip")
    }
}

type Script = dyn Fn(usize, &Recorded) -> Reply + Send + Sync;

/// The server. Its threads end with the test process.
pub struct Server {
    /// `http://127.0.0.1:port`
    pub url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
    connections: Arc<AtomicUsize>,
    closed: Arc<(Mutex<usize>, Condvar)>,
}

impl Server {
    /// Starts a server; the script is given the number of the request, from 0, and the request.
    pub fn start(script: impl Fn(usize, &Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let script: Arc<Script> = Arc::new(script);
        let (recording, counting) = (Arc::clone(&requests), Arc::clone(&connections));
        let closed: Arc<(Mutex<usize>, Condvar)> = Arc::default();
        let closing = Arc::clone(&closed);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counting.fetch_add(1, Ordering::SeqCst);
                let (script, recording) = (Arc::clone(&script), Arc::clone(&recording));
                let closing = Arc::clone(&closing);
                thread::spawn(move || {
                    serve(&stream, &*script, &recording);
                    *closing.0.lock().unwrap() += 1;
                    closing.1.notify_all();
                });
            }
        });
        Self { url, requests, connections, closed }
    }

    /// Answers the first requests in order, then 200.
    pub fn replying(replies: impl Into<Vec<Reply>>) -> Self {
        let replies = replies.into();
        Self::start(move |index, _| replies.get(index).cloned().unwrap_or(Reply::Status(200)))
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until so many connections have ended.
    pub fn wait_until_closed(&self, count: usize) {
        let (closed, changed) = &*self.closed;
        drop(changed.wait_while(closed.lock().unwrap(), |closed| *closed < count).unwrap());
    }

    /// Connections opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, script: &Script, recording: &Mutex<Vec<Recorded>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let index = {
            let mut recording = recording.lock().unwrap();
            recording.push(request.clone());
            recording.len() - 1
        };
        if !answer(stream, script(index, &request)) {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Recorded> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let length = body.len();
    if headers.contains_key("content-encoding") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
        body = plain;
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let n = body["batch"].as_array().into_iter().flatten().filter_map(|event| event["n"].as_u64()).collect();
    Some(Recorded { line, headers, body, length, n })
}

/// Does what the script says; false when the connection is of no further use.
fn answer(mut stream: &TcpStream, reply: Reply) -> bool {
    let respond = |status: u16, header: &str, body: &[u8]| {
        let mut stream = stream;
        // These have no body by definition (RFC 9110): bytes after them would belong to the next answer.
        let body = if matches!(status, 204 | 304) { &[] } else { body };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{header}\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok()
    };
    match reply {
        Reply::Status(status) => respond(status, "", b"{}"),
        Reply::With(status, name, value) => respond(status, &format!("{name}: {value}\r\n"), b"{}"),
        Reply::Body(bytes) => respond(200, "", &vec![b'x'; bytes]),
        Reply::Reset => {
            let _ended = stream.shutdown(Shutdown::Both);
            false
        }
        Reply::PartialAnswer => {
            let _sent = stream.write_all(b"HTTP/1.1 20");
            let _ended = stream.shutdown(Shutdown::Both);
            false
        }
        Reply::Hang => {
            let _given_up = stream.read(&mut [0]);
            false
        }
        Reply::Drip => {
            let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
            false
        }
    }
}

/// The number an event carries: digits after `"n":`, without the work of a parser.
pub fn number(event: &[u8]) -> u64 {
    let at = event.windows(4).position(|bytes| bytes == br#""n":"#).unwrap() + 4;
    let digits = event[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
