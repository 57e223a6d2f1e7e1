//! Names of arm64 cores. Their kernels print numbers: who designed the core, and
//! which of its designs it is (fields of the register MIDR_EL1).

/// A design's number and name.
type Part = (u32, &'static str);

/// Implementer, its name, and its parts, as far as they are found in servers and
/// in machines that people develop on.
const IMPLEMENTERS: &[(u32, &str, &[Part])] = &[
    (
        0x41,
        "ARM",
        &[
            (0xd03, "Cortex-A53"),
            (0xd04, "Cortex-A35"),
            (0xd05, "Cortex-A55"),
            (0xd07, "Cortex-A57"),
            (0xd08, "Cortex-A72"),
            (0xd09, "Cortex-A73"),
            (0xd0a, "Cortex-A75"),
            (0xd0b, "Cortex-A76"),
            (0xd0c, "Neoverse-N1"),
            (0xd0d, "Cortex-A77"),
            (0xd40, "Neoverse-V1"),
            (0xd41, "Cortex-A78"),
            (0xd42, "Cortex-A78AE"),
            (0xd44, "Cortex-X1"),
            (0xd46, "Cortex-A510"),
            (0xd47, "Cortex-A710"),
            (0xd48, "Cortex-X2"),
            (0xd49, "Neoverse-N2"),
            (0xd4a, "Neoverse-E1"),
            (0xd4b, "Cortex-A78C"),
            (0xd4d, "Cortex-A715"),
            (0xd4e, "Cortex-X3"),
            (0xd4f, "Neoverse-V2"),
            (0xd80, "Cortex-A520"),
            (0xd81, "Cortex-A720"),
            (0xd82, "Cortex-X4"),
            (0xd83, "Neoverse-V3AE"),
            (0xd84, "Neoverse-V3"),
            (0xd85, "Cortex-X925"),
            (0xd87, "Cortex-A725"),
            (0xd8e, "Neoverse-N3"),
        ],
    ),
    (0x42, "Broadcom", &[(0x516, "ThunderX2")]),
    (0x43, "Cavium", &[(0x0a1, "ThunderX"), (0x0af, "ThunderX2")]),
    (0x46, "Fujitsu", &[(0x001, "A64FX")]),
    (0x48, "HiSilicon", &[(0xd01, "Kunpeng-920")]),
    (0x4e, "NVIDIA", &[(0x003, "Denver 2"), (0x004, "Carmel")]),
    (0x50, "APM", &[(0x000, "X-Gene")]),
    (0x51, "Qualcomm", &[(0x001, "Oryon"), (0xc00, "Falkor")]),
    (0x61, "Apple", &[]),
    (0x6d, "Microsoft", &[(0xd49, "Azure Cobalt 100")]),
    (0xc0, "Ampere", &[(0xac3, "Ampere-1"), (0xac4, "Ampere-1a")]),
];

/// The kinds of cores in a machine, in the order in which they appear.
#[derive(Default)]
pub struct Cores {
    implementer: Option<u32>,
    kinds: Vec<(u32, u32)>,
}

impl Cores {
    /// The kernel prints the implementer before the part.
    pub fn implementer(&mut self, value: &str) {
        self.implementer = number(value);
    }

    pub fn part(&mut self, value: &str) {
        let (Some(implementer), Some(part)) = (self.implementer, number(value)) else {
            return;
        };
        if !self.kinds.contains(&(implementer, part)) {
            self.kinds.push((implementer, part));
        }
    }

    /// `Cortex-A76`, or `Cortex-A55 + Cortex-A76` where cores differ.
    pub fn names(&self) -> Option<String> {
        let names: Vec<String> = self.kinds.iter().map(|&(by, part)| name(by, part)).collect();
        (!names.is_empty()).then(|| names.join(" + "))
    }

    pub fn vendor(&self) -> Option<String> {
        let implementer = self.implementer?;
        let known = IMPLEMENTERS.iter().find(|known| known.0 == implementer);
        Some(known.map_or_else(|| format!("implementer {implementer:#04x}"), |known| known.1.to_owned()))
    }
}

fn name(implementer: u32, part: u32) -> String {
    let known = IMPLEMENTERS.iter().find(|known| known.0 == implementer);
    match known.and_then(|known| known.2.iter().find(|known| known.0 == part)) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("implementer {implementer:#04x} part {part:#05x}"),
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
