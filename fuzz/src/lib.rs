//! What the fuzz targets share.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Reads a head from its lines: the method, the target, then headers. `None` when the gate would not let it through.
pub fn head<'d>(mut lines: impl Iterator<Item = &'d [u8]>) -> Option<(&'d str, &'d str, HeaderMap)> {
    let method = std::str::from_utf8(lines.next()?).ok()?;
    let target = std::str::from_utf8(lines.next()?).ok()?;
    if !target.starts_with('/') || !method.bytes().chain(target.bytes()).all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut headers = HeaderMap::new();
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        headers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value.get(1..).unwrap_or_default()).ok()?);
    }
    Some((method, target, headers))
}
