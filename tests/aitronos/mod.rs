//! The Aitronos API, check by check of its contract, over a real socket.

mod batches;
mod files;
mod framing;
mod links;
mod refusals;
mod upload_faults;
mod uploads;
