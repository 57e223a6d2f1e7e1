//! Dots, eight to a character.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Of a braille character, by row and column of the dot.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u8,
    style: Style,
    /// What is strong replaces what is not.
    strong: bool,
}

pub struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
}

impl Canvas {
    pub fn new(area: Rect) -> Self {
        let (columns, rows) = (usize::from(area.width), usize::from(area.height));
        Self { columns, rows, cells: vec![Cell::default(); columns * rows] }
    }

    /// How many dots it is wide,
    pub fn width(&self) -> i32 {
        2 * self.columns as i32
    }

    /// and high.
    pub fn height(&self) -> i32 {
        4 * self.rows as i32
    }

    /// Sets a dot, from the left and from the top; outside, none.
    pub fn dot(&mut self, (x, y): (i32, i32), style: Style, strong: bool) {
        if x < 0 || y < 0 || x >= self.width() || y >= self.height() {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        let cell = &mut self.cells[y / 4 * self.columns + x / 2];
        if strong && !cell.strong {
            *cell = Cell::default();
        }
        if strong == cell.strong || strong {
            cell.dots |= DOTS[y % 4][x % 2];
            (cell.style, cell.strong) = (style, strong);
        }
    }

    /// A straight line between dots, both included.
    pub fn line(&mut self, from: (i32, i32), to: (i32, i32), style: Style, strong: bool) {
        // What is far outside would take long, and is not seen.
        let inside = |at: (i32, i32)| (at.0.clamp(-2, self.width() + 1), at.1.clamp(-2, self.height() + 1));
        let (from, to) = (inside(from), inside(to));
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let steps = dx.abs().max(dy.abs());
        for step in 0..=steps {
            let along = |length: i32| {
                if steps == 0 { 0 } else { (f64::from(length * step) / f64::from(steps)).round() as i32 }
            };
            self.dot((from.0 + along(dx), from.1 + along(dy)), style, strong);
        }
    }

    /// Puts the dots into a part of the screen that is as large; the rest of it stays.
    pub fn put(&self, buffer: &mut Buffer, area: Rect) {
        for (at, cell) in self.cells.iter().enumerate().filter(|(_, cell)| cell.dots != 0) {
            let (x, y) = (area.x + (at % self.columns) as u16, area.y + (at / self.columns) as u16);
            let Some(shown) = buffer.cell_mut((x, y)) else { continue };
            let dots = char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' ');
            shown.set_char(dots).set_style(cell.style);
        }
    }
}
