//! A hash map whose copies share what they have in common, for snapshots that change one entry at a time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;

/// The most entries of a shard, on average. A change copies one shard that a copy of the map shares.
const SHARD_ENTRIES: usize = 256;

/// A hash map in shards. A copy costs one reference count a shard; a change costs a copy of the shard that it falls
/// into, if a copy of the map shares that. The map grows by one shard at a time (linear hashing), so that no change
/// moves more entries than two shards have.
#[derive(Clone, Debug)]
pub struct SharedMap<K, V> {
    shards: Vec<Arc<HashMap<K, V>>>,
    len: usize,
    hashing: RandomState,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self {
            shards: Vec::new(),
            len: 0,
            hashing: RandomState::new(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> SharedMap<K, V> {
    /// The number of entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shards.get(self.shard_of(key))?.get(key)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// Puts a value under a key, in the place of the one that is there.
    pub fn insert(&mut self, key: K, value: V) {
        if self.len >= self.shards.len() * SHARD_ENTRIES {
            self.grow();
        }
        let shard = self.shard_of(&key);
        if let Some(shard) = self.shards.get_mut(shard) {
            let before = Arc::make_mut(shard).insert(key, value);
            self.len += usize::from(before.is_none());
        }
    }

    /// Changes the value of a key; of a key that is not there, the default one.
    pub fn change(&mut self, key: &K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        if self.get(key).is_none() {
            self.insert(key.clone(), V::default());
        }
        let shard = self.shard_of(key);
        if let Some(shard) = self.shards.get_mut(shard)
            && let Some(value) = Arc::make_mut(shard).get_mut(key)
        {
            change(value);
        }
    }

    /// Removes a key with its value.
    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let shard = self.shard_of(key);
        if let Some(shard) = self.shards.get_mut(shard)
            && shard.contains_key(key)
        {
            Arc::make_mut(shard).remove(key);
            self.len -= 1;
        }
    }

    /// Keeps the entries that `is_kept` says yes to. Copies only shards that lose one.
    pub fn retain(&mut self, is_kept: impl Fn(&K, &V) -> bool) {
        for shard in &mut self.shards {
            if shard.iter().any(|(key, value)| !is_kept(key, value)) {
                let before = shard.len();
                Arc::make_mut(shard).retain(|key, value| is_kept(key, value));
                self.len -= before - shard.len();
            }
        }
    }

    /// Returns the place of a key's shard. There are more than half as many shards as the next power of two: where
    /// one is not there yet, its entries are in the shard that it will be split from.
    fn shard_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        let count = self.shards.len();
        if count <= 1 {
            return 0;
        }
        let power = count.next_power_of_two();
        let low_bits = self.hashing.hash_one(key) & (power as u64 - 1);
        let place = usize::try_from(low_bits).unwrap_or(0);
        if place < count {
            place
        } else {
            place - power / 2
        }
    }

    /// Adds a shard, and moves what belongs there.
    fn grow(&mut self) {
        let new = self.shards.len();
        self.shards.push(Arc::default());
        if new == 0 {
            return;
        }
        let from = new - self.shards.len().next_power_of_two() / 2;
        let Some(split) = self.shards.get(from).map(Arc::clone) else {
            return;
        };
        let (mut stays, mut moves) = (HashMap::new(), HashMap::new());
        for (key, value) in split.iter() {
            let to = match self.shard_of(key) == new {
                true => &mut moves,
                false => &mut stays,
            };
            to.insert(key.clone(), value.clone());
        }
        for (place, entries) in [(from, stays), (new, moves)] {
            if let Some(shard) = self.shards.get_mut(place) {
                *shard = Arc::new(entries);
            }
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone + PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(key, value): (&K, &V)| other.get(key) == Some(value);
        self.len == other.len && self.iter().all(same)
    }
}

impl<K: Eq + Hash + Clone, V: Clone + Eq> Eq for SharedMap<K, V> {}

impl<K: Eq + Hash + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number of shards that two maps do not share.
    fn apart<K, V>(one: &SharedMap<K, V>, other: &SharedMap<K, V>) -> usize {
        let both = one.shards.iter().zip(&other.shards);
        both.filter(|(one, other)| !Arc::ptr_eq(one, other)).count()
    }

    #[test]
    fn a_change_copies_the_one_shard_that_it_falls_into() {
        let map: SharedMap<u32, u32> = (0..100_000).map(|number| (number, 0)).collect();
        assert_eq!((map.len(), map.iter().count()), (100_000, 100_000));
        let largest = map.shards.iter().map(|shard| shard.len()).max().unwrap();
        assert!(largest < 4 * SHARD_ENTRIES, "{largest}");
        let mut other = map.clone();
        other.insert(7, 1);
        assert_eq!(apart(&map, &other), 1);
        assert_eq!((map.get(&7), other.get(&7)), (Some(&0), Some(&1)));
        other.remove(&7);
        other.remove(&7);
        assert_eq!((apart(&map, &other), other.len()), (1, 99_999));
        let mut same = map.clone();
        same.remove(&100_000);
        same.retain(|_, value| *value == 0);
        assert_eq!(apart(&map, &same), 0, "nothing was changed");
        assert!(same == map && other != map);
    }

    proptest! {
        #[test]
        fn a_map_is_as_one_of_the_standard_library(
            steps in prop::collection::vec((0_u16..2_000, prop::option::of(any::<u8>())), 0..3_000)
        ) {
            let (mut map, mut wanted) = (SharedMap::default(), HashMap::new());
            let mut copies = Vec::new();
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        map.insert(key, value);
                        wanted.insert(key, value);
                    }
                    None => {
                        map.remove(&key);
                        wanted.remove(&key);
                    }
                }
                if key == 0 {
                    copies.push((map.clone(), wanted.clone()));
                }
            }
            copies.push((map, wanted));
            for (map, wanted) in copies {
                prop_assert_eq!(map.len(), wanted.len());
                for key in 0..2_000 {
                    prop_assert_eq!(map.get(&key), wanted.get(&key));
                }
                let found: HashMap<_, _> = map.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
