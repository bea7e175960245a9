//! Completion scripts for shells, made from the table.

use std::fmt::Write as _;

use super::command::{Command, PROGRAM};
use super::error::ArgsError;
use super::table;

/// A shell that a script can be made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

impl Shell {
    pub(super) fn with_word(word: &str) -> Result<Self, ArgsError> {
        match word {
            "bash" => Ok(Self::Bash),
            "zsh" => Ok(Self::Zsh),
            "fish" => Ok(Self::Fish),
            "powershell" => Ok(Self::Powershell),
            _ => Err(ArgsError::Refused(format!(
                "unknown shell {word:?}: completion takes bash, zsh, fish or powershell"
            ))),
        }
    }
}

/// The script that teaches `shell` the commands and flags of this program.
///
/// Bash and PowerShell show no descriptions either way.
pub(super) fn script(shell: Shell, with_descriptions: bool) -> String {
    let mut text = String::new();
    match shell {
        Shell::Bash => append_bash(&mut text),
        Shell::Zsh => append_zsh(&mut text, with_descriptions),
        Shell::Fish => append_fish(&mut text, with_descriptions),
        Shell::Powershell => append_powershell(&mut text),
    }
    text
}

fn append_bash(text: &mut String) {
    append(
        text,
        format_args!(
            "_argocd_image_updater() {{\n\
             \x20   local word words=\"{}\" command=\"\"\n\
             \x20   for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n\
             \x20       case \" $words \" in *\" $word \"*) command=\"$word\"; break ;; esac\n\
             \x20   done\n\
             \x20   case \"$command\" in\n",
            command_words()
        ),
    );
    for command in Command::all() {
        let words = match command {
            Command::Completion => format!("{} bash zsh fish powershell", flag_words(command)),
            Command::Help => command_words(),
            Command::Run
            | Command::Webhook
            | Command::Test
            | Command::Template
            | Command::Demo
            | Command::Version => flag_words(command),
        };
        append(
            text,
            format_args!("        {}) words=\"{words}\" ;;\n", command.word()),
        );
    }
    append(
        text,
        format_args!(
            "    esac\n\
             \x20   COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n\
             }}\n\
             complete -o default -F _argocd_image_updater {PROGRAM}\n"
        ),
    );
}

fn append_zsh(text: &mut String, with_descriptions: bool) {
    let item = |name: &str, help: &str| {
        let name = name.replace(':', "\\:");
        let item = if with_descriptions {
            format!("{name}:{help}")
        } else {
            name
        };
        format!(" '{}'", item.replace('\'', "'\\''"))
    };
    append(
        text,
        format_args!("#compdef {PROGRAM}\n_argocd_image_updater() {{\n"),
    );
    text.push_str("    local -a commands flags\n    commands=(");
    for command in Command::all() {
        text.push_str(&item(command.word(), command.summary()));
    }
    text.push_str(")\n    if (( CURRENT == 2 )); then\n");
    text.push_str("        _describe command commands\n        return\n    fi\n");
    text.push_str("    case \"$words[2]\" in\n");
    for command in Command::all() {
        append(text, format_args!("        {}) flags=(", command.word()));
        for flag in table::flags_of(command) {
            text.push_str(&item(&format!("--{}", flag.name), flag.help));
        }
        text.push_str(" ) ;;\n");
    }
    text.push_str("    esac\n    _describe flag flags || _files\n}\n");
    append(
        text,
        format_args!("compdef _argocd_image_updater {PROGRAM}\n"),
    );
}

fn append_fish(text: &mut String, with_descriptions: bool) {
    let description = |help: &str| {
        if with_descriptions {
            format!(" -d '{}'", help.replace('\\', "\\\\").replace('\'', "\\'"))
        } else {
            String::new()
        }
    };
    for command in Command::all() {
        let (word, described) = (command.word(), description(command.summary()));
        append(
            text,
            format_args!(
                "complete -c {PROGRAM} -n __fish_use_subcommand -f -a {word}{described}\n"
            ),
        );
        for flag in table::flags_of(command) {
            append(
                text,
                format_args!(
                    "complete -c {PROGRAM} -n '__fish_seen_subcommand_from {word}' -l {}{}\n",
                    flag.name,
                    description(flag.help)
                ),
            );
        }
    }
}

fn append_powershell(text: &mut String) {
    append(
        text,
        format_args!(
            "Register-ArgumentCompleter -Native -CommandName '{PROGRAM}' -ScriptBlock {{\n\
             \x20   param($word, $ast, $position)\n\
             \x20   $words = '{}'\n\
             \x20   switch ($ast.CommandElements[1].Value) {{\n",
            command_words()
        ),
    );
    for command in Command::all() {
        let flags = flag_words(command);
        append(
            text,
            format_args!("        '{}' {{ $words = '{flags}' }}\n", command.word()),
        );
    }
    text.push_str("    }\n    $words.Split(' ') | Where-Object { $_ -like \"$word*\" }\n}\n");
}

fn command_words() -> String {
    Command::all()
        .map(Command::word)
        .collect::<Vec<_>>()
        .join(" ")
}

fn flag_words(command: Command) -> String {
    let mut words: Vec<_> = table::flags_of(command)
        .map(|flag| format!("--{}", flag.name))
        .collect();
    words.push("--help".to_owned());
    words.join(" ")
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String succeeds");
}
