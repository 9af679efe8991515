//! Sixteen bytes compared at once, with the SSE2 instructions that every x86-64 processor has: nothing here asks the
//! processor what it can do, and nothing but [`Lane::load`] touches memory.

use std::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
    _mm_set1_epi8,
};

/// Bytes of a lane.
pub const LANE: usize = 16;

/// Sixteen bytes, or for each of them whether it was hit: all bits or none.
#[derive(Debug, Clone, Copy)]
pub struct Lane(__m128i);

impl Lane {
    /// The bytes themselves.
    #[inline(always)]
    pub fn load(bytes: &[u8; LANE]) -> Self {
        // SAFETY: x86-64 includes SSE2; the pointer is good for sixteen bytes, and this load needs no alignment.
        Self(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    }

    /// Hits the bytes that are `byte`.
    #[inline(always)]
    pub fn equal(self, byte: u8) -> Self {
        // SAFETY: x86-64 includes SSE2.
        Self(unsafe { equal(self.0, byte) })
    }

    /// Hits the bytes below 0x20.
    #[inline(always)]
    pub fn control(self) -> Self {
        // SAFETY: x86-64 includes SSE2.
        Self(unsafe { control(self.0) })
    }

    /// Hits the bytes below 0x20 or above 0x7f.
    #[inline(always)]
    pub fn control_or_not_ascii(self) -> Self {
        // SAFETY: x86-64 includes SSE2.
        Self(unsafe { control_or_not_ascii(self.0) })
    }

    /// Each byte with bit 0x20 set, which takes `[` to `{`, `]` to `}` and nothing else to those.
    #[inline(always)]
    pub fn lower(self) -> Self {
        // SAFETY: x86-64 includes SSE2.
        Self(unsafe { lower(self.0) })
    }

    /// The hits of both.
    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        // SAFETY: x86-64 includes SSE2.
        Self(unsafe { _mm_or_si128(self.0, other.0) })
    }

    /// One bit for each byte that was hit, the first byte's lowest.
    #[inline(always)]
    pub fn mask(self) -> u32 {
        // SAFETY: x86-64 includes SSE2.
        unsafe { _mm_movemask_epi8(self.0) }.cast_unsigned()
    }
}

#[inline]
#[target_feature(enable = "sse2")]
fn equal(lane: __m128i, byte: u8) -> __m128i {
    _mm_cmpeq_epi8(lane, _mm_set1_epi8(byte.cast_signed()))
}

#[inline]
#[target_feature(enable = "sse2")]
fn control(lane: __m128i) -> __m128i {
    _mm_cmpeq_epi8(_mm_min_epu8(lane, _mm_set1_epi8(0x1f)), lane)
}

#[inline]
#[target_feature(enable = "sse2")]
fn control_or_not_ascii(lane: __m128i) -> __m128i {
    // The comparison is a signed one, and so takes bytes above 0x7f for negative.
    _mm_cmplt_epi8(lane, _mm_set1_epi8(0x20))
}

#[inline]
#[target_feature(enable = "sse2")]
fn lower(lane: __m128i) -> __m128i {
    _mm_or_si128(lane, _mm_set1_epi8(0x20))
}
