//! Whether one group may be nested in another: pure, over the nesting that was read around the two.

use crate::Error;
use keyreeve_base::GroupId;
use std::collections::HashMap;

/// How many nestings above or below a group are looked at. Beyond, nothing more can be nested there: what has to be
/// walked while everyone else waits is bounded.
pub(crate) const MAX_WALK: usize = 100_000;

/// Each group with those that are nested next to it, in one direction.
pub(crate) struct Nesting(HashMap<GroupId, Vec<GroupId>>);

impl Nesting {
    /// The nesting of these pairs (from, to).
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are more than [`MAX_WALK`].
    pub(crate) fn new(pairs: Vec<(GroupId, GroupId)>) -> Result<Self, Error> {
        if pairs.len() > MAX_WALK {
            return Err(Error::invalid("group", format!("is nested with more than {MAX_WALK} others")));
        }
        let mut nesting: HashMap<_, Vec<_>> = HashMap::new();
        for (from, to) in pairs {
            nesting.entry(from).or_default().push(to);
        }
        Ok(Self(nesting))
    }

    fn next(&self, group: GroupId) -> &[GroupId] {
        self.0.get(&group).map_or(&[], Vec::as_slice)
    }

    fn holds(&self, group: GroupId) -> bool {
        self.0.values().any(|next| next.contains(&group))
    }

    /// The number of groups in the longest chain that begins at `start`. The nesting has no circle; if it had, the answer
    /// would be that it is too long.
    fn longest_from(&self, start: GroupId) -> usize {
        let mut lengths: HashMap<GroupId, usize> = HashMap::new();
        // Depth first with a stack of its own: a group is measured when all that follow it are.
        let mut open = vec![start];
        while let Some(&group) = open.last() {
            // Without a circle, each nesting is on the stack once at most.
            if open.len() > MAX_WALK.saturating_add(1) {
                return usize::MAX;
            }
            let next = self.next(group);
            let before = open.len();
            open.extend(next.iter().filter(|next| !lengths.contains_key(next)));
            if open.len() == before {
                let longest = next.iter().filter_map(|next| lengths.get(next)).max();
                lengths.insert(group, longest.copied().unwrap_or(0).saturating_add(1));
                open.pop();
            }
        }
        lengths.get(&start).copied().unwrap_or(1)
    }
}

/// Whether `child` may be nested in `parent`. `above` leads from the parent to all that hold it, `below` from the child
/// to all that it holds.
///
/// # Errors
/// [`Error::Invalid`] when they would close a circle or make a longer chain than `max_depth` groups.
pub(crate) fn check(
    (parent, child): (GroupId, GroupId),
    above: &Nesting,
    below: &Nesting,
    max_depth: u16,
) -> Result<(), Error> {
    if parent == child || above.holds(child) {
        return Err(Error::invalid("group", "would, by way of others, be nested in itself"));
    }
    let chain = above.longest_from(parent).saturating_add(below.longest_from(child));
    if chain > usize::from(max_depth) {
        return Err(Error::invalid("group", format!("would be nested more than {max_depth} deep")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(number: u128) -> GroupId {
        GroupId::from_uuid(Uuid::from_u128(number))
    }

    fn nesting(pairs: &[(u128, u128)]) -> Nesting {
        Nesting::new(pairs.iter().map(|(from, to)| (id(*from), id(*to))).collect()).unwrap()
    }

    #[test]
    fn a_circle_of_any_length_is_refused() {
        let none = nesting(&[]);
        assert!(check((id(1), id(1)), &none, &none, 9).is_err());
        // 3 holds 2 holds 1: nothing of that goes into 1.
        let above = nesting(&[(1, 2), (2, 3)]);
        for child in [1, 2, 3] {
            assert!(check((id(1), id(child)), &above, &none, 9).is_err(), "{child}");
        }
        assert!(check((id(1), id(4)), &above, &none, 9).is_ok());
    }

    #[test]
    fn the_longest_way_counts_not_the_shortest() {
        let none = nesting(&[]);
        // From 1 to 4 directly, and by 2 and 3.
        let diamond = nesting(&[(1, 4), (1, 2), (2, 3), (3, 4)]);
        assert_eq!(diamond.longest_from(id(1)), 4);
        assert_eq!(none.longest_from(id(1)), 1);
        assert!(check((id(9), id(1)), &none, &diamond, 5).is_ok());
        assert!(check((id(9), id(1)), &none, &diamond, 4).is_err());
        assert!(check((id(1), id(9)), &diamond, &none, 4).is_err());
    }

    #[test]
    fn a_long_chain_and_a_wide_mesh_take_neither_stack_nor_time() {
        let chain: Vec<_> = (0..50_000).map(|number| (number, number + 1)).collect();
        assert_eq!(nesting(&chain).longest_from(id(0)), 50_001);
        // 100 layers of 20 groups, each of which holds all of the next: 20^100 ways.
        let mesh: Vec<_> = (0..100)
            .flat_map(|layer| (0..400).map(move |n| (layer * 20 + n / 20, (layer + 1) * 20 + n % 20)))
            .collect();
        assert_eq!(nesting(&mesh).longest_from(id(0)), 101);
    }

    #[test]
    fn what_is_walked_is_bounded() {
        let circle = nesting(&[(1, 2), (2, 3), (3, 1)]);
        assert_eq!(circle.longest_from(id(1)), usize::MAX);
        let pairs = vec![(id(1), id(2)); MAX_WALK + 1];
        assert!(Nesting::new(pairs).is_err());
    }
}
