//! What libbpf says while it loads, kept to explain failures.

use std::sync::Mutex;

use libbpf_rs::{PrintLevel, set_print};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Collects libbpf's messages while `body` runs. One at a time: libbpf has a
/// single print hook for the process.
pub fn collect<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    lines().clear();
    set_print(Some((PrintLevel::Warn, keep)));
    let result = body();
    let said = std::mem::take(&mut *lines());
    for line in &said {
        tracing::trace!("libbpf: {}", line.trim_end());
    }
    (result, said)
}

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn keep(_: PrintLevel, line: String) {
    lines().push(line);
}

/// The program that libbpf names as the one that could not be loaded.
pub fn culprit(said: &[String]) -> Option<String> {
    said.iter().rev().find_map(|line| {
        let (name, _) = line.split_once("prog '")?.1.split_once('\'')?;
        Some(name.to_string())
    })
}

/// Why a program could not be loaded, in a sentence.
pub fn reason(said: &[String], program: &str) -> String {
    let marker = format!("prog '{program}': ");
    let about: Vec<&str> = said
        .iter()
        .filter_map(|line| Some(line.split_once(&marker)?.1.trim()))
        .filter(|line| !line.starts_with("-- ") && !line.starts_with("failed to load: "))
        .collect();
    let first = about.first().copied().unwrap_or("the kernel refused it");
    // The verifier's verdict is the last line of its log that is not a summary.
    let verdict = said
        .iter()
        .find(|line| line.contains("BEGIN PROG LOAD LOG"))
        .and_then(|log| {
            log.lines().rfind(|line| {
                !line.starts_with("processed ") && !line.contains("PROG LOAD LOG") && !line.trim().is_empty()
            })
        })
        .map(str::trim);
    let text = match verdict {
        Some(verdict) => format!("{first}; verifier: {verdict}"),
        None => first.to_string(),
    };
    text.replace("BPF program load failed: ", "")
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}

/// Whether a [`reason`] is the verifier's objection to what a program does. A
/// function the kernel does not have is none; that is also how libbpf marks
/// what CO-RE found missing.
pub fn blames_program(reason: &str) -> bool {
    reason.split_once("verifier: ").is_some_and(|(_, verdict)| {
        !["invalid func", "unknown func", "<invalid CO-RE relocation>"]
            .iter()
            .any(|mark| verdict.contains(mark))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_program_and_verdict() {
        let said = [
            "libbpf: prog 'bad': BPF program load failed: Permission denied\n".to_string(),
            "libbpf: prog 'bad': -- BEGIN PROG LOAD LOG --\n0: R1=ctx() R10=fp0\nR0 !read_ok\nprocessed 2 insns\n-- END PROG LOAD LOG --\n".to_string(),
            "libbpf: prog 'bad': failed to load: -EACCES\n".to_string(),
        ];
        assert_eq!(culprit(&said).as_deref(), Some("bad"));
        assert_eq!(reason(&said, "bad"), "Permission denied; verifier: R0 !read_ok");
        assert!(blames_program(&reason(&said, "bad")));
        assert!(!blames_program("-EINVAL; verifier: invalid func unknown#195896080"));
        assert!(!blames_program("attach: Operation not permitted"));
    }

    #[test]
    fn a_missing_tracepoint_is_said_as_libbpf_says_it() {
        let said =
            ["libbpf: prog 'x': failed to find kernel BTF type ID of 'btf_trace_none': -ESRCH\n".to_string()];
        assert_eq!(reason(&said, "x"), "failed to find kernel BTF type ID of 'btf_trace_none': -ESRCH");
    }
}
