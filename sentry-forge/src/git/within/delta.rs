//! Deltas: how to make an object of another one (gitformat-pack(5), "Deltified representation"). Pure.

use super::fault::Fault;

/// The sizes that a delta says its base and its result have, and the rest of it.
pub(crate) fn sizes(delta: &[u8]) -> Result<(u64, u64, &[u8]), Fault> {
    let mut rest = delta;
    let base = number(&mut rest)?;
    let result = number(&mut rest)?;
    Ok((base, result, rest))
}

/// Seven bits a byte, the lowest first; the highest bit says that another byte follows.
fn number(rest: &mut &[u8]) -> Result<u64, Fault> {
    let (mut value, mut shift) = (0u64, 0u32);
    loop {
        let byte = take(rest)?;
        if shift > 56 {
            return Err(Fault::garbled("has a delta with an impossible size"));
        }
        value |= u64::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            return Ok(value);
        }
    }
}

fn take(rest: &mut &[u8]) -> Result<u8, Fault> {
    let (&byte, tail) =
        rest.split_first().ok_or_else(|| Fault::garbled("has a delta that is cut off"))?;
    *rest = tail;
    Ok(byte)
}

/// The object that a delta makes of its base. The caller has found the result small enough to be made.
pub(crate) fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, Fault> {
    let (base_size, result_size, mut rest) = sizes(delta)?;
    if base_size != base.len() as u64 {
        return Err(Fault::garbled("has a delta for a base of another size"));
    }
    let outside = || Fault::garbled("has a delta that copies what its base does not have");
    let size = usize::try_from(result_size).map_err(|_| outside())?;
    let mut result = Vec::with_capacity(size);
    while !rest.is_empty() {
        let order = take(&mut rest)?;
        let bytes = match order {
            0 => return Err(Fault::garbled("has a delta with an order that git does not know")),
            1..=127 => {
                let (bytes, tail) = rest
                    .split_at_checked(usize::from(order))
                    .ok_or_else(|| Fault::garbled("has a delta that is cut off"))?;
                rest = tail;
                bytes
            }
            128.. => {
                let (offset, length) = copy(order, &mut rest)?;
                let end = offset.checked_add(length).ok_or_else(outside)?;
                base.get(offset..end).ok_or_else(outside)?
            }
        };
        if bytes.len() > size - result.len() {
            return Err(Fault::garbled("has a delta that makes more than it says"));
        }
        result.extend_from_slice(bytes);
    }
    if result.len() == size {
        Ok(result)
    } else {
        Err(Fault::garbled("has a delta that makes less than it says"))
    }
}

/// From where and how many bytes an order copies: its lower bits say which bytes of the two numbers follow.
fn copy(order: u8, rest: &mut &[u8]) -> Result<(usize, usize), Fault> {
    let mut value = |bits: std::ops::Range<u32>| -> Result<usize, Fault> {
        let mut value = 0;
        for (place, bit) in bits.enumerate() {
            if order & (1 << bit) != 0 {
                value |= usize::from(take(rest)?) << (8 * place);
            }
        }
        Ok(value)
    };
    let (offset, length) = (value(0..4)?, value(4..7)?);
    Ok((offset, if length == 0 { 0x1_0000 } else { length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_copies_and_inserts() {
        let base = b"0123456789";
        // Copy 4 from 2, insert "ab", copy 1 from 9.
        let delta = [10, 7, 0x91, 2, 4, 2, b'a', b'b', 0x91, 9, 1];
        assert_eq!(apply(base, &delta).unwrap(), b"2345ab9");
        assert_eq!(sizes(&delta).unwrap().1, 7);
        let long = vec![7; 0x1_0000];
        assert_eq!(apply(&long, &[0x80, 0x80, 4, 0x80, 0x80, 4, 0x80]).unwrap(), long);
    }

    #[test]
    fn what_is_no_delta_for_its_base_is_an_error() {
        let base = b"0123456789";
        for (what, delta) in [
            ("nothing", &[][..]),
            ("one size alone", &[10]),
            ("a size without an end", &[0x80; 12]),
            ("another base", &[9, 1, 1, b'a']),
            ("less than it says", &[10, 2, 1, b'a']),
            ("more than it says", &[10, 1, 2, b'a', b'b']),
            ("an order that git does not know", &[10, 1, 0]),
            ("an insert that is cut off", &[10, 5, 5, b'a']),
            ("a copy that is cut off", &[10, 5, 0x91, 0]),
            ("a copy from behind the end", &[10, 2, 0x91, 9, 2]),
            ("a copy from far behind the end", &[10, 1, 0x9f, 255, 255, 255, 255, 1]),
        ] {
            assert!(apply(base, delta).is_err(), "{what}");
        }
        assert_eq!(apply(base, &[10, 0]).unwrap(), b"");
    }
}
