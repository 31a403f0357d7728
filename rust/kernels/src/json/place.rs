//! Where in a document a value is, in words.

use super::reader::{NotJson, Reader};

/// The way to the value that begins at an offset of a text that is known to be JSON: `resourceSpans[0].resource`.
pub fn path(text: &[u8], offset: usize) -> String {
    let mut steps = Vec::new();
    // It cannot fail; if it did, the place alone would be missing.
    let _ = walk(text, offset, &mut steps);
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(&key));
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

enum Step {
    Key(Vec<u8>),
    Index(usize),
}

/// Read until the offset; the steps are those to what is read at the moment.
fn walk(text: &[u8], offset: usize, steps: &mut Vec<Step>) -> Result<(), NotJson> {
    let mut reader = Reader::new(text);
    let mut is_first = false;
    loop {
        let byte = reader.peek();
        if reader.at >= offset {
            return Ok(());
        }
        if let b'[' | b'{' = byte {
            reader.enter()?;
            steps.push(if byte == b'[' { Step::Index(0) } else { Step::Key(Vec::new()) });
            is_first = true;
        } else {
            reader.scalar()?;
        }
        // To the next value, out of what ends here.
        while reader.nested > 0 && !reader.more(is_first)? {
            steps.pop();
            is_first = false;
        }
        match steps.last_mut() {
            Some(Step::Key(key)) => *key = reader.key()?.content().into_owned(),
            Some(Step::Index(index)) if !is_first => *index += 1,
            Some(Step::Index(_)) => {}
            None => return Ok(()),
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_path() {
        let text = br#"{"a":[],"b":{"c":[{},[1,{"d":"x"}],{"e\u0066":null}]},"g":2}"#;
        for (value, found) in [
            ("[]", "a"),
            ("{\"c\"", "b"),
            ("[{}", "b.c"),
            ("{},[1", "b.c[0]"),
            ("[1,", "b.c[1]"),
            ("1,{", "b.c[1][0]"),
            ("\"x\"", "b.c[1][1].d"),
            ("null", "b.c[2].ef"),
            ("2}", "g"),
        ] {
            let offset = text.windows(value.len()).position(|window| window == value.as_bytes()).unwrap();
            assert_eq!(path(text, offset), found);
        }
    }
}
