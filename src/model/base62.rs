//! Names that are drawn at random: letters and digits alone, so that none ends with a sign that a program which finds
//! links in a text would leave out.

/// The characters of a drawn name, which hold 130 bits and more.
pub const DRAWN_CHARS: usize = 22;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns the 22 lowest digits to the base of 62 of these bytes, which are one big-endian number, the lowest first.
/// Each name is as likely as any other to within one in 2^120.
pub fn drawn(random: [u8; 32]) -> String {
    let mut number = random;
    (0..DRAWN_CHARS)
        .map(|_| lowest_digit(&mut number))
        .collect()
}

/// Divides the number by 62, and returns the digit of the remainder.
#[expect(
    clippy::expect_used,
    reason = "a remainder is below 62, so that a byte behind it gives a byte"
)]
fn lowest_digit(number: &mut [u8; 32]) -> char {
    let mut rest = 0_u16;
    for byte in number {
        let dividend = rest << 8 | u16::from(*byte);
        *byte = u8::try_from(dividend / 62).expect("at most 255");
        rest = dividend % 62;
    }
    let digit = DIGITS.get(usize::from(rest)).expect("one of 62 digits");
    char::from(*digit)
}

/// Returns whether this is the text of a drawn name: 22 letters and digits.
pub fn is_drawn(text: &str) -> bool {
    text.len() == DRAWN_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_lowest_digits_of_the_number() {
        let number = |low: u128| {
            let mut bytes = [0; 32];
            bytes[16..].copy_from_slice(&low.to_be_bytes());
            bytes
        };
        assert_eq!(drawn([0; 32]), "0".repeat(DRAWN_CHARS));
        assert_eq!(drawn(number(61)), format!("z{}", "0".repeat(21)));
        // Python: n = 2**256 - 1; "".join(DIGITS[n // 62**i % 62] for i in range(22))
        assert_eq!(drawn([0xff; 32]), "1pX8wOr5j2ACunjH7GLL8m");
    }

    #[test]
    fn other_texts_are_none() {
        let name = drawn([7; 32]);
        assert!(is_drawn(&name));
        let cut = &name[1..];
        for bad in [
            "",
            cut,
            &format!("{name}0"),
            &format!("{cut}-"),
            &format!("{}é", &name[2..]),
        ] {
            assert!(!is_drawn(bad), "{bad}");
        }
    }
}
