//! A ticket opens bytes by its row alone, which says whether its download goes on; nobody but the verifier makes the
//! proof of one, and there is no second one of it.

use hallpass::gateway::Gateway;
use hallpass::sign::counted::VerifiedCounted;
use hallpass::sign::ticket::VerifiedTicket;

fn copy<T: Clone>() {}

async fn open(gateway: &Gateway, ticket: VerifiedTicket) {
    let _ = gateway.open_verified(ticket).await;
}

fn main() {
    let _ = open;
    copy::<VerifiedTicket>();
    copy::<VerifiedCounted<'_>>();
}
