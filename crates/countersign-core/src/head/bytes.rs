//! Which bytes may stand where in a head, and how many of them stand there at once.

pub(super) const TOKEN: u8 = 1;
pub(super) const PATH: u8 = 2;
pub(super) const QUERY: u8 = 4;
pub(super) const VALUE: u8 = 8;
pub(super) const AUTHORITY: u8 = 16;

pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// Which bytes may stand where: RFC 9110 sections 5.5 and 5.6.2, RFC 3986 appendix A and what browsers send beyond it.
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the length of the table")]
    while at < 256 {
        let byte = at as u8;
        let mut classes = 0;
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        {
            classes |= TOKEN;
        }
        if byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>') {
            classes |= QUERY;
            if !matches!(byte, b'?' | b'`') {
                classes |= PATH;
            }
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']') {
            classes |= AUTHORITY;
        }
        if matches!(byte, b'\t' | 0x20..=0x7e) {
            classes |= VALUE;
        }
        table[at] = classes;
        at += 1;
    }
    table
};

/// How many bytes at the start may stand in a header's value.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Thirty-two at a time as long as all of them are visible or spaces, which the compiler makes a few instructions of.
    let (blocks, _) = bytes.as_chunks::<32>();
    let plain = |block: &&[u8; 32]| block.iter().fold(true, |good, byte| good & (byte.wrapping_sub(b' ') <= b'~' - b' '));
    let mut length = blocks.iter().take_while(plain).count().saturating_mul(32);
    // Eight at a time: the sum sets the high bit of a byte from 0x7f on, the difference that of a byte below 0x20. Only such a
    // byte carries or borrows, into those behind it, so that the first bit that is set is right.
    while let Some(Ok(eight)) = bytes.get(length..length.saturating_add(8)).map(<[u8; 8]>::try_from) {
        let eight = u64::from_le_bytes(eight);
        let odd = (eight | eight.wrapping_add(ONES) | eight.wrapping_sub(ONES << 5)) & (ONES << 7);
        length = length.saturating_add(odd.trailing_zeros() as usize / 8);
        if odd != 0 {
            break;
        }
    }
    length.saturating_add(run(bytes.get(length..).unwrap_or_default(), VALUE))
}

/// How many bytes at the start are of a class.
pub(super) fn run(bytes: &[u8], class: u8) -> usize {
    bytes.iter().position(|byte| !is(*byte, class)).unwrap_or(bytes.len())
}
