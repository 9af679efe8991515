//! Stands in for the proxy until that is here: holds the listeners, accepts nothing, and ends with the session.

pub(super) mod proxy {
    use super::super::Limits;
    use super::super::listeners::Listener;
    use crate::sys::poll::{Interest, wait_for};
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    pub(crate) struct Setup {
        pub(crate) listeners: Vec<Listener>,
        pub(crate) broker: OwnedFd,
        pub(crate) events: OwnedFd,
        pub(crate) limits: Limits,
    }

    pub(crate) fn run(setup: Setup) -> io::Result<()> {
        let Setup { listeners, broker, events, limits: _ } = setup;
        wait_for(events.as_fd(), Interest::Read, None)?;
        drop((listeners, broker));
        Ok(())
    }
}
