//! The floor: a server that looks at nothing. Whatever a client sends, it gets one fixed head and then
//! the bytes. What a request costs here is what the kernel costs, and no server can cost less.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::process::{Core, Outcome, launcher};

/// The word that makes this binary the floor.
pub(crate) const FLOOR: &str = "--floor";
/// Bodies up to this size are sent from memory, behind the head, in one `send`.
const MEMORY_BYTES_MAX: u64 = 16 * 1024;
/// The listener's own number among the connections.
const LISTENER: u64 = 0;
/// The most events that are taken at once.
const EVENTS: usize = 512;

/// The answer to every request.
pub(crate) struct Answer {
    /// The head, as one of ours is.
    pub(crate) head: PathBuf,
    /// The file that the body is cut from.
    pub(crate) file: PathBuf,
    /// How long the body is.
    pub(crate) length: u64,
    /// Whether it is cut at a random place of the file, or at its beginning.
    pub(crate) scattered: bool,
}

impl Answer {
    /// The command that serves it.
    pub(crate) fn command(&self) -> Outcome<Command> {
        let mut command = launcher(Core::Server, &std::env::current_exe()?)?;
        command.arg(FLOOR).arg(&self.head).arg(&self.file);
        command.arg(self.length.to_string());
        command.arg(self.scattered.to_string());
        Ok(command)
    }
}

/// Serves until it is ended. Says on standard output where.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let done = match words {
        [head, file, length, scattered] => Floor::open(head, file, length, scattered == "true"),
        _ => Err("--floor HEAD FILE LENGTH SCATTERED".into()),
    };
    match done.and_then(|mut floor| floor.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Floor {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: HashMap<u64, Connection>,
    last: u64,
    head: Vec<u8>,
    /// Head and body, where the body is sent from memory.
    whole: Option<Vec<u8>>,
    file: File,
    length: u64,
    /// How far into the file a body may begin.
    span: u64,
    /// The state of a xorshift generator.
    random: u64,
    events: Vec<epoll::Event>,
}

struct Connection {
    stream: TcpStream,
    /// The part of the file that is still to be sent: from where, and how much.
    rest: (u64, u64),
}

impl Floor {
    fn open(head: &str, file: &str, length: &str, scattered: bool) -> Outcome<Self> {
        let length: u64 = length.parse()?;
        let file_length = Path::new(file).metadata()?.len();
        let head = std::fs::read(head)?;
        let whole = if length <= MEMORY_BYTES_MAX && !scattered {
            Some([head.clone(), std::fs::read(file)?].concat())
        } else {
            None
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            listener,
            epoll,
            connections: HashMap::new(),
            last: LISTENER,
            head,
            whole,
            file: File::open(file)?,
            length,
            span: if scattered {
                file_length - length + 1
            } else {
                1
            },
            random: 0x9e37_79b9_7f4a_7c15,
            events: Vec::with_capacity(EVENTS),
        })
    }

    fn serve(&mut self) -> Outcome<()> {
        println!("listening on http://{}", self.listener.local_addr()?);
        std::io::stdout().flush()?;
        let mut request = [0_u8; 4096];
        loop {
            let mut events = std::mem::take(&mut self.events);
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            for event in events.drain(..) {
                let number = event.data.u64();
                if number == LISTENER {
                    self.accept()?;
                } else if self.go_on(number, &mut request).is_err() {
                    self.connections.remove(&number);
                }
            }
            self.events = events;
        }
    }

    fn accept(&mut self) -> Outcome<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.last += 1;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&self.epoll, &stream, EventData::new_u64(self.last), flags)?;
            let rest = (0, 0);
            self.connections
                .insert(self.last, Connection { stream, rest });
        }
        Ok(())
    }

    /// Sends what is left of the last answer, or reads a request, which comes in one piece over
    /// loopback, and answers it.
    fn go_on(&mut self, number: u64, request: &mut [u8]) -> Result<(), Errno> {
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        if connection.rest.1 > 0 {
            return connection.send_rest(&self.file);
        }
        match rustix::io::read(&connection.stream, request) {
            Ok(0) => return Err(Errno::PIPE),
            Ok(_) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        if let Some(whole) = &self.whole {
            let sent = rustix::net::send(&connection.stream, whole, SendFlags::NOSIGNAL)?;
            // So little always fits, as the last answer was read before this request was sent.
            return if sent == whole.len() {
                Ok(())
            } else {
                Err(Errno::NOBUFS)
            };
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        connection.rest = (self.random % self.span, self.length);
        rustix::net::send(&connection.stream, &self.head, SendFlags::MORE)?;
        connection.send_rest(&self.file)
    }
}

impl Connection {
    fn send_rest(&mut self, file: &File) -> Result<(), Errno> {
        let (offset, length) = &mut self.rest;
        while *length > 0 {
            let most = usize::try_from(*length).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(&self.stream, file, Some(offset), most) {
                Ok(0) => return Err(Errno::PIPE),
                Ok(sent) => *length -= sent as u64,
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
