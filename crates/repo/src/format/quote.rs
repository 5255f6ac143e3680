//! Texts as Go writes them: names through `strconv.Quote`, then everything as JSON that is safe inside HTML.

use std::{borrow::Cow, fmt::Write as _};

/// Appends a JSON string as Go's `encoding/json` does.
pub(crate) fn json(out: &mut String, text: &str) {
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => hex(out, "\\u", 4, sign),
            _ => out.push(sign),
        }
    }
    out.push('"');
}

/// Returns a name as `strconv.Quote` writes it, without the quotation marks around it.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for sign in name.chars() {
        match sign {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => hex(&mut out, "\\x", 2, sign),
            _ if is_printable(sign) => out.push(sign),
            '\u{80}'..='\u{ffff}' => hex(&mut out, "\\u", 4, sign),
            _ => hex(&mut out, "\\U", 8, sign),
        }
    }
    Cow::Owned(out)
}

fn hex(out: &mut String, prefix: &str, width: usize, sign: char) {
    out.push_str(prefix);
    write!(out, "{:0width$x}", u32::from(sign)).expect("writing to a text does not fail");
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space: Go's `IsPrint`. Rust's `escape_debug` asks the
/// same, but only behind a first sign does it leave combining marks alone.
fn is_printable(sign: char) -> bool {
    if matches!(sign, ' '..='~') {
        return true;
    }
    let mut text = [b'a', 0, 0, 0, 0];
    let length = sign.encode_utf8(&mut text[1..]).len();
    let text = str::from_utf8(&text[..=length]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(sign)
}

/// Reads a name back; what is not UTF-8 inside it comes out with replacement signs. `None`: not a quoted name.
pub(crate) fn unquote(quoted: &str) -> Option<Cow<'_, str>> {
    if !quoted.contains('\\') {
        return Some(Cow::Borrowed(quoted));
    }
    let mut out = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at)?;
        out.extend_from_slice(before.as_bytes());
        let mut signs = escape.chars();
        signs.next();
        let sign = signs.next()?;
        rest = signs.as_str();
        let byte = match sign {
            'a' => 7,
            'b' => 8,
            'f' => 0xc,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0xb,
            '\\' | '"' | '\'' | '`' => sign as u8,
            'x' | 'u' | 'U' => {
                let width = match sign {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let (digits, after) = rest.split_at_checked(width)?;
                rest = after;
                let number = u32::from_str_radix(digits, 16).ok()?;
                if sign == 'x' {
                    u8::try_from(number).ok()?
                } else {
                    out.extend_from_slice(
                        char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes(),
                    );
                    continue;
                }
            }
            _ => return None,
        };
        out.push(byte);
    }
    out.extend_from_slice(rest.as_bytes());
    Some(Cow::Owned(
        String::from_utf8(out)
            .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_as_go_quotes_them() {
        for (plain, quoted) in [
            ("plain name-1.txt", "plain name-1.txt"),
            ("ü", "ü"),
            ("a\"b\\c", "a\\\"b\\\\c"),
            ("tab\tend\n", "tab\\tend\\n"),
            ("\u{1}\u{7f}", "\\x01\\x7f"),
            ("nbsp\u{a0}", "nbsp\\u00a0"),
            ("zero\u{200b}width", "zero\\u200bwidth"),
            ("e\u{301}", "e\u{301}"),
            ("\u{301}", "\u{301}"),
            ("📱", "📱"),
            ("\u{e0041}", "\\U000e0041"),
            ("\u{feff}", "\\ufeff"),
            ("日本語 名", "日本語 名"),
        ] {
            assert_eq!(name(plain), quoted);
            assert_eq!(unquote(quoted).unwrap(), plain);
        }
        assert_eq!(unquote("\\xff").unwrap(), "\u{fffd}");
        for bad in ["\\", "\\q", "\\x1", "\\ud800", "\\U99999999", "\\xü"] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    #[test]
    fn json_as_go_writes_it() {
        let mut out = String::new();
        json(&mut out, "a<b>&\"\\\n\u{2028}\u{1}ü");
        assert_eq!(out, r#""a\u003cb\u003e\u0026\"\\\n\u2028\u0001ü""#);
    }

    proptest! {
        #[test]
        fn a_name_comes_back(text in any::<String>()) {
            let quoted = name(&text);
            prop_assert_eq!(unquote(&quoted).unwrap(), text.as_str());
            let mut out = String::new();
            json(&mut out, &quoted);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), quoted.as_ref());
        }

        #[test]
        fn any_json_text_comes_back(text in any::<String>()) {
            let mut out = String::new();
            json(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }

        #[test]
        fn noise_is_refused_or_read(noise in "[\\\\xuU0-9a-fnü\"]{0,20}", any in any::<String>()) {
            for noise in [noise, any] {
                if let Some(read) = unquote(&noise) {
                    let quoted = name(&read);
                    let again = unquote(&quoted);
                    prop_assert_eq!(again.as_deref(), Some(&*read));
                }
            }
        }
    }
}
