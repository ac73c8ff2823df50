//! A proxy in front of the store that does to requests and answers what networks and stores do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallpass::gateway::revocations::STALENESS_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Nothing: it is carried out and answered.
    None,
    /// It is not carried out; this is answered: a status, and a code of S3.
    Answer(u16, &'static str),
    /// It is not carried out, and the connection is closed.
    Close,
    /// It is not carried out and never answered.
    Silence,
    /// It is carried out and never answered.
    HoldAnswer,
    /// It is carried out, and answered later than an open file goes without being looked at.
    Late,
    /// It is carried out, and the connection is closed without an answer.
    LoseAnswer,
    /// It is carried out, and this is answered in place of what the store said.
    AnswerInstead(u16, &'static str),
    /// It is carried out, and so many bytes of the answer's body come.
    CutAfter(usize),
    /// It is carried out, and its answer's head has the one text in place of the other.
    Edit(&'static str, &'static str),
    /// It is carried out, and its answer comes in pieces with pauses.
    Slowly,
}

type Plan = Box<dyn FnMut(&str) -> Fault + Send>;

pub(super) struct Proxy {
    pub(super) url: String,
    state: Arc<State>,
    running: JoinHandle<()>,
}

struct State {
    upstream: SocketAddr,
    plan: Mutex<Plan>,
    seen: Mutex<Vec<String>>,
}

impl Proxy {
    /// In front of the store at this URL, without a fault.
    pub(super) async fn before(store: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            upstream: store.strip_prefix("http://").unwrap().parse().unwrap(),
            plan: Mutex::new(Box::new(|_| Fault::None)),
            seen: Mutex::default(),
        });
        let kept = Arc::clone(&state);
        let running = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&kept);
                // A client or a store that goes away ends its own connection.
                tokio::spawn(async move { drop(state.carry(client).await) });
            }
        });
        Self {
            url,
            state,
            running,
        }
    }

    /// From now on the fault of each request is what this says of its head.
    pub(super) fn plan(&self, plan: impl FnMut(&str) -> Fault + Send + 'static) {
        *self.state.plan.lock().unwrap() = Box::new(plan);
    }

    /// The heads of all requests so far.
    pub(super) fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl State {
    /// Carries one request and its answer.
    async fn carry(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (head, begun) = head_of(&mut client).await?;
        self.seen.lock().unwrap().push(head.clone());
        let fault = (self.plan.lock().unwrap())(&head);
        let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        let rest = length - begun.len() as u64;
        match fault {
            Fault::Close => return Ok(()),
            Fault::Silence => std::future::pending().await,
            Fault::Answer(status, code) => {
                let mut body = (&mut client).take(rest);
                copy(&mut body, &mut tokio::io::sink()).await?;
                return refuse(&mut client, &head, status, code).await;
            }
            _ => {}
        }
        let mut store = TcpStream::connect(self.upstream).await?;
        // What is asked of a proxy by name is the store's own.
        let once = match head.split_once(" http://") {
            Some((method, rest)) if !method.contains('\n') => {
                let path = rest.find('/').unwrap();
                format!("{method} {}", &rest[path..])
            }
            _ => head.clone(),
        };
        let once = once.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        store.write_all(once.as_bytes()).await?;
        store.write_all(&begun).await?;
        copy(&mut (&mut client).take(rest), &mut store).await?;
        let (answer, body) = head_of(&mut store).await?;
        match fault {
            Fault::HoldAnswer => std::future::pending().await,
            Fault::LoseAnswer => Ok(()),
            Fault::Late => {
                tokio::time::sleep(STALENESS_MAX * 3 / 2).await;
                pass_on(&answer, &body, store, client).await
            }
            Fault::AnswerInstead(status, code) => refuse(&mut client, &head, status, code).await,
            Fault::CutAfter(bytes) => {
                client.write_all(answer.as_bytes()).await?;
                let first = &body[..body.len().min(bytes)];
                client.write_all(first).await?;
                let rest = (bytes - first.len()) as u64;
                copy(&mut store.take(rest), &mut client).await?;
                client.flush().await
            }
            Fault::Edit(from, to) => {
                assert!(answer.contains(from), "{answer}");
                pass_on(&answer.replace(from, to), &body, store, client).await
            }
            Fault::Slowly => {
                client.write_all(answer.as_bytes()).await?;
                client.write_all(&body).await?;
                let mut piece = vec![0; 16 * 1024];
                loop {
                    let read = store.read(&mut piece).await?;
                    if read == 0 {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    client.write_all(&piece[..read]).await?;
                }
            }
            _ => pass_on(&answer, &body, store, client).await,
        }
    }
}

/// Answers with this head, the beginning of a body, and the rest of it.
async fn pass_on(
    head: &str,
    body: &[u8],
    mut store: TcpStream,
    mut client: TcpStream,
) -> std::io::Result<()> {
    client.write_all(head.as_bytes()).await?;
    client.write_all(body).await?;
    copy(&mut store, &mut client).await.map(|_| ())
}

/// Answers with a status and a code of S3.
async fn refuse(
    client: &mut TcpStream,
    head: &str,
    status: u16,
    code: &str,
) -> std::io::Result<()> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    // An answer to HEAD has a length and no body.
    let body = if head.starts_with("HEAD ") { "" } else { &text };
    let answer = format!(
        "HTTP/1.1 {status} No\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        text.len()
    );
    client.write_all(answer.as_bytes()).await
}

/// The head of a request or an answer, and what came with it of the body.
async fn head_of(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8(bytes).unwrap(), body));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The value of a header.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then_some(value)
    })
}
