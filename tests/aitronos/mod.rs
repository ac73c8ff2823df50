//! The Aitronos API, check by check of its contract, over a real socket.

mod batches;
mod counted;
mod counted_mint;
mod ended_keys;
mod files;
mod framing;
mod idempotency;
mod links;
mod pages;
mod refusals;
mod upload_faults;
mod uploads;
