//! A server of a simulated world: a script, and what it was sent. It has an address, but nobody listens there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::server::{Recorded, Reply};

type Script = Rc<dyn Fn(usize, &Recorded) -> Reply>;
type Requests = Rc<RefCell<Vec<Recorded>>>;

thread_local! {
    static SERVERS: RefCell<HashMap<String, (Script, Requests)>> = RefCell::default();
}

static LAST_PORT: AtomicU16 = AtomicU16::new(1);

/// The server.
pub struct Server {
    /// `http://127.0.0.1:port`
    pub url: String,
    requests: Requests,
}

impl Server {
    /// Starts a server; the script is given the number of the request, from 0, and the request.
    pub fn start(script: impl Fn(usize, &Recorded) -> Reply + 'static) -> Self {
        let url = format!("http://127.0.0.1:{}", LAST_PORT.fetch_add(1, Ordering::Relaxed));
        let requests = Requests::default();
        let script: Script = Rc::new(script);
        SERVERS.with_borrow_mut(|servers| servers.insert(url.clone(), (script, Rc::clone(&requests))));
        Self { url, requests }
    }

    /// Answers the first requests in order, then 200.
    pub fn replying(replies: impl Into<Vec<Reply>>) -> Self {
        let replies = replies.into();
        Self::start(move |index, _| replies.get(index).cloned().unwrap_or(Reply::Status(200)))
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.borrow().clone()
    }
}

/// What the server of this address does with a request.
pub fn reply(url: &str, request: &Recorded) -> Reply {
    let found = SERVERS
        .with_borrow(|servers| servers.get(url).map(|(script, to)| (Rc::clone(script), Rc::clone(to))));
    let Some((script, requests)) = found else { return Reply::Reset };
    let index = requests.borrow().len();
    requests.borrow_mut().push(request.clone());
    script(index, request)
}
