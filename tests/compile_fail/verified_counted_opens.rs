//! A counted link opens no bytes: a handler that has the proof of one cannot hand it to what opens them.

use hallpass::gateway::Gateway;
use hallpass::sign::counted::VerifiedCounted;

async fn open(gateway: &Gateway, counted: VerifiedCounted<'_>) {
    let _ = gateway.open_verified(counted).await;
}

fn main() {
    let _ = open;
}
