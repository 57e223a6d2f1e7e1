//! The diagnoses of the plugins in this tree, for recordings that carry none.

use std::sync::LazyLock;

use super::definition::{Checked, check};

const PLUGINS: [(&str, &str); 7] = [
    ("blockio", include_str!("../../../plugins/blockio/diagnoses.json")),
    ("cpu", include_str!("../../../plugins/cpu/diagnoses.json")),
    ("memory", include_str!("../../../plugins/memory/diagnoses.json")),
    ("network", include_str!("../../../plugins/network/diagnoses.json")),
    ("scheduler", include_str!("../../../plugins/scheduler/diagnoses.json")),
    ("syscall", include_str!("../../../plugins/syscall/diagnoses.json")),
    ("tcp", include_str!("../../../plugins/tcp/diagnoses.json")),
];

/// By plugin.
pub fn all() -> Vec<(&'static str, Checked)> {
    static ALL: LazyLock<Vec<(&str, Checked)>> = LazyLock::new(|| {
        let read = |text: &str| check(&serde_json::from_str(text).unwrap_or_default());
        PLUGINS.iter().map(|(plugin, text)| (*plugin, read(text))).collect()
    });
    ALL.clone()
}
