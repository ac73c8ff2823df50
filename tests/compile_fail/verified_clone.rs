//! A proof is of one request; a copy would be one of another.

use hallpass::sign::verify::Verified;

fn copy<T: Clone>() {}

fn main() {
    copy::<Verified<'_>>();
}
