//! Numbers as they stand in a text.

/// A number as JSON has it. One without a fraction that 64 bits cannot hold is a double, as in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Integer(i128),
    Double(f64),
}

/// The number that a text begins with, and its size; how far it is one, where it is none.
pub fn parse_number(text: &[u8]) -> Result<(Number, usize), usize> {
    let digits = |at: usize| text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_negative = text.first() == Some(&b'-');
    let first = usize::from(is_negative);
    let count = digits(first);
    let mut at = first + count;
    match (count, text.get(first)) {
        (0, _) => return Err(first),
        (2.., Some(b'0')) => return Err(first + 1),
        _ => {}
    }
    let mut is_integer = true;
    let mut parts = |at: &mut usize| {
        is_integer = false;
        let count = digits(*at);
        *at += count;
        if count == 0 { Err(*at) } else { Ok(()) }
    };
    if text.get(at) == Some(&b'.') {
        at += 1;
        parts(&mut at)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        parts(&mut at)?;
    }
    if is_integer && count <= 20 {
        let number = integer(&text[first..at], is_negative);
        if (i64::MIN.into()..=u64::MAX.into()).contains(&number) {
            return Ok((Number::Integer(number), at));
        }
    }
    Ok((Number::Double(parse_double(&text[..at]).unwrap_or(f64::NAN)), at))
}

/// An integer of at most 38 digits.
#[inline(always)]
pub fn integer(digits: &[u8], is_negative: bool) -> i128 {
    // 19 digits fit into 64 bits, which are much faster.
    let (head, tail) = digits.split_at(digits.len().min(19));
    let head = head.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let absolute = tail.iter().fold(i128::from(head), |sum, digit| sum * 10 + i128::from(digit - b'0'));
    if is_negative { -absolute } else { absolute }
}

/// A double, of digits, a point, an exponent and signs alone.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let is_number = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}
