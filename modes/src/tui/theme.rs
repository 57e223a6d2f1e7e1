//! Colours: those of the page in the browser, as far as the terminal has them.

use ratatui::style::{Color, Modifier, Style};

/// Of lines; chosen so that they are told apart by colour-blind eyes as well.
const DARK: [u32; 8] = [0x5ea2ed, 0xc5521c, 0xf0d03c, 0x4cece7, 0x925cc4, 0xef869e, 0xa7a435, 0x388d68];
const LIGHT: [u32; 8] = [0x2a6cc9, 0xdb7213, 0x8b0f49, 0x746208, 0xac7eba, 0x4d359d, 0xa94088, 0x7986f2];

/// From little, near the background, to much, evenly to the eye.
const DARK_HEAT: [u32; 17] = [
    0x1a1d2c, 0x232549, 0x2f2c66, 0x413380, 0x5b3a8e, 0x793e91, 0x973f8f, 0xb3428b, 0xcb4e84, 0xda5d77,
    0xe66f66, 0xf08253, 0xfa9849, 0xffb05c, 0xffc77b, 0xffde9a, 0xfff4b0,
];
const LIGHT_HEAT: [u32; 17] = [
    0xf6f5de, 0xd8f0c7, 0xb9ebb0, 0x96e1a0, 0x75d49e, 0x56c6a4, 0x34b8ab, 0x0da9b0, 0x0299b0, 0x0189ad,
    0x0579ad, 0x1569ad, 0x2856a5, 0x2c4497, 0x2b3482, 0x28276b, 0x241a54,
];

/// Of lines, where there are eight colours; their backgrounds may be those only.
const FEW_DARK: [Color; 7] =
    [Color::Cyan, Color::Red, Color::Yellow, Color::Blue, Color::Magenta, Color::Green, Color::Gray];
const FEW_LIGHT: [Color; 7] =
    [Color::Blue, Color::Red, Color::Magenta, Color::Green, Color::Cyan, Color::Yellow, Color::Black];

/// What stands for heat and for areas without colours.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    None,
    /// The eight of any terminal.
    Few,
    /// The 256 of xterm.
    Indexed,
    Full,
}

#[derive(Clone, Copy, Debug)]
pub struct Theme {
    pub depth: Depth,
    pub dark: bool,
}

impl Theme {
    /// As the environment has it: `NO_COLOR`, `COLORTERM`, `TERM`, `COLORFGBG`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, values: &[&str]| {
            variable(name).is_some_and(|value| values.contains(&value.as_str()))
        };
        let full = is("COLORTERM", &["truecolor", "24bit"])
            || variable("TERM").is_some_and(|term| term.ends_with("-direct") || term.contains("kitty"));
        let term = variable("TERM").unwrap_or_default();
        let none = variable("NO_COLOR").is_some_and(|value| !value.is_empty())
            || term == "dumb"
            || term.starts_with("vt");
        let few = ["linux", "ansi", "cons25", "cygwin"].contains(&term.as_str())
            || ["-16color", "-8color"].iter().any(|end| term.ends_with(end));
        let depth = match (none, full, few) {
            (true, ..) => Depth::None,
            (_, true, _) => Depth::Full,
            (.., true) => Depth::Few,
            _ => Depth::Indexed,
        };
        // Terminals that say so write foreground;background, white being 7 or 15.
        let background = variable("COLORFGBG").and_then(|value| value.rsplit(';').next().map(str::to_string));
        let dark = !background.is_some_and(|colour| colour == "7" || colour == "15");
        Self { depth, dark }
    }

    fn colour(self, rgb: u32) -> Color {
        let [_, red, green, blue] = rgb.to_be_bytes();
        match self.depth {
            Depth::None | Depth::Few => Color::Reset,
            Depth::Indexed => Color::Indexed(nearest(red, green, blue)),
            Depth::Full => Color::Rgb(red, green, blue),
        }
    }

    /// Of the series with this number; again after seven or eight.
    pub fn series(self, number: usize) -> Color {
        if self.depth == Depth::Few {
            return if self.dark { FEW_DARK } else { FEW_LIGHT }[number % FEW_DARK.len()];
        }
        self.colour(if self.dark { DARK } else { LIGHT }[number % DARK.len()])
    }

    /// Whether shades are to stand for heat: there are not as many colours.
    pub fn is_shaded(self) -> bool {
        matches!(self.depth, Depth::None | Depth::Few)
    }

    /// From 0 to 1.
    pub fn heat(self, part: f64) -> Color {
        let stops = if self.dark { DARK_HEAT } else { LIGHT_HEAT };
        // NaN becomes 0.
        let at = part.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let (low, rest) = (at as usize, at.fract());
        self.colour(mix(stops[low], stops[(low + 1).min(stops.len() - 1)], rest))
    }

    /// What stands for heat where there are no colours.
    pub fn shade(part: f64) -> char {
        SHADES[((part.clamp(0.0, 1.0) * 4.0).ceil() as usize).min(4)]
    }

    /// What an area is filled with where there are no colours.
    pub fn fill(number: usize) -> char {
        ['█', '░', '▓', '▒'][number % 4]
    }

    /// Labels of axes, hints.
    pub fn faint(self) -> Style {
        match self.depth {
            Depth::None | Depth::Few => Style::new().add_modifier(Modifier::DIM),
            _ => Style::new().fg(self.colour(if self.dark { 0x8a8f98 } else { 0x6a6f78 })),
        }
    }

    /// Lines of a grid.
    pub fn grid(self) -> Style {
        match self.depth {
            Depth::None | Depth::Few => Style::new().add_modifier(Modifier::DIM),
            _ => Style::new().fg(self.colour(if self.dark { 0x3a3f48 } else { 0xd0d4da })),
        }
    }

    /// What is chosen.
    pub fn accent(self) -> Style {
        Style::new().fg(self.series(0)).add_modifier(Modifier::BOLD)
    }

    pub fn wrong(self) -> Style {
        match self.depth {
            Depth::None => Style::new().add_modifier(Modifier::BOLD),
            Depth::Few => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            _ => Style::new().fg(self.colour(if self.dark { 0xef869e } else { 0xa02030 })),
        }
    }

    /// Of the greatest values that a line's means hide.
    pub fn weak(self, number: usize) -> Style {
        if self.is_shaded() {
            return Style::new().fg(self.series(number)).add_modifier(Modifier::DIM);
        }
        let (colours, background) = if self.dark { (DARK, 0x15181d) } else { (LIGHT, 0xffffff) };
        Style::new().fg(self.colour(mix(colours[number % colours.len()], background, 0.55)))
    }
}

/// So much of the second colour in the first.
fn mix(from: u32, to: u32, part: f64) -> u32 {
    let channel = |shift: u32| {
        let (a, b) = (f64::from(from >> shift & 0xff), f64::from(to >> shift & 0xff));
        ((a + (b - a) * part).round() as u32) << shift
    };
    channel(16) | channel(8) | channel(0)
}

/// The nearest of the 6×6×6 colours and 24 greys.
fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let level = |value: u8| match value {
        0..48 => 0,
        48..115 => 1,
        _ => (value - 35) / 40,
    };
    let value = |level: u8| if level == 0 { 0 } else { 55 + 40 * i32::from(level) };
    let distance = |r: i32, g: i32, b: i32| {
        let square = |a: u8, b: i32| (i32::from(a) - b).pow(2);
        square(red, r) + square(green, g) + square(blue, b)
    };
    let (r, g, b) = (level(red), level(green), level(blue));
    let mean = (i32::from(red) + i32::from(green) + i32::from(blue)) / 3;
    let grey = ((mean - 3) / 10).clamp(0, 23);
    let of_grey = 8 + 10 * grey;
    if distance(of_grey, of_grey, of_grey) < distance(value(r), value(g), value(b)) {
        return 232 + grey as u8;
    }
    16 + 36 * r + 6 * g + b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(variables: &[(&str, &str)]) -> Theme {
        Theme::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn the_environment_says_which_colours_there_are() {
        assert_eq!(theme(&[]).depth, Depth::Indexed);
        assert_eq!(theme(&[("COLORTERM", "truecolor")]).depth, Depth::Full);
        assert_eq!(theme(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]).depth, Depth::None);
        assert_eq!(theme(&[("NO_COLOR", "")]).depth, Depth::Indexed);
        for term in ["linux", "xterm-16color", "ansi"] {
            assert_eq!(theme(&[("TERM", term)]).depth, Depth::Few, "{term}");
        }
        for term in ["vt220", "vt100", "dumb"] {
            assert_eq!(theme(&[("TERM", term)]).depth, Depth::None, "{term}");
        }
        assert_eq!(theme(&[("TERM", "xterm-256color")]).depth, Depth::Indexed);
        assert_eq!(theme(&[("TERM", "linux")]).series(8), Color::Red);
        assert!(theme(&[]).dark && theme(&[("COLORFGBG", "15;0")]).dark);
        assert!(!theme(&[("COLORFGBG", "0;15")]).dark);
        assert_eq!(theme(&[("NO_COLOR", "1")]).series(3), Color::Reset);
    }

    #[test]
    fn every_heat_is_a_colour() {
        let theme = theme(&[("COLORTERM", "24bit")]);
        for part in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 0.3, 1.0, 7.0, f64::INFINITY] {
            theme.heat(part);
            Theme::shade(part);
        }
        assert_eq!(theme.heat(0.0), Color::Rgb(0x1a, 0x1d, 0x2c));
        assert_eq!(theme.heat(1.0), Color::Rgb(0xff, 0xf4, 0xb0));
        assert_eq!(nearest(255, 255, 255), 231);
        assert_eq!(nearest(0, 0, 0), 16);
        assert_eq!(nearest(128, 128, 128), 244);
    }
}
