//! What is generated from `src/cli.rs` and checked in, `completions/` and section 1 of `man/`, is
//! what the code says. `DDGATE_BLESS=1 cargo test --test generated` rewrites it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use ddgate::cli::Cli;

#[test]
fn completions_are_what_the_code_says() {
    let shells = [
        (Shell::Bash, "ddgate.bash"),
        (Shell::Zsh, "_ddgate"),
        (Shell::Fish, "ddgate.fish"),
        (Shell::Elvish, "ddgate.elv"),
        (Shell::PowerShell, "_ddgate.ps1"),
    ];
    let files = shells.into_iter().map(|(shell, name)| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::visible_command(), "ddgate", &mut script);
        (name.to_owned(), String::from_utf8(script).unwrap())
    });
    hold_equal("completions", files.collect(), |_| true);
}

#[test]
fn man_pages_are_what_the_code_says() {
    let mut root = Cli::command();
    root.build();
    let mut pages = BTreeMap::new();
    add_pages(&root, &mut pages);
    // Sections 5 and up are written by hand.
    hold_equal("man", pages, |name| name.ends_with(".1"));
}

/// Compares a directory with what it should hold, or rewrites it. `is_ours` says which of the
/// files there are generated.
fn hold_equal(directory: &str, wanted: BTreeMap<String, String>, is_ours: fn(&str) -> bool) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let bless = std::env::var_os("DDGATE_BLESS").is_some_and(|value| value == "1");
    let mut stale = Vec::new();
    for (name, text) in &wanted {
        let path = directory.join(name);
        // Git may have checked the file out with the line ends of Windows.
        let held = fs::read_to_string(&path).unwrap_or_default();
        if held.replace("\r\n", "\n") == *text {
            continue;
        }
        if bless {
            fs::create_dir_all(&directory).unwrap();
            fs::write(&path, text).unwrap();
        } else {
            stale.push(path);
        }
    }
    for path in files_in(&directory) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !is_ours(&name) || wanted.contains_key(&name) {
            continue;
        }
        if bless {
            fs::remove_file(&path).unwrap();
        } else {
            stale.push(path);
        }
    }
    assert!(
        stale.is_empty(),
        "not what the code says (DDGATE_BLESS=1 rewrites): {stale:#?}"
    );
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn add_pages(command: &clap::Command, pages: &mut BTreeMap<String, String>) {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.for_each(|verb| add_pages(verb, pages));
    let man = Man::new(command.clone())
        .source(concat!("ddgate ", env!("CARGO_PKG_VERSION")))
        .manual("ddgate");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        man.render_options_section(&mut page).unwrap();
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page).unwrap();
    }
    let after = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    paragraphs(&after).to_writer(&mut page).unwrap();
    see_also(command).to_writer(&mut page).unwrap();
    pages.insert(man.get_filename(), String::from_utf8(page).unwrap());
}

/// Makes a section of every paragraph `Title:` and indented lines.
fn paragraphs(text: &str) -> Roff {
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let (title, lines) = paragraph.split_once('\n').unwrap();
        let title = title.strip_suffix(':').unwrap().replace('`', "");
        roff.control("SH", [title.to_uppercase().as_str()]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap())]);
        }
        roff.control("fi", []);
    }
    roff
}

fn see_also(command: &clap::Command) -> Roff {
    let own = command.get_display_name().unwrap_or("ddgate");
    let mut others = vec!["ddgate(1)".to_owned()];
    for verb in Cli::command().get_subcommands() {
        if !verb.is_hide_set() {
            others.push(format!("ddgate-{}(1)", verb.get_name()));
        }
    }
    others.retain(|other| *other != format!("{own}(1)"));
    if ["ddgate", "ddgate-export", "ddgate-prove", "ddgate-verify"].contains(&own) {
        others.push("ddgate-log(5)".to_owned());
    }
    if own == "ddgate-run" {
        others.push("ddgate-ci(5)".to_owned());
    }
    if ["ddgate-run", "ddgate-login", "ddgate-verify"].contains(&own) {
        others.push("ddgate-lapse(5)".to_owned());
    }
    if own == "ddgate-mcp" {
        others.push("ddgate-mcp(5)".to_owned());
    }
    if ["ddgate", "ddgate-doctor", "ddgate-keys", "ddgate-run"].contains(&own) {
        others.push("ddgate-identity(5)".to_owned());
    }
    if ["ddgate", "ddgate-login"].contains(&own) {
        others.push("ddgate-saml(7)".to_owned());
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(others.join(", "))]);
    roff
}
