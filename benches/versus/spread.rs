//! Figures of several rounds, and ratios taken inside each.

/// The middle of several figures, the least and the greatest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of these figures, of which there must be one.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        let (below, above) = (figures.len().saturating_sub(1) / 2, figures.len() / 2);
        Self {
            median: f64::midpoint(at(below), at(above)),
            min: at(0),
            max: at(figures.len().saturating_sub(1)),
        }
    }

    /// Of the ratios of figures that were taken in the same rounds.
    pub(crate) fn of_ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }

    /// The median, with the least and the greatest behind it.
    pub(crate) fn text(&self) -> String {
        if self.max.is_nan() {
            return "–".into();
        }
        let digits = if self.median >= 100.0 { 0 } else { 2 };
        let Self { median, min, max } = self;
        format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
    }
}
