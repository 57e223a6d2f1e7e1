//! The binary body of `view/range`: a header in JSON, then arrays, little-endian, each
//! at a multiple of 8 so that a page can look at them where they are.

use rezolus_store::Labels;
use serde_json::{Value as Json, json};

use super::inputs::seconds;
use super::range::{Body, Evaluated, sum};
use super::reduce::{Lots, reduce};

/// Writes what was evaluated; of lines also their sum, if the `total` is wanted.
pub fn write(evaluated: &Evaluated, total: bool) -> Vec<u8> {
    let grid = &evaluated.grid;
    match &evaluated.body {
        Body::Lines(all) => {
            let mut header = header(evaluated, "series", all.iter().map(|line| &line.labels));
            let reduced = grid.per > 1;
            header["reduced"] = reduced.into();
            if let (true, Some(told)) = (total, header["series"].as_array_mut()) {
                told.push(json!({"labels": {}}));
            }
            let mut out = begin(&header.to_string());
            out.reserve((all.len() + usize::from(total)) * grid.lots() * if reduced { 24 } else { 8 });
            for line in all {
                series(&mut out, &reduce(&line.values, grid.per), reduced);
            }
            if total {
                let sum = sum(grid.count, all.iter().map(|line| &*line.values));
                series(&mut out, &reduce(&sum, grid.per), reduced);
            }
            out
        }
        Body::Heat(heat) => {
            let mut header = header(evaluated, "heatmap", &heat.labels);
            header["bounds"] = json!(heat.bounds);
            header["cells"] = heat.cells.len().into();
            header["greatest"] = heat.cells.iter().map(|cell| cell.2).fold(0.0, f64::max).into();
            let mut out = begin(&header.to_string());
            cells(&mut out, &heat.cells);
            out
        }
    }
}

fn header<'a>(evaluated: &Evaluated, kind: &str, all: impl IntoIterator<Item = &'a Labels>) -> Json {
    let (grid, notes) = (&evaluated.grid, &evaluated.notes);
    let labels = |labels: &Labels| -> Json {
        labels.iter().map(|(name, value)| (name.to_string(), Json::from(&**value))).collect()
    };
    let series: Vec<Json> = all.into_iter().map(|all| json!({"labels": labels(all)})).collect();
    json!({
        "kind": kind,
        "start": seconds(grid.start),
        "step": seconds(grid.step * grid.per as i64),
        "count": grid.lots(),
        "per": grid.per,
        "interval": seconds(grid.interval),
        "series": series,
        "warnings": notes.warnings,
        "infos": notes.infos,
    })
}

/// `header` with its length (u32) before it and spaces behind it up to a multiple of 8.
fn begin(header: &str) -> Vec<u8> {
    let mut body = (header.len() as u32).to_le_bytes().to_vec();
    body.extend(header.as_bytes());
    body.resize(body.len().next_multiple_of(8), b' ');
    body
}

/// Appends a series: its means, and if it was `reduced` its least and greatest.
fn series(body: &mut Vec<u8>, lots: &Lots, reduced: bool) {
    floats(body, &lots.mean);
    if reduced {
        floats(body, &lots.least);
        floats(body, &lots.greatest);
    }
}

/// Appends cells of a heatmap: lots, buckets, padding to 8, counts.
fn cells(body: &mut Vec<u8>, cells: &[(u32, u32, f64)]) {
    body.extend(cells.iter().flat_map(|(lot, _, _)| lot.to_le_bytes()));
    body.extend(cells.iter().flat_map(|(_, bucket, _)| bucket.to_le_bytes()));
    body.resize(body.len().next_multiple_of(8), 0);
    body.extend(cells.iter().flat_map(|(_, _, count)| count.to_le_bytes()));
}

fn floats(body: &mut Vec<u8>, values: &[f64]) {
    body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_begin_at_multiples_of_8() {
        for length in 2..20 {
            let header = format!("{{{}}}", " ".repeat(length));
            let mut body = begin(&header);
            let start = body.len();
            assert_eq!(start % 8, 0);
            assert_eq!(body[..4], (header.len() as u32).to_le_bytes());
            assert_eq!(body[4..4 + header.len()], *header.as_bytes());
            assert!(body[4 + header.len()..].iter().all(|&byte| byte == b' '));
            let lots = Lots { mean: vec![1.0, 2.0], least: vec![0.0, 1.0], greatest: vec![3.0, 4.0] };
            series(&mut body, &lots, false);
            assert_eq!(body.len(), start + 16);
            series(&mut body, &lots, true);
            assert_eq!(body.len(), start + 64);
            assert_eq!(body[start + 56..], 4.0_f64.to_le_bytes());
        }
    }

    #[test]
    fn cells_are_three_arrays() {
        for count in 0..4 {
            let all: Vec<_> = (0..count).map(|at| (at, at + 1, f64::from(at) + 0.5)).collect();
            let mut body = begin("{}");
            let start = body.len();
            cells(&mut body, &all);
            let counts = start + 8 * count as usize;
            assert_eq!(body.len(), counts + 8 * count as usize);
            if let Some(last) = all.last() {
                assert_eq!(body[body.len() - 8..], last.2.to_le_bytes());
                assert_eq!(body[counts - 4..counts], last.1.to_le_bytes());
            }
        }
    }
}
