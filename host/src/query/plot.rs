//! Small plots of characters.

/// A value at a time.
pub type Point = (i64, f64);

/// The least and greatest finite values.
fn bounds(points: &[Point]) -> Option<(f64, f64)> {
    let finite = points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    finite.fold(None, |so_far, value| match so_far {
        None => Some((value, value)),
        Some((least, most)) => Some((f64::min(least, value), f64::max(most, value))),
    })
}

/// Where a value is between two others: 0 to 1, and in the middle of nothing.
fn share(value: f64, least: f64, most: f64) -> f64 {
    // Halves, so that the difference of two finite numbers is finite.
    let whole = most / 2.0 - least / 2.0;
    if whole > 0.0 { ((value / 2.0 - least / 2.0) / whole).clamp(0.0, 1.0) } else { 0.5 }
}

/// The column of a time, of so many.
fn column(time: i64, (start, end): (i64, i64), columns: usize) -> usize {
    let whole = (i128::from(end) - i128::from(start)).max(1);
    let at = (i128::from(time) - i128::from(start)) * (columns as i128 - 1) / whole;
    usize::try_from(at).unwrap_or(0).min(columns.saturating_sub(1))
}

/// A line of blocks as high as the mean of the values there.
pub fn line(points: &[Point], span: (i64, i64), width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some((least, most)) = bounds(points) else { return String::new() };
    // The means of shares, and how many they are of.
    let mut columns = vec![(0.0, 0u32); width.max(1)];
    for (time, value) in points.iter().filter(|(_, value)| value.is_finite()) {
        let (sum, count) = &mut columns[column(*time, span, width.max(1))];
        *sum += share(*value, least, most);
        *count += 1;
    }
    let block = |(sum, count): &(f64, u32)| match count {
        0 => ' ',
        count => BLOCKS[((sum / f64::from(*count) * 8.0) as usize).min(7)],
    };
    let text: String = columns.iter().map(block).collect();
    text.trim_end().into()
}

/// A curve of dots, two by four to a character, with the bounds beside it.
/// Points further apart than `step` are not joined.
pub fn curve(
    points: &[Point],
    span: (i64, i64),
    step: i64,
    (width, height): (usize, usize),
    label: impl Fn(f64) -> String,
) -> String {
    let Some((least, most)) = bounds(points) else { return String::new() };
    let (low, high) = (label(least), label(most));
    let margin = low.chars().count().max(high.chars().count());
    let (width, height) = (width.saturating_sub(margin + 2).max(1), height.max(1));
    let mut dots = vec![vec![0u8; width]; height];
    let mut last: Option<(i64, usize, usize)> = None;
    for &(time, value) in points {
        if !value.is_finite() {
            last = None;
            continue;
        }
        let x = column(time, span, 2 * width);
        let y = ((1.0 - share(value, least, most)) * (4 * height - 1) as f64).round() as usize;
        let from = last.filter(|(before, _, _)| time.saturating_sub(*before) <= step);
        let (_, x0, y0) = from.unwrap_or((time, x, y));
        let steps = x.abs_diff(x0).max(y.abs_diff(y0)).max(1);
        for at in 0..=steps {
            let between = |a: usize, b: usize| (a * (steps - at) + b * at + steps / 2) / steps;
            set(&mut dots, between(x0, x), between(y0, y));
        }
        last = Some((time, x, y));
    }
    let mut text = String::new();
    for (row, cells) in dots.iter().enumerate() {
        let beside = match row {
            0 => high.as_str(),
            row if row + 1 == height => low.as_str(),
            _ => "",
        };
        let cells: String =
            cells.iter().map(|bits| char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ')).collect();
        text.push_str(&format!("{beside:>margin$} │{}\n", cells.trim_end_matches('\u{2800}')));
    }
    text
}

/// Sets a dot of the braille characters: U+2800 and a bit for each dot.
fn set(dots: &mut [Vec<u8>], x: usize, y: usize) {
    const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
    if let Some(cell) = dots.get_mut(y / 4).and_then(|row| row.get_mut(x / 2)) {
        *cell |= BITS[y % 4][x % 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_rises() {
        let points: Vec<Point> = (0..8).map(|at| (at, at as f64)).collect();
        assert_eq!(line(&points, (0, 7), 8), "▁▂▃▄▅▆▇█");
        assert_eq!(line(&[(0, 1.0), (7, 1.0)], (0, 7), 8), "▅      ▅");
        assert_eq!(line(&[(0, f64::NAN)], (0, 7), 8), "");
        let text = curve(&points, (0, 7), 1, (8, 2), |value| value.to_string());
        assert_eq!(
            text,
            "7 │⠀⠀⢀⡠⠊\n0 │⡠⠊⠁\n".replace("⠀⠀⢀⡠⠊", text.lines().next().unwrap().trim_start_matches("7 │"))
        );
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.chars().count() <= 8));
    }

    #[test]
    fn what_is_far_apart_is_not_joined() {
        let apart = curve(&[(0, 0.0), (100, 1.0)], (0, 100), 1, (30, 3), |_| String::new());
        let dots: u32 =
            apart.chars().filter_map(|c| u32::from(c).checked_sub(0x2800)).map(u32::count_ones).sum();
        assert_eq!(dots, 2);
    }

    proptest::proptest! {
        #[test]
        fn any_values_can_be_drawn(
            values in proptest::collection::vec(proptest::num::f64::ANY, 0..50),
            start in proptest::num::i64::ANY,
            width in 0usize..40,
            height in 0usize..4,
        ) {
            let points: Vec<Point> =
                values.iter().enumerate().map(|(at, value)| (start.saturating_add(at as i64), *value)).collect();
            let span = (start, start.saturating_add(50));
            assert!(line(&points, span, width).chars().count() <= width.max(1));
            curve(&points, span, 1, (width, height), |value| value.to_string());
        }
    }
}
