//! A URL as a QR code (ISO/IEC 18004) that a telephone reads from the terminal: two modules a character, by half blocks.

use qrcodegen::{QrCode, QrCodeEcc};

use super::failure::Failure;

/// The light modules that a reader wants on each side.
const QUIET: i32 = 4;

/// Black on white, whatever colours the terminal has: those of the 256 that no theme changes. A code in a theme's own
/// colours would be light on dark in half of them, which not every reader takes.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const PLAIN: &str = "\u{1b}[0m";

/// Expects that a drawing was asked for by a person, before anything is done.
pub(super) fn expect_person(is_json: bool) -> Result<(), Failure> {
    match is_json {
        true => Err(Failure::Usage(
            "--qr draws for people, and --json has the URL".into(),
        )),
        false => Ok(()),
    }
}

/// Returns the lines that draw this URL on a terminal. They have escape sequences, which colour them: no text of anybody is
/// in them. `None` for a URL that is too long for any code: some 2,900 bytes.
pub(super) fn drawn(url: &str) -> Option<Vec<String>> {
    // The least correction makes the smallest code: a screen has no creases.
    let code = QrCode::encode_text(url, QrCodeEcc::Low).ok()?;
    let modules = -QUIET..code.size() + QUIET;
    let line = |y: i32| {
        let half_blocks = modules.clone().map(|x| {
            // Outside of the code every module is light.
            match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            }
        });
        let half_blocks: String = half_blocks.collect();
        format!("{BLACK_ON_WHITE}{half_blocks}{PLAIN}")
    };
    Some(modules.clone().step_by(2).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_have_the_modules_of_the_code_and_a_margin() {
        let url = "https://files.example.com/s/0123456789abcdefghijkl";
        let code = QrCode::encode_text(url, QrCodeEcc::Low).unwrap();
        let mut modules: Vec<Vec<bool>> = Vec::new();
        for line in drawn(url).unwrap() {
            let line = line.strip_prefix(BLACK_ON_WHITE).unwrap();
            let line = line.strip_suffix(PLAIN).unwrap();
            let rows = ["█▀", "█▄"];
            modules.extend(rows.map(|dark| line.chars().map(|c| dark.contains(c)).collect()));
        }
        let side = code.size() + 2 * QUIET;
        // An odd number of rows ends with a light one more.
        assert_eq!(modules.len(), usize::try_from(side + side % 2).unwrap());
        for (y, line) in (-QUIET..).zip(&modules) {
            assert_eq!(line.len(), usize::try_from(side).unwrap());
            for (x, is_dark) in (-QUIET..).zip(line) {
                assert_eq!(*is_dark, code.get_module(x, y), "{x} {y}");
            }
        }
        assert!(drawn(&"x".repeat(3_000)).is_none());
    }
}
