//! Finds what belongs to a key by the key's hash: in one place in memory, however many keys there are.

use std::iter::repeat_with;

use crate::secret::KeyHash;

/// What belongs to each key.
///
/// A hash, whole, and what belongs to it lie side by side, as near as there is room to the place that the hash's first bits say
/// (open addressing, linear probing). Of very many keys nothing is in a cache: what is spread over several tables costs as
/// many waits for memory.
#[derive(Debug)]
pub(super) struct KeyTable<T> {
    /// A third of them is empty, so that every search soon ends.
    slots: Box<[Option<(KeyHash, T)>]>,
}

impl<T> KeyTable<T> {
    /// Whether there are no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What belongs to the key with this hash.
    pub(super) fn get(&self, hash: &KeyHash) -> Option<&T> {
        let (before, from) = self.slots.split_at_checked(self.home(hash))?;
        let mut near = from.iter().chain(before).map_while(Option::as_ref);
        near.find(|(own, _)| own == hash).map(|(_, found)| found)
    }

    /// Where the search for this hash begins.
    fn home(&self, hash: &KeyHash) -> usize {
        // The first bits are a share of all slots.
        let at = (u128::from(hash.first_bits()) * self.slots.len() as u128) >> 64;
        usize::try_from(at).unwrap_or_default()
    }

    /// Takes in a key; what belonged to it before does no more. There must be an empty slot.
    fn insert(&mut self, hash: KeyHash, what: T) {
        let home = self.home(&hash);
        let Some((before, from)) = self.slots.split_at_mut_checked(home) else { return };
        let free = |slot: &&mut Option<(KeyHash, T)>| slot.as_ref().is_none_or(|(own, _)| *own == hash);
        if let Some(slot) = from.iter_mut().chain(before).find(free) {
            *slot = Some((hash, what));
        }
    }
}

impl<T> FromIterator<(KeyHash, T)> for KeyTable<T> {
    /// The last of several with one hash counts.
    fn from_iter<I: IntoIterator<Item = (KeyHash, T)>>(all: I) -> Self {
        let all: Vec<_> = all.into_iter().collect();
        let slots = all.len() + all.len().div_ceil(2);
        let mut table = Self { slots: repeat_with(|| None).take(slots).collect() };
        all.into_iter().for_each(|(hash, what)| table.insert(hash, what));
        table
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// A hash with these first bits.
    fn hash(first: u64, last: u8) -> KeyHash {
        KeyHash::parse(&format!("{first:016x}{last:048x}")).expect("64 digits")
    }

    /// First bits that many hashes share, or that lie side by side: at the beginning, in the middle, at the end.
    fn crowded() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), Just(1 << 63), u64::MAX - 2..=u64::MAX, any::<u64>()]
    }

    proptest! {
        #[test]
        fn every_key_finds_its_own_and_any_other_finds_none(
            keys in proptest::collection::vec(((crowded(), 0_u8..32), any::<u16>()), 0..64),
            others in proptest::collection::vec((crowded(), 0_u8..64), 64),
        ) {
            let table: KeyTable<u16> = keys.iter().map(|((first, last), of)| (hash(*first, *last), *of)).collect();
            let wanted: BTreeMap<(u64, u8), u16> = keys.iter().copied().collect();
            prop_assert_eq!(table.is_empty(), wanted.is_empty());
            for (first, last) in wanted.keys().copied().chain(others) {
                prop_assert_eq!(table.get(&hash(first, last)), wanted.get(&(first, last)));
            }
        }
    }

    #[test]
    fn keys_whose_hashes_begin_alike_are_told_apart_by_all_of_their_hashes() {
        for first in [0, 1 << 63, u64::MAX] {
            let table: KeyTable<u8> = (0..100).map(|last| (hash(first, last), last)).collect();
            assert!((0..100).all(|last| table.get(&hash(first, last)) == Some(&last)), "{first:x}");
            assert_eq!(table.get(&hash(first, 100)), None, "{first:x}");
        }
    }

    #[test]
    fn many_keys_lie_near_their_places() {
        let keys = 0..10_000_u32;
        let hash = |key: u32| KeyHash::of(&key.to_le_bytes());
        let table: KeyTable<u32> = keys.clone().map(|key| (hash(key), key)).collect();
        let distance = |key: u32| {
            let home = table.home(&hash(key));
            let at = table.slots.iter().position(|slot| slot.as_ref().is_some_and(|(_, own)| *own == key));
            let at = at.expect("it is there");
            if at < home { at + table.slots.len() - home } else { at - home }
        };
        let sum: usize = keys.clone().step_by(10).map(distance).sum();
        // One slot further on average, by theory.
        assert!(sum < 2 * keys.step_by(10).count(), "{sum}");
    }

    #[test]
    fn an_empty_slot_costs_no_room_of_its_own() {
        assert_eq!(size_of::<Option<(KeyHash, Arc<str>)>>(), size_of::<(KeyHash, Arc<str>)>());
    }
}
