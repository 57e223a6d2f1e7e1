//! Files of lines that say `name value`: /proc/meminfo and /proc/vmstat.

use rezolus_plugin_api::{Context, ProcFile, Series};

/// A line of the file and the series its number goes to. Lines that name the
/// same series are added up.
pub type Field = (&'static str, &'static str);

/// A file and those of its lines that are wanted.
pub struct Fields {
    file: ProcFile,
    table: &'static [Field],
    series: Vec<Series>,
    /// Parallel to `table`: which of `series` the line belongs to.
    targets: Vec<usize>,
    layout: Layout,
    /// Parallel to `series`.
    sums: Vec<Option<u64>>,
}

impl Fields {
    /// Opens the file and finds the series of every line in the table.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the manifest lacks a series.
    pub fn open(path: &'static str, table: &'static [Field], context: &Context<'_>) -> Result<Self, String> {
        let mut names: Vec<&str> = Vec::new();
        let mut targets = Vec::with_capacity(table.len());
        for (_, id) in table {
            let target = names.iter().position(|name| name == id).unwrap_or_else(|| {
                names.push(id);
                names.len() - 1
            });
            targets.push(target);
        }
        let series: Vec<Series> = names.iter().map(|id| context.series(id)).collect::<Result<_, _>>()?;
        let mut file = ProcFile::open(path)?;
        let layout = Layout::of(file.read()?, table);
        let sums = vec![None; series.len()];
        Ok(Self { file, table, series, targets, layout, sums })
    }

    /// Reads the file; yields a number for every series that it has lines for.
    /// Others are left out: what the kernel does not count is absent, not 0.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<impl Iterator<Item = (Series, u64)>, String> {
        let text = self.file.read()?;
        if !self.layout.decode(text, self.table, &self.targets, &mut self.sums) {
            // The kernel has never been seen to reorder its lines.
            self.layout = Layout::of(text, self.table);
            self.layout.decode(text, self.table, &self.targets, &mut self.sums);
        }
        let sums = self.sums.iter().copied();
        Ok(self.series.iter().copied().zip(sums).filter_map(|(series, sum)| Some((series, sum?))))
    }
}

/// The entries of a table that a file has, in the order of its lines. So one
/// pass with one comparison per line finds them all.
struct Layout(Vec<usize>);

impl Layout {
    fn of(text: &[u8], table: &[Field]) -> Self {
        let lines = text.split(|&byte| byte == b'\n');
        Self(
            lines
                .filter_map(|line| table.iter().position(|(name, _)| value_of(line, name).is_some()))
                .collect(),
        )
    }

    /// Adds up the numbers; `false` if the lines are not the ones expected.
    fn decode(&self, text: &[u8], table: &[Field], targets: &[usize], sums: &mut [Option<u64>]) -> bool {
        sums.fill(None);
        let mut wanted = self.0.iter().copied();
        let mut next = wanted.next();
        for line in text.split(|&byte| byte == b'\n') {
            let Some(entry) = next else { break };
            if let Some(value) = value_of(line, table[entry].0) {
                let sum = &mut sums[targets[entry]];
                *sum = Some(sum.unwrap_or(0).wrapping_add(value));
                next = wanted.next();
            }
        }
        next.is_none()
    }
}

/// The number of a line with this name, in bytes where the line says `kB`.
fn value_of(line: &[u8], name: &str) -> Option<u64> {
    let rest = line.strip_prefix(name.as_bytes())?;
    let rest = rest.strip_prefix(b":").or_else(|| rest.starts_with(b" ").then_some(rest))?;
    let rest = rest.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let mut value = 0u64;
    for digit in &rest[..digits] {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
    }
    match rest[digits..].trim_ascii() {
        b"" => Some(value),
        b"kB" => Some(value.wrapping_mul(1024)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
