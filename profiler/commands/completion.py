"""`pidflame completion`: what makes a shell complete commands, options and processes."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from profiler.commands.usage import PROGRAM, Command, Example

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = (
    Example('eval "$(pidflame completion bash)"', "for this shell; in ~/.bashrc, for all that come later"),
    Example(
        "pidflame completion bash | sudo tee /etc/bash_completion.d/pidflame",
        "for everybody, and behind sudo, too",
    ),
    Example('eval "$(pidflame completion zsh)"', "in ~/.zshrc, below compinit"),
    Example("pidflame completion fish > ~/.config/fish/completions/pidflame.fish", "fish reads it by itself"),
)


@click.command(name="completion", cls=Command, examples=EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete pidflame's command lines with the Tab key."""
    completion = get_completion_class(shell)
    assert completion is not None, "click knows these shells"
    made = completion(ctx.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    # Not source(), which runs the shell to ask for its version.
    click.echo(made.source_template % made.source_vars())
