//! `tenancy man`: one manual page with every command.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Cli;

/// Returns the page as troff.
pub fn page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    below(&command, &mut page)?;
    Ok(page)
}

/// Adds a section for each subcommand, recursively.
fn below(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let commands = command.get_subcommands();
    for command in commands.filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        let name = command.get_bin_name().unwrap_or(command.get_name());
        page.extend_from_slice(format!(".SH {}\n", name.to_uppercase()).as_bytes());
        page.extend_from_slice(section(command)?.as_bytes());
        below(command, page)?;
    }
    Ok(())
}

/// Renders a subcommand without the global options.
fn section(command: &Command) -> io::Result<String> {
    let own = command.clone().mut_args(|arg| {
        let everywhere = arg.is_global_set() || arg.get_id() == "help";
        let hidden = everywhere || arg.is_hide_set();
        arg.hide(hidden)
    });
    let has_arguments = own.get_arguments().any(|arg| !arg.is_hide_set());
    let man = Man::new(own);
    let mut text = Vec::new();
    man.render_description_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    if has_arguments {
        man.render_options_section(&mut text)?;
    }
    man.render_extra_section(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let text = text.replace(".SH DESCRIPTION\n", "");
    Ok(text
        .replace(".SH EXTRA", ".SS EXAMPLE")
        .replace("\n.SH ", "\n.SS "))
}
