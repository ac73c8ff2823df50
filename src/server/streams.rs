//! The tasks of a connection's HTTP/2 streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::rt::Executor;
use tokio::task::{self, AbortHandle, JoinSet};

use crate::web::response_tracker::ResponseAborter;

/// The tasks of one connection's streams. They end when this is dropped, as what an HTTP/1 connection does
/// ends with it.
#[derive(Debug, Default)]
pub(super) struct Streams(Arc<Mutex<Tasks>>);

#[derive(Debug, Default)]
struct Tasks {
    all: JoinSet<()>,
    handles: HashMap<task::Id, AbortHandle>,
}

/// The executor of the streams' tasks. A task may hold this, so it must not hold the tasks.
#[derive(Clone, Debug)]
pub(super) struct StreamsOf(Weak<Mutex<Tasks>>);

impl Streams {
    /// Returns the executor of these tasks.
    pub(super) fn executor(&self) -> StreamsOf {
        StreamsOf(Arc::downgrade(&self.0))
    }
}

impl StreamsOf {
    fn with_tasks(&self, work: impl FnOnce(&mut Tasks)) {
        if let Some(tasks) = self.0.upgrade() {
            work(&mut tasks.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamsOf {
    fn execute(&self, stream: F) {
        self.with_tasks(|tasks| {
            // Those that have ended would else be kept until the connection ends.
            while let Some(ended) = tasks.all.try_join_next_with_id() {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                tasks.handles.remove(&id);
            }
            let handle = tasks.all.spawn(stream);
            tasks.handles.insert(handle.id(), handle);
        });
    }
}

impl ResponseAborter for StreamsOf {
    /// Drops the stream, which resets it and takes back what waits for the client's window.
    fn abort(&self, task: task::Id) {
        self.with_tasks(|tasks| {
            if let Some(handle) = tasks.handles.get(&task) {
                handle.abort();
            }
        });
    }
}
