//! The commands of the program (`ops.md` 1.2).

/// The name of the program, as users type it.
pub const PROGRAM: &str = "argocd-image-updater";

/// A command word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Command {
    /// The daemon.
    Run,
    /// Only the webhook server.
    Webhook,
    /// Which tag one image would be updated to.
    Test,
    /// Renders a commit message.
    Template,
    /// The program against a fake world.
    Demo,
    /// What was built.
    Version,
    /// Scripts for shells.
    Completion,
    /// Help about a command.
    Help,
}

impl Command {
    /// Every command there is, in the order of the help text.
    const KNOWN: [Self; 8] = [
        Self::Run,
        Self::Webhook,
        Self::Test,
        Self::Template,
        Self::Demo,
        Self::Version,
        Self::Completion,
        Self::Help,
    ];

    /// All commands of this build, in the order of the help text.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::KNOWN
            .into_iter()
            .filter(|command| *command != Self::Demo || cfg!(feature = "demo"))
    }

    /// The command with this word, also where this build has to say that it lacks it.
    pub fn with_word(word: &str) -> Option<Self> {
        Self::KNOWN
            .into_iter()
            .find(|command| command.word() == word)
    }

    /// The word that selects the command.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Webhook => "webhook",
            Self::Test => "test",
            Self::Template => "template",
            Self::Demo => "demo",
            Self::Version => "version",
            Self::Completion => "completion",
            Self::Help => "help",
        }
    }

    /// What stands after the word in the usage line.
    pub(super) const fn operands(self) -> &'static str {
        match self {
            Self::Run | Self::Webhook | Self::Demo | Self::Version => "[flags]",
            Self::Test => "IMAGE [flags]",
            Self::Template => "[PATH]",
            Self::Completion => "{bash|zsh|fish|powershell} [flags]",
            Self::Help => "[command]",
        }
    }

    /// One line about the command.
    pub(super) const fn summary(self) -> &'static str {
        match self {
            Self::Run => "Watch Applications and keep their images up to date",
            Self::Webhook => "Serve only the webhook endpoints, without polling",
            Self::Test => "Show which tag an image would be updated to",
            Self::Template => "Render a commit message template with sample data",
            Self::Demo => "Run the updater against a fake cluster and registry on loopback",
            Self::Version => "Print what was built",
            Self::Completion => "Print a completion script for a shell",
            Self::Help => "Print help about a command",
        }
    }
}
