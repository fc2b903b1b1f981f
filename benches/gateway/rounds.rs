//! Sides that are measured in turns, so that a busy moment of the machine hits all of them.

/// Figures of each of `count` sides in each round; `turn` measures one side once.
pub(crate) fn take_turns(count: usize, rounds: usize, mut turn: impl FnMut(usize) -> f64) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::new(); count];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..count).map(|place| (round + place) % count).collect();
        // Nobody always follows the same one, whose leavings in the caches may suit it or not.
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            figures[at].push(turn(at));
        }
    }
    figures
}

/// The smallest, the median and the largest.
pub(crate) fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let middle = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
    [values[0], middle, values[values.len() - 1]]
}
