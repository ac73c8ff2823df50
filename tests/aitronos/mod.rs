//! The Aitronos API, check by check of its contract, over a real socket.

mod files;
mod links;
mod refusals;
mod upload_faults;
mod uploads;
