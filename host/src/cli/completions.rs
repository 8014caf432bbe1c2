//! `completions`: what a shell needs to complete this command's arguments.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::aot::{Shell, generate};

/// Print a script that lets a shell complete arguments
///
/// For bash: `hookwright completions bash > ~/.local/share/bash-completion/completions/hookwright`. For zsh: put it as
/// `_hookwright` into a folder of $fpath. For fish: into ~/.config/fish/completions/hookwright.fish.
#[derive(Debug, clap::Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(&script(self.shell))?;
        Ok(out.flush()?)
    }
}

/// Made in memory: the generator takes a reader that went away for a reason to panic.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut super::Cli::command(), "hookwright", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_learns_the_commands_and_their_arguments() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).expect("text");
            for word in ["endpoint", "completions", "allow-target", "transform"] {
                assert!(script.contains(word), "{word} for {shell}");
            }
        }
    }

    /// Where there is a bash, it says what it would offer.
    #[test]
    fn bash_completes() {
        let question = r#"
            COMP_WORDS=(hookwright endpoint a) COMP_CWORD=2
            _hookwright hookwright a endpoint
            echo "${COMPREPLY[@]}"
        "#;
        let child = Command::new("bash").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else { return };
        let mut input = script(Shell::Bash);
        input.extend_from_slice(question.as_bytes());
        child.stdin.take().expect("a pipe").write_all(&input).expect("to be read");
        let output = child.wait_with_output().expect("an end");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "add");
    }
}
