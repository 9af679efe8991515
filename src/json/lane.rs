//! Sixteen bytes compared at once.
//!
//! On x86-64 vector instructions do it ([`sys::lane`](crate::sys)), elsewhere arithmetic on one 128-bit integer.

#[cfg(target_arch = "x86_64")]
pub(super) use crate::sys::lane::Lane;
#[cfg(not(target_arch = "x86_64"))]
pub(super) use portable::Lane;

/// Bytes of a lane.
pub(super) const LANE: usize = 16;

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    /// `byte` sixteen times.
    const fn all(byte: u8) -> u128 {
        u128::from_ne_bytes([byte; super::LANE])
    }

    const HIGH: u128 = all(0x80);
    const LOW: u128 = all(0x7f);

    /// Sixteen bytes, or the highest bit of each that was hit.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Lane(u128);

    impl Lane {
        #[inline(always)]
        pub(in super::super) fn load(bytes: &[u8; super::LANE]) -> Self {
            Self(u128::from_le_bytes(*bytes))
        }

        #[inline(always)]
        pub(in super::super) fn equal(self, byte: u8) -> Self {
            // No sum carries into the next byte, so each byte is judged alone.
            let differs = self.0 ^ all(byte);
            Self(!(((differs & LOW) + LOW) | differs) & HIGH)
        }

        /// Below 0x20.
        #[inline(always)]
        pub(in super::super) fn control(self) -> Self {
            Self(!(((self.0 & LOW) + all(0x60)) | self.0) & HIGH)
        }

        /// Below 0x20 or above 0x7f.
        #[inline(always)]
        pub(in super::super) fn control_or_not_ascii(self) -> Self {
            Self((!((self.0 & LOW) + all(0x60)) | self.0) & HIGH)
        }

        /// Each byte with 0x20 set, which takes `[` to `{` and `]` to `}` and nothing else there.
        #[inline(always)]
        pub(in super::super) fn lower(self) -> Self {
            Self(self.0 | all(0x20))
        }

        #[inline(always)]
        pub(in super::super) fn or(self, other: Self) -> Self {
            Self(self.0 | other.0)
        }

        /// One bit for each byte that was hit, the first byte's lowest.
        #[inline(always)]
        pub(in super::super) fn mask(self) -> u32 {
            // The multiplication gathers one bit of each of eight bytes in the highest byte.
            let gather = |half: [u8; 8]| {
                u32::from((u64::from_le_bytes(half) >> 7).wrapping_mul(0x0102_0408_1020_4080).to_be_bytes()[0])
            };
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.0.to_le_bytes();
            gather([a, b, c, d, e, f, g, h]) | gather([i, j, k, l, m, n, o, p]) << 8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: [u8; LANE], hit: impl Fn(u8) -> bool) -> u32 {
        (0..LANE).filter(|at| hit(bytes[*at])).fold(0, |mask, at| mask | 1 << at)
    }

    macro_rules! agrees {
        ($lane:ty, $bytes:expr, $byte:expr) => {{
            let lane = <$lane>::load(&$bytes);
            prop_assert_eq!(lane.equal($byte).mask(), naive($bytes, |b| b == $byte));
            prop_assert_eq!(lane.control().mask(), naive($bytes, |b| b < 0x20));
            prop_assert_eq!(lane.control_or_not_ascii().mask(), naive($bytes, |b| !(0x20..0x80).contains(&b)));
            prop_assert_eq!(lane.lower().equal(b'{').mask(), naive($bytes, |b| b == b'{' || b == b'['));
            let either = lane.equal($byte).or(lane.control());
            prop_assert_eq!(either.mask(), naive($bytes, |b| b == $byte || b < 0x20));
        }};
    }

    proptest! {
        #[test]
        fn every_lane_judges_each_byte_alone(
            bytes in prop::array::uniform16(prop_oneof![any::<u8>(), prop::sample::select(vec![0, 0x1f, 0x20, 0x7f, 0x80, 0xff, b'{', b'['])]),
            chosen in 0..LANE,
        ) {
            agrees!(portable::Lane, bytes, bytes[chosen]);
            agrees!(Lane, bytes, bytes[chosen]);
        }
    }
}
