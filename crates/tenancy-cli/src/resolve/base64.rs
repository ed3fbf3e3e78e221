//! Base64 (RFC 4648 §4) for raw bytes in a line of JSON.

/// Decodes a Base64 text. Padding is optional.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not base64");
    let digits = text.trim_end_matches('=');
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return Err(wrong());
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for &digit in chunk {
            bits = bits << 6 | value(digit).ok_or_else(wrong)?;
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Ok(out)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_examples_of_the_rfc_decode() {
        for (text, want) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYg", "foob"),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(want.as_bytes()), "{text}");
        }
        assert_eq!(decode("/wD+").as_deref(), Ok(&[0xff, 0x00, 0xfe][..]));
        for text in ["Z", "Zg===", "Zm9v!", "Zm 9v", "é==="] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
