//! Whether two kinds of requests differ in their times, after the method of "Dude, is my code constant time?"
//! (Reparaz, Balasch, Verbauwhede, 2017).

/// Where times differ, by the method.
pub(crate) const T_MAX: f64 = 4.5;
/// The slowest of so many in a hundred are left out, one after the other.
const CUTS: [usize; 5] = [0, 5, 10, 25, 50];

/// Draws kinds and forgeries in an order that nobody can foresee: xorshift.
pub(crate) struct Drawn(u64);

impl Drawn {
    pub(crate) const fn new() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }
}

/// Prints the |t| of each two kinds that `pairs` names, and answers the largest one of kinds that differ: one
/// whose name ends in `again` is the same kind once more, and says how noisy the machine is.
pub(crate) fn compare(kinds: &[&str], times: &[Vec<f64>], pairs: &[(usize, usize)]) -> f64 {
    let mut worst: f64 = 0.0;
    for &(a, b) in pairs {
        let t = largest(&times[a], &times[b]);
        let (a_median, b_median) = (median(&times[a]), median(&times[b]));
        println!(
            "{} and {}: |t| = {t:.2} of {} and {}, medians {:.3} and {:.3} us",
            kinds[a],
            kinds[b],
            times[a].len(),
            times[b].len(),
            a_median / 1_000.0,
            b_median / 1_000.0,
        );
        if !kinds[b].ends_with("again") {
            worst = worst.max(t);
        }
    }
    worst
}

fn median(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let of = |sample: &[f64]| {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (of(a), of(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

/// The largest |t| of two kinds, over all cuts of their slow tails.
fn largest(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let t_of = |cut: &usize| {
        let limit = all[all.len() * (100 - cut) / 100 - 1];
        let kept = |sample: &[f64]| {
            sample
                .iter()
                .copied()
                .filter(|x| *x <= limit)
                .collect::<Vec<_>>()
        };
        welch(&kept(a), &kept(b)).abs()
    };
    CUTS.iter().map(t_of).fold(0.0, f64::max)
}
