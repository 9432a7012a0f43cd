//! Inflating, with a bound on all that is inflated and on the time that it takes.

use std::io::BufRead;
use std::time::Instant;

use flate2::{Decompress, FlushDecompress, Status};

use super::fault::Fault;

/// Bytes that are inflated at a time.
const STEP: usize = 32 << 10;

/// What may still be inflated, and until when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    left: u64,
    most: u64,
    until: Instant,
}

impl Meter {
    /// One for so many bytes, all together.
    pub(crate) fn new(most: u64, until: Instant) -> Self {
        Self { left: most, most, until }
    }

    /// Takes off what was made.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        if Instant::now() > self.until {
            return Err(Fault::Late);
        }
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.ok_or_else(|| {
            Fault::TooLarge(format!(
                "unfolds to more than {} bytes, at most so many allowed",
                self.most
            ))
        })?;
        Ok(())
    }
}

/// Inflates one stream after the other.
pub(crate) struct Inflater {
    stream: Decompress,
    buffer: Vec<u8>,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self { stream: Decompress::new(true), buffer: vec![0; STEP] }
    }

    /// Inflates one stream of exactly `size` bytes and passes them on; of the input no byte more is taken.
    pub(crate) fn run(
        &mut self,
        input: &mut impl BufRead,
        size: u64,
        meter: &mut Meter,
        to: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Fault> {
        self.stream.reset(true);
        loop {
            let given = input.fill_buf()?;
            let is_end = given.is_empty();
            let (taken, made) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(given, &mut self.buffer, FlushDecompress::None)
                .map_err(|_| Fault::garbled("has an object that can't be inflated"))?;
            let taken = difference(self.stream.total_in(), taken);
            let made = difference(self.stream.total_out(), made);
            input.consume(taken);
            if self.stream.total_out() > size {
                return Err(Fault::garbled("has an object that is larger than it says"));
            }
            meter.spend(made)?;
            to(&self.buffer[..made]);
            match status {
                Status::StreamEnd if self.stream.total_out() == size => return Ok(()),
                Status::StreamEnd => {
                    return Err(Fault::garbled("has an object that is smaller than it says"));
                }
                _ if taken == 0 && made == 0 && is_end => return Err(Fault::Cut),
                _ if taken == 0 && made == 0 => {
                    return Err(Fault::garbled("has an object that can't be inflated"));
                }
                _ => {}
            }
        }
    }
}

/// Neither is ever more than a buffer.
fn difference(now: u64, before: u64) -> usize {
    usize::try_from(now - before).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Write as _};
    use std::time::Duration;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn run(input: &[u8], size: u64, most: u64) -> Result<(usize, Vec<u8>), Fault> {
        let mut meter = Meter::new(most, Instant::now() + Duration::from_secs(600));
        let mut made = Vec::new();
        // A small buffer: streams end in the middle of one.
        let mut reader = BufReader::with_capacity(7, input);
        Inflater::new().run(&mut reader, size, &mut meter, &mut |bytes| made.extend(bytes))?;
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut rest).unwrap();
        Ok((rest.len(), made))
    }

    #[test]
    fn a_stream_is_inflated_and_nothing_behind_it_is_taken() {
        for size in [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP] {
            let bytes = vec![b'x'; size];
            let input = [deflated(&bytes), b"rest".to_vec()].concat();
            assert_eq!(run(&input, size as u64, size as u64).unwrap(), (4, bytes), "{size}");
        }
    }

    #[test]
    fn a_stream_that_is_not_what_it_says_is_an_error_at_once() {
        let bytes = vec![b'x'; 2 * STEP];
        let input = deflated(&bytes);
        let size = bytes.len() as u64;
        for (wrong, most) in [(size - 1, size), (size + 1, size), (size, size - 1), (0, size)] {
            assert!(run(&input, wrong, most).is_err(), "{wrong} of {most}");
        }
        for end in 0..input.len() {
            assert!(matches!(run(&input[..end], size, size), Err(Fault::Cut)), "cut at {end}");
        }
        let mut late = Meter::new(size, Instant::now() - Duration::from_secs(1));
        let ended = Inflater::new().run(&mut &input[..], size, &mut late, &mut |_| ());
        assert!(matches!(ended, Err(Fault::Late)));
    }
}
