//! Text that is safe on a terminal, whoever wrote it.

use crate::model::name::is_hidden;

/// The text on one line, in which nothing moves a cursor, colours a terminal or runs the other way.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
