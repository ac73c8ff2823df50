//! The address of a share's page as a QR code (ISO/IEC 18004), drawn as SVG.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// The light modules that a reader wants on each side.
const QUIET: i32 = 4;

/// Draws this text in black on white. `None` for one that is too long for any code: some 2,300 bytes.
pub(super) fn svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size();
    let side = size + 2 * QUIET;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\""
    );
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let run = (x..size).take_while(|x| code.get_module(*x, y)).count();
            if run > 0 {
                // A text takes whatever is written.
                let _ = write!(svg, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += i32::try_from(run).unwrap_or(size) + 1;
        }
    }
    svg.push_str("\"/></svg>\n");
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules that the drawing has, read back from it.
    fn modules(svg: &str) -> Vec<Vec<bool>> {
        let side = svg.split_once("viewBox=\"0 0 ").unwrap().1;
        let side: usize = side.split_once(' ').unwrap().0.parse().unwrap();
        let mut modules = vec![vec![false; side]; side];
        let path = svg.rsplit_once("d=\"").unwrap().1;
        let path = path.split_once('"').unwrap().0;
        for run in path.split('M').skip(1) {
            let (place, rest) = run.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let length: usize = rest.split_once('v').unwrap().0.parse().unwrap();
            modules[y][x..x + length].fill(true);
        }
        modules
    }

    #[test]
    fn the_drawing_has_the_modules_of_the_code_and_a_margin() {
        let text = "https://files.example.com/s/0123456789abcdefghijkl";
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
        let modules = modules(&svg(text).unwrap());
        let side = i32::try_from(modules.len()).unwrap();
        assert_eq!(side, code.size() + 2 * QUIET);
        for (y, line) in (0..).zip(&modules) {
            for (x, is_dark) in (0..).zip(line) {
                // Outside of the code every module is light.
                assert_eq!(*is_dark, code.get_module(x - QUIET, y - QUIET), "{x} {y}");
            }
        }
        assert!(svg(&"x".repeat(3_000)).is_none());
    }
}
