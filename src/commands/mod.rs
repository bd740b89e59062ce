//! From a verb to what is done, and all the words: messages, hints, and how commands are spelled.

mod base;
mod blocked;
mod complete;
mod completions;
mod diff;
mod export;
mod fetch;
mod line;
mod log;
mod prepare;
mod pull;
mod pulled;
mod refused;
mod replaced;
mod report;
mod rev;
mod send;
mod session;
mod setup;
mod several;
mod status;
mod taking;
mod undo;
mod vm;
mod voice;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use crate::cli::{Cli, Command, Global};
use crate::error::{Error, Kind, Result, Suggestion};
use crate::guest::Guest;
use crate::host::{self, Repo};
use crate::reporter::Reporter;
use crate::settings::{self, Flags, Settings};
use crate::text;
use crate::ui::Ui;
use crate::vm::Vm;

use line::Line;
use voice::Voice;

/// What every command is given.
pub struct App {
    settings: Settings,
    voice: Arc<Voice>,
}

impl App {
    /// Reads the settings of a run; until they are known, it speaks as `voice`.
    fn new(voice: &Voice, flags: Flags) -> Result<App> {
        let early: Arc<dyn Reporter> = Arc::new(Voice {
            ui: voice.ui.clone(),
            line: voice.line.clone(),
            json: voice.json,
            asking: Mutex::default(),
        });
        let typed = flags.dir.is_some();
        let settings = Settings::load(flags, &early)?;
        let line = match settings.dir() {
            // The workspace that 'jj -R' named.
            Some(dir) if !typed => voice.line.clone().chosen(dir),
            _ => voice.line.clone(),
        };
        let ui = voice.ui.clone().with_color(settings.color());
        Ok(App { settings, voice: Arc::new(Voice { ui, line, json: voice.json, asking: Mutex::default() }) })
    }

    /// Returns the terminal.
    fn ui(&self) -> &Ui {
        &self.voice.ui
    }

    /// Returns the command line that was typed.
    fn line(&self) -> &Line {
        &self.voice.line
    }

    /// Returns what the rooms below report to.
    fn reporter(&self) -> Arc<dyn Reporter> {
        self.voice.clone()
    }

    /// Returns a command of git's on a repository, as a user types it.
    fn git(&self, repo: &Repo, words: &[&str]) -> String {
        match repo.hidden_git_dir() {
            Some(git_dir) => [
                vec!["git".into(), format!("--git-dir={}", text::shell_word(git_dir))],
                words.iter().map(text::shell_word).collect(),
            ]
            .concat()
            .join(" "),
            None => self.line().git(words),
        }
    }

    /// Says what may be done next; not with `--quiet`.
    fn hint(&self, command: String, purpose: &str) {
        self.ui().hint(&Suggestion { command, purpose: purpose.to_owned() });
    }

    /// Says that something failed, and whether git is just too old for it; returns the exit code.
    fn fail(&self, error: Error) -> ExitCode {
        let may_be_git = matches!(error.kind(), Kind::Failed | Kind::Bug);
        self.voice.fail(&if may_be_git { host::or_too_old(error, &self.reporter()) } else { error })
    }

    /// Resolves a guest's name, with the workspace that was prepared from here, if one was.
    fn vm(&self, name: &str, default_path: Option<&str>) -> Result<Vm> {
        let records = self.repo().ok().map(|repo| repo.records(name)).transpose()?;
        let path = records.and_then(|records| records.path);
        self.settings.vm(name, path.as_deref(), default_path)
    }

    /// Opens the repository that the command works in.
    fn repo(&self) -> Result<Repo> {
        Ok(Repo::open(self.settings.dir(), &self.reporter())?.with_core(self.settings.core()))
    }

    /// Connects to a guest.
    fn connect(&self, vm: &Vm) -> Result<Guest> {
        Guest::connect(vm, &self.reporter()).map_err(|refused| refused::error(refused).with_vm(&vm.name))
    }
}

/// Runs the command that was typed, as these words after the program; says what failed, and returns the exit code.
pub fn run(cli: Cli, words: Vec<OsString>) -> ExitCode {
    let Global { quiet, verbose, color, .. } = cli.global;
    // Reading the settings may have something to say, too.
    let ui = Ui::new(quiet, verbose, color.unwrap_or_default().into());
    let voice = Voice { ui, line: Line::new(words, &cli.global), json: cli.command.json(), asking: Mutex::default() };
    let mut flags = Flags {
        dir: cli.global.dir,
        ssh_config: cli.global.ssh_config,
        color: color.map(Into::into),
        via_jj: cli.global.via_jj,
    };
    let app = match settings::go_to_directory(&mut flags).and_then(|()| App::new(&voice, flags)) {
        Ok(app) => app,
        Err(error) => return voice.fail(&error),
    };
    if !matches!(cli.command, Command::Complete(_)) {
        warn_of_unknown_keys(&app);
    }
    dispatch(&cli.command, &app).unwrap_or_else(|error| app.fail(error))
}

/// Says that the command line is wrong, in JSON too where it asks for that.
pub fn usage(answer: &clap::Error, words: &[OsString]) -> ExitCode {
    let code = Ui::answer(answer);
    let options = words.iter().take_while(|word| *word != "--");
    if answer.use_stderr() && options.into_iter().any(|word| word == "--json") {
        let ui = Ui::new(true, 0, crate::ui::Color::Never);
        let text = answer.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = lines.next().unwrap_or_default().trim_end_matches(':');
        let error = Error::usage(message.strip_prefix("error: ").unwrap_or(message));
        // How the command is called, and where to read on, is for people.
        let error = lines
            .take_while(|line| !line.starts_with("Usage:"))
            .filter(|line| !line.contains("to pass '"))
            .fold(error, Error::detail);
        ui.last_word(&format!("{}\n", voice::failure(&error, &[], serde_json::Map::new())));
    }
    code
}

fn dispatch(command: &Command, app: &App) -> Result<ExitCode> {
    let done = match command {
        Command::Session(args) => return session::run(args, app),
        Command::Fetch(args) => return fetch::run(args, app),
        Command::Diff(args) => return diff::run(args, app),
        Command::Pull(args) => return pull::run(args, app),
        Command::Status(args) => return status::run(args, app),
        Command::Undo(args) => undo::run(args, app),
        Command::Log(args) => log::run(args, app),
        Command::Vm(args) => return vm::run(args, app),
        Command::Prepare(args) => prepare::run(args, app),
        Command::Export(args) => export::run(args, app),
        Command::Send(args) => send::run(args, app),
        Command::Rev(args) => rev::run(args, app),
        Command::Completions(args) => completions::run(args, app),
        Command::Setup(args) => setup::run(args, app),
        Command::Complete(args) => complete::run(args, app),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn warn_of_unknown_keys(app: &App) {
    for unknown in app.settings.unknown_keys() {
        let key = |key: &str| text::path(key.as_bytes());
        let meant = unknown.meant.map(|meant| format!("; did you mean {}?", key(&meant))).unwrap_or_default();
        app.ui().warn(&format!("unknown setting {} in the git configuration{meant}", key(&unknown.key)));
    }
}
