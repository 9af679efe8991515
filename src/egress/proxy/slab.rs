//! Places for connections, whose numbers come back in epoll's events and in the broker's replies.
//!
//! A place is used again; its generation is not. An event that was under way when its connection ended, or a reply to a
//! question of one that is gone, finds nobody.

/// Where a value is, and which of all that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Values in numbered places. Places are never given back to the allocator: as many as were ever used at once.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The key that the next value will have.
    pub(super) fn next_key(&self) -> Key {
        let index = self.free.last().copied().unwrap_or_else(|| u32::try_from(self.places.len()).unwrap_or(u32::MAX));
        let place = usize::try_from(index).ok().and_then(|at| self.places.get(at));
        Key { index, generation: place.map_or(0, |place| place.generation) }
    }

    /// Puts a value into a place; the caller keeps the number of values below `u32::MAX`.
    pub(super) fn insert(&mut self, value: T) -> Key {
        let free = self.free.pop().and_then(|index| Some((index, self.place(index)?)));
        if let Some((index, place)) = free {
            place.value = Some(value);
            return Key { index, generation: place.generation };
        }
        let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place { generation: 0, value: Some(value) });
        Key { index, generation: 0 }
    }

    /// The value of this key, if it is still there.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.place(key.index)?;
        if place.generation == key.generation { place.value.as_mut() } else { None }
    }

    /// Takes it out.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.place(key.index).filter(|place| place.generation == key.generation)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// The key of what is in this place.
    pub(super) fn key(&self, index: u32) -> Option<Key> {
        let place = self.places.get(usize::try_from(index).ok()?)?;
        place.value.as_ref().map(|_| Key { index, generation: place.generation })
    }

    /// The keys of everything that is there.
    pub(super) fn keys(&self) -> Vec<Key> {
        (0..u32::try_from(self.places.len()).unwrap_or(u32::MAX)).filter_map(|index| self.key(index)).collect()
    }

    /// Everything in it.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| place.value.as_ref())
    }

    fn place(&mut self, index: u32) -> Option<&mut Place<T>> {
        self.places.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nobody_in_a_place_that_is_used_again() {
        let mut slab = Slab::new();
        let (first, second) = (slab.insert("first"), slab.insert("second"));
        assert_eq!((slab.len(), slab.keys()), (2, vec![first, second]));
        assert_eq!(slab.remove(first), Some("first"));
        assert_eq!((slab.remove(first), slab.key(first.index)), (None, None));
        assert_eq!(slab.get_mut(first), None);
        let next = slab.next_key();
        let third = slab.insert("third");
        assert_eq!((next, slab.next_key().index), (third, 2));
        assert_eq!(third.index, first.index);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(third), Some(&mut "third"));
        assert_eq!(slab.key(third.index), Some(third));
        assert_eq!(slab.get_mut(Key { index: 9, generation: 0 }), None);
        assert_eq!(slab.len(), 2);
        assert_eq!(slab.remove(third).zip(slab.remove(second)), Some(("third", "second")));
        assert_eq!((slab.len(), slab.keys()), (0, vec![]));
    }
}
