"""The command-line door: picks the command, owns standard error and the exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn

from clinasr_tui import __version__
from clinasr_tui.errors import ClinasrError, ExitCode
from clinasr_tui.text import visible


class Command(NamedTuple):
    """A command's module (with `add_arguments` and `run`) and its line in the help."""

    module: str
    help: str


COMMANDS = {
    "demo": Command("demo", "open the app on the bundled cycle, a recorded run streaming live over SSH"),
    "check": Command("check", "pre-flight a manifest before any money is spent"),
    "score": Command("score", "WER, CER, KER, SER of a cycle, in five sections"),
    "gate": Command("gate", "is fine-tuning the right next step?"),
    "split": Command("split", "train and validation manifests, as published"),
    "compare": Command("compare", "two cycles side by side, and what to do next"),
    "train": Command("train", "launch a cycle's fine-tuning run and detach"),
    "watch": Command("watch", "follow a run folder, here or on a host"),
    "cancel": Command("cancel", "end a run so that it can be resumed"),
    "fetch": Command("fetch", "bring a run's model and logs here, checked"),
    "eval": Command("eval", "transcribe with a model where NeMo is, score, compare, decide"),
    "deploy": Command("deploy", "hand a tuned model to a Riva NIM, or ask whether one is ready"),
    "doctor": Command("doctor", "is all there that training needs, here and on a host?"),
    "provision": Command("provision", "rent one GPU box, after YES was typed for its price"),
    "box": Command("box", "what is rented, what it has cost, and offers"),
    "stop": Command("stop", "stop a box: only its disk bills on"),
    "delete": Command("delete", "delete a box with its disk: nothing bills on"),
}
OPEN = Command("open", "open the app on a workspace (default: the current folder)")


class _Parser(argparse.ArgumentParser):
    """Argument errors are one line, with the exit code of bad usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.INPUT, f"{self.prog}: {visible(message)}. See {self.prog} --help\n")


def _overview() -> str:
    lines = ["commands:"]
    lines += [f"  {name:<9} {command.help}" for name, command in COMMANDS.items()]
    lines += [
        "",
        "clinasr-tui COMMAND --help explains a command.",
        "Exit codes: 0 yes/done, 1 the check says no, 2 bad input, 3 remote failure, 4 declined.",
    ]
    return "\n".join(lines)


def _parser(name: str | None) -> tuple[argparse.ArgumentParser, Command]:
    """The parser of one command; only that command's module is imported."""
    command = COMMANDS[name] if name else OPEN
    parser = _Parser(
        prog=f"clinasr-tui {name}" if name else "clinasr-tui",
        description=command.help if name else f"clinasr-tui {__version__}: {OPEN.help}.",
        epilog=None if name else _overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=None if name else "clinasr-tui [WORKSPACE | COMMAND …]",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    if name is None:
        parser.add_argument("--version", action="version", version=f"clinasr-tui {__version__}")
    import_module(f"clinasr_tui.commands.{command.module}").add_arguments(parser)
    return parser, command


def _complain(prog: str, line: str) -> None:
    sys.stderr.write(f"{prog}: {visible(line)}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments and arguments[0] in COMMANDS else None
    parser, command = _parser(name)
    args = parser.parse_args(arguments)
    try:
        code = import_module(f"clinasr_tui.commands.{command.module}").run(args)
        sys.stdout.flush()
    except ClinasrError as error:
        if args.debug:
            raise
        _complain(parser.prog, str(error))
        return int(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if args.debug:
            raise
        _complain(
            parser.prog,
            f"unexpected {type(error).__name__}: {error}. "
            "This is a defect of the program: run again with --debug and report it",
        )
        return int(ExitCode.REMOTE)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
