//! Packets with descriptors over Unix sockets. Source: unix(7), cmsg(3), recvmsg(2).
#![allow(clippy::useless_conversion, reason = "the types of lengths differ between C libraries")]

use super::check;
use super::fd::own;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Most descriptors in one message; the kernel takes 253 (`SCM_MAX_FD`).
pub const MOST: usize = 250;
/// Room for the control messages of [`MOST`] descriptors, in units that are aligned as `cmsghdr` must be.
const CONTROL: usize = (MOST * size_of::<RawFd>() + 64) / size_of::<u64>();

/// A connected pair that keeps the borders of packets, close-on-exec.
///
/// # Errors
/// As socketpair(2).
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0 as RawFd; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `ends` is room for two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }.into())?;
    Ok((own(ends[0].into())?, own(ends[1].into())?))
}

/// Sends one message with descriptors, which the receiver gets duplicates of. `wait` is false for `EAGAIN` in the place of
/// waiting. A peer that is gone gives `EPIPE`, no signal.
///
/// # Errors
/// As sendmsg(2); `InvalidInput` for more than [`MOST`] descriptors.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>], wait: bool) -> io::Result<usize> {
    if descriptors.len() > MOST {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let mut control = [0u64; CONTROL];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !raw.is_empty() {
        let payload = u32::try_from(size_of_val(raw.as_slice())).map_err(io::Error::other)?;
        header.msg_control = control.as_mut_ptr().cast();
        // SAFETY: computes a size.
        let space = unsafe { libc::CMSG_SPACE(payload) };
        header.msg_controllen = space.try_into().map_err(io::Error::other)?;
        // SAFETY: `msg_control` has room for one header and its payload, as `CONTROL` says.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        // SAFETY: computes a size.
        let length = unsafe { libc::CMSG_LEN(payload) };
        // SAFETY: `first` points into `control`, which is zeroed, aligned and large enough for a header.
        let first_header = unsafe { &mut *first };
        first_header.cmsg_level = libc::SOL_SOCKET;
        first_header.cmsg_type = libc::SCM_RIGHTS;
        first_header.cmsg_len = length.try_into().map_err(io::Error::other)?;
        // SAFETY: the payload begins behind the header, inside `control`.
        let data = unsafe { libc::CMSG_DATA(first) };
        // SAFETY: both ranges hold `payload` bytes and do not overlap; bytes have no alignment.
        unsafe { std::ptr::copy_nonoverlapping(raw.as_ptr().cast::<u8>(), data, size_of_val(raw.as_slice())) };
    }
    let flags = libc::MSG_NOSIGNAL | if wait { 0 } else { libc::MSG_DONTWAIT };
    loop {
        // SAFETY: `header` points at memory that outlives the call.
        match check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) } as libc::c_long) {
            Ok(sent) => return usize::try_from(sent).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Receives one message and what descriptors it carries, close-on-exec. Gives how many bytes of `room` it filled: 0 at the
/// end. `wait` is false for `EAGAIN` in the place of waiting.
///
/// # Errors
/// As recvmsg(2); `InvalidData` where the message, or what it carries, was longer than there is room for.
pub fn receive(socket: BorrowedFd<'_>, room: &mut [u8], wait: bool) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = [0u64; CONTROL];
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control).try_into().map_err(io::Error::other)?;
    let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
    let count = loop {
        // SAFETY: `header` points at memory that outlives the call and may be written.
        match check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) } as libc::c_long) {
            Ok(count) => break usize::try_from(count).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled `header` and the control messages it points at.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // SAFETY: a non-null pointer of these macros points at a whole control header.
    while let Some(found) = unsafe { next.as_ref() } {
        if (found.cmsg_level, found.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: computes a size.
            let head = unsafe { libc::CMSG_LEN(0) };
            let length = usize::try_from(found.cmsg_len).map_err(io::Error::other)?;
            let count = length.saturating_sub(usize::try_from(head).map_err(io::Error::other)?) / size_of::<RawFd>();
            // SAFETY: the payload begins behind the header.
            let data = unsafe { libc::CMSG_DATA(next) };
            for at in 0..count {
                // SAFETY: `at` is below the count of descriptors in the payload.
                let place = unsafe { data.cast::<RawFd>().add(at) };
                // SAFETY: the kernel wrote a descriptor there; it need not be aligned.
                let raw = unsafe { place.read_unaligned() };
                descriptors.push(own(raw.into())?);
            }
        }
        // SAFETY: as for the first header.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    Ok((count, descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn packets_keep_their_borders_and_carry_descriptors() {
        let (ours, theirs) = packet_pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send(ours.as_fd(), b"one", &[reader.as_fd(), writer.as_fd()], true).unwrap();
        send(ours.as_fd(), b"two", &[], true).unwrap();
        let mut room = [0; 16];
        let (count, descriptors) = receive(theirs.as_fd(), &mut room, true).unwrap();
        assert_eq!((&room[..count], descriptors.len()), (&b"one"[..], 2));
        let [read, write] = <[OwnedFd; 2]>::try_from(descriptors).unwrap();
        drop((reader, writer));
        File::from(write).write_all(b"x").unwrap();
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        let (count, descriptors) = receive(theirs.as_fd(), &mut room, true).unwrap();
        assert_eq!((&room[..count], descriptors.len()), (&b"two"[..], 0));
        assert_eq!(receive(theirs.as_fd(), &mut room, false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        assert_eq!(receive(theirs.as_fd(), &mut room, true).unwrap().0, 0);
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_leaks_nothing() {
        let (ours, theirs) = packet_pair().unwrap();
        send(ours.as_fd(), b"too long", &[theirs.as_fd()], true).unwrap();
        assert_eq!(receive(theirs.as_fd(), &mut [0; 4], true).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let many = vec![theirs.as_fd(); MOST + 1];
        assert_eq!(send(ours.as_fd(), b"x", &many, true).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        send(ours.as_fd(), b"x", &many[..MOST], true).unwrap();
        assert_eq!(receive(theirs.as_fd(), &mut [0; 4], true).unwrap().1.len(), MOST);
    }
}
