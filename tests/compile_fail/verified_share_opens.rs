//! A share is had by its code, and opens no bytes by that alone: its password and the number of its downloads are asked for
//! first. Nobody but the verifier makes the proof of one, and there is no second one of it.

use hallpass::gateway::Gateway;
use hallpass::gateway::shares::OpenShare;
use hallpass::sign::share_code::VerifiedShare;

fn copy<T: Clone>() {}

async fn open_verified(gateway: &Gateway, share: VerifiedShare) {
    let _ = gateway.open_verified(share).await;
}

async fn open(gateway: &Gateway, share: OpenShare) {
    let _ = gateway.open_verified(share).await;
}

fn main() {
    let _ = (open_verified, open);
    copy::<VerifiedShare>();
    copy::<OpenShare>();
}
