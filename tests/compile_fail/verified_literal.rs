//! Whoever holds a `Verified` may open bytes, so nobody but the verifier may make one.

use hallpass::sign::verify::Verified;

fn forge<'a>(other: Verified<'a>) -> Verified<'a> {
    Verified { ..other }
}

fn main() {
    let _ = forge;
}
