//! Real faults under the real binary: killed processes, full and broken disks, exhausted limits, clocks that
//! jump, clients that misbehave. `tests/run` runs them in short rounds, with `--faults=full` in full;
//! `config/docs/faults.md` says what each of them injects and what was seen.
//!
//! Whatever the fault: nothing that was acknowledged is lost, nothing partial is seen, the error is clear,
//! and the gateway recovers without a hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A test may panic.
#![allow(clippy::disallowed_methods)] // Nor does it share its threads with connections.
#![allow(clippy::cast_possible_truncation)] // And its lengths are small.

/// Counted downloads: starts and bytes of a process that is killed.
mod counted;
/// A process that is killed, at any moment and at each call that makes bytes durable.
mod killed;
/// The order of the calls that make bytes durable.
mod order;

/// Disks that answer with errors, are slow, or can only be read.
mod broken;
/// What was stored and is not any more what it was.
mod damaged;
/// Disks that are full, in each way there is.
mod full;
/// Revocations that nothing can be written of.
mod held;
/// What must go on though the disk is full: revocations, deletes, purges and changes of keys.
mod reserve;

/// Blobs on a file system of their own, below the data directory.
mod mounts;

/// Clocks that jump.
mod clocks;
/// Crowds of clients that come at once.
mod crowd;
/// Limits: descriptors, memory, allocation.
mod limits;
/// Thousands of clients that are slow on purpose, and networks that are.
mod slow;

/// Other processes on the same data directory.
mod beside;
/// How the process ends, and a log that nobody reads.
mod endings;

/// The server of a test, its client, and the ledger of what was acknowledged.
mod rig;
/// A running binary, also under another program.
mod server;
/// Volumes made for a test.
mod volume;
