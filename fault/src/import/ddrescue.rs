//! Map files of GNU ddrescue: which parts of a disk could be read.

use super::{Import, c_number, lines, touched};

pub(super) fn import(text: &str, into: &mut Import<'_>) {
    let mut bad: Vec<(u64, u64)> = Vec::new();
    let mut untried = 0_u64;
    let mut said = lines(text);
    // The first line is where the rescue stands: position, what it does, and which pass.
    match said.next() {
        Some((_, line)) if is_state(line) => {}
        Some((number, line)) => into.refuse(number, line, "expected POSITION STATUS [PASS] first"),
        None => into.refuse(1, "", "the map is empty"),
    }
    for (number, line) in said {
        match block(line) {
            Ok((_, '+')) => {}
            Ok((range, '-' | '*' | '/')) => bad.push(range),
            Ok((_, '?')) => {
                untried += 1;
                into.refuse(
                    number,
                    line,
                    "it was never tried, so nobody knows whether it is bad; finish the rescue, or write `-` for `?`",
                );
            }
            Ok((_, status)) => {
                into.refuse(number, line, format!("ddrescue has no status `{status}`"))
            }
            Err(reason) => into.refuse(number, line, reason),
        }
    }
    into.add_ranges("", &bad, |lba| format!("badmap where op=rw,lba={lba}"));
    if !bad.is_empty() {
        into.note("what ddrescue could not read is bad here until it is written, with MEDIUM");
    }
    if untried > 0 {
        into.note(format!(
            "{untried} parts that were never tried are left out"
        ));
    }
}

fn is_state(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let position = words.next().and_then(c_number);
    let status = words
        .next()
        .is_some_and(|word| ["?", "*", "/", "-", "F", "G", "+"].contains(&word));
    let pass = words.next().is_none_or(|word| c_number(word).is_some());
    position.is_some() && status && pass && words.next().is_none()
}

/// The sectors and the status of one part.
fn block(line: &str) -> Result<((u64, u64), char), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let expected = "expected POSITION SIZE STATUS";
    let [position, size, status] = words.as_slice() else {
        return Err(expected.to_owned());
    };
    let numbers = c_number(position).zip(c_number(size));
    let (position, size) = numbers.ok_or("POSITION and SIZE are whole numbers".to_owned())?;
    let mut letters = status.chars();
    let (Some(status), None) = (letters.next(), letters.next()) else {
        return Err(expected.to_owned());
    };
    let range = touched(position, size).ok_or("it ends past 2^64 bytes".to_owned())?;
    Ok((range, status))
}
