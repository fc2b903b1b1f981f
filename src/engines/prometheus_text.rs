//! Reads Prometheus' text format (version 0.0.4), as far as the numbers of engines need it.

/// The value of `line` if it is a sample of the metric `name`.
pub(super) fn value(line: &[u8], name: &[u8]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    // `NAME{labels} VALUE [TIME]`; a label's value may hold braces and blanks, so the end of the labels is the last brace.
    let numbers = match rest.first()? {
        b'{' => rest.get(rest.iter().rposition(|byte| *byte == b'}')? + 1..)?,
        b' ' | b'\t' => rest,
        _ => return None,
    };
    let number = numbers.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).find(|word| !word.is_empty())?;
    let value = std::str::from_utf8(number).ok()?.parse::<f64>().ok()?;
    value.is_finite().then_some(value)
}
