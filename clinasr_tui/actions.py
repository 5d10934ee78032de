"""The one table of actions: keys, footer, help screen and command palette are all made from it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Action:
    """Something the operator can do with a key.

    `id` is the Textual action (`show('gate')`), `key` one or more Textual keys separated by commas,
    `label` the word in the footer, `help` one sentence. `screen` "" means everywhere; `footer` False
    keeps an action out of the footer line, never out of help and palette. `changes` marks what launches,
    ends, rents or writes something: not with --readonly.
    """

    id: str
    key: str
    label: str
    help: str
    category: str
    screen: str = ""
    footer: bool = True
    changes: bool = False


SCREENS: dict[str, str] = {
    "cycles": "Cycles",
    "manifest": "Manifest",
    "gate": "Gate",
    "box": "Box",
    "watch": "Watch",
    "leaderboard": "Leaderboard",
    "compare": "Compare",
    "deploy": "Deploy",
    "train": "Train",
    "evaluate": "Evaluate",
}
"""Screen ids and titles in the order of their number keys."""

_EVERYWHERE = (
    Action("show('cycles')", "1", "Cycles", "All cycles and the next thing to do.", "Screens"),
    Action("show('manifest')", "2", "Manifest", "The rows of a cycle and what pre-flight found.", "Screens"),
    Action("show('gate')", "3", "Gate", "May this cycle be fine-tuned, and why.", "Screens"),
    Action("show('box')", "4", "Box", "Rented boxes, what they cost, offers.", "Screens"),
    Action("show('watch')", "5", "Watch", "A fine-tuning run as it happens.", "Screens"),
    Action("show('leaderboard')", "6", "Leaderboard", "One cycle's figures in five sections.", "Screens"),
    Action("show('compare')", "7", "Compare", "Two cycles side by side and the decision.", "Screens"),
    Action("show('deploy')", "8", "Deploy", "What makes a service of the tuned model.", "Screens"),
    Action("show('train')", "9", "Train", "Set up a run and launch it.", "Screens", footer=False),
    Action("show('evaluate')", "E", "Evaluate", "Let a model transcribe a cycle.", "Screens", footer=False),
    Action("help", "question_mark,f1", "help", "What every key of this screen does.", "Program"),
    Action("quit", "q", "quit", "Leave; a run that is being watched goes on by itself.", "Program"),
    Action("command_palette", "ctrl+p", "commands", "Find any action by its name.", "Program", footer=False),
    Action("toggle_theme", "ctrl+t", "theme", "Change between dark and light.", "Program", footer=False),
)

_CYCLES = (
    Action("select", "enter", "open", "Open the selected cycle or step.", "Cycles", "cycles"),
    Action("next_step", "n", "next step", "Go to the next thing to do.", "Cycles", "cycles"),
    Action("app.show('evaluate')", "e", "evaluate", "Let a model transcribe the cycle.", "Cycles", "cycles"),
    Action("app.focus_next", "tab", "table/steps", "Change between table and steps.", "Cycles", "cycles"),
)

_GATE = (
    Action("cycle(-1)", "left_square_bracket", "cycle before", "The cycle before.", "Gate", "gate"),
    Action("cycle(1)", "right_square_bracket", "next cycle", "The next cycle.", "Gate", "gate"),
    Action("app.show('train')", "t", "train", "Set up a run of this cycle and launch it.", "Gate", "gate"),
)

_TRAIN = (
    Action("select", "enter", "change", "Change the setting; on the last line, launch.", "Train", "train"),
    Action("change(-1)", "left", "value −", "The value before.", "Train", "train", False),
    Action("change(1)", "right", "value +", "The next value.", "Train", "train", False),
    Action("propose", "backspace", "proposed", "Take what is proposed.", "Train", "train", False),
    Action("look", "m", "look", "Look at the machine and propose for what it has.", "Train", "train"),
    Action("launch", "l", "launch", "Launch the run; Esc cancels.", "Train", "train", changes=True),
    Action("copy", "y", "copy", "Copy the exact command.", "Train", "train"),
    Action("back", "escape", "back", "Cancel a launch or pre-flight, or leave it.", "Train", "train"),
    Action("again", "r", "again", "Go on with what was stopped or failed.", "Train", "train", changes=True),
    Action("new_run", "n", "new run", "Set up a new run, nothing set by hand.", "Train", "train", False),
    Action("cycle(-1)", "left_square_bracket", "cycle −", "The cycle before.", "Train", "train", False),
    Action("cycle(1)", "right_square_bracket", "cycle +", "The next cycle.", "Train", "train", False),
    Action("app.focus_next", "tab", "next part", "To reasons, command and back.", "Train", "train", False),
)

_EVALUATE = (
    Action("select", "enter", "start/change", "Start; on a setting, change it.", "Evaluate", "evaluate"),
    Action("change(-1)", "left", "value −", "The value before.", "Evaluate", "evaluate", False),
    Action("change(1)", "right", "value +", "The next value.", "Evaluate", "evaluate", False),
    Action("propose", "backspace", "proposed", "Take what is proposed.", "Evaluate", "evaluate", False),
    Action("launch", "s", "start", "Start, or go on with it.", "Evaluate", "evaluate", changes=True),
    Action("back", "escape", "end/back", "End what goes on, after asking; leave it.", "Evaluate", "evaluate"),
    Action(
        "again", "r", "retry", "Failed rows, or what failed, again.", "Evaluate", "evaluate", changes=True
    ),
    Action("cycle(-1)", "left_square_bracket", "cycle −", "The cycle before.", "Evaluate", "evaluate"),
    Action("cycle(1)", "right_square_bracket", "cycle +", "The next cycle.", "Evaluate", "evaluate"),
    Action("app.focus_next", "tab", "next part", "To the reasons and back.", "Evaluate", "evaluate", False),
)

_BOX = (
    Action(
        "select",
        "enter",
        "cost",
        "What the offer costs; YES typed there rents it.",
        "Box",
        "box",
        changes=True,
    ),
    Action("kind(1)", "n", "kind", "Offers of the next kind of GPU.", "Box", "box"),
    Action("kind(-1)", "N", "kind before", "Offers of the kind before.", "Box", "box", False),
    Action("stoppable", "t", "stoppable", "Only types that can be stopped, or all.", "Box", "box"),
    Action("ask", "r", "ask again", "Ask for boxes and prices again.", "Box", "box"),
    Action("connect", "c", "connect", "Wait until the box answers; confirm its key.", "Box", "box"),
    Action("stop", "s", "stop", "Stop the box: only its disk bills on.", "Box", "box", changes=True),
    Action("start", "u", "start", "Start a stopped box, after the same question.", "Box", "box", False, True),
    Action(
        "delete", "D", "delete", "Delete the box with its disk: nothing bills on.", "Box", "box", changes=True
    ),
    Action("box(1)", "right_square_bracket", "next box", "Another rented box.", "Box", "box", False),
    Action("box(-1)", "left_square_bracket", "box before", "The rented box before.", "Box", "box", False),
)

_LEADERBOARD = (
    Action("select", "enter", "terms → rows", "Open the group or the term.", "Leaderboard", "leaderboard"),
    Action(
        "cycle(-1)", "left_square_bracket", "cycle before", "The cycle before.", "Leaderboard", "leaderboard"
    ),
    Action("cycle(1)", "right_square_bracket", "next cycle", "The next cycle.", "Leaderboard", "leaderboard"),
    Action(
        "app.focus_next", "tab", "groups/terms", "Change between the lists.", "Leaderboard", "leaderboard"
    ),
)

_COMPARE = (
    Action("select", "enter", "terms → rows", "Open the group or the term.", "Compare", "compare"),
    Action("rows('all')", "a", "all", "Figures of all rows.", "Compare", "compare"),
    Action("rows('held_out')", "h", "held-out", "Figures of rows not trained on.", "Compare", "compare"),
    Action("rows('trained')", "t", "trained", "Figures of rows trained on.", "Compare", "compare"),
    Action("cycle_a(-1)", "left_square_bracket", "A −", "Left side: the cycle before.", "Compare", "compare"),
    Action("cycle_a(1)", "right_square_bracket", "A +", "Left side: the next cycle.", "Compare", "compare"),
    Action("cycle_b(-1)", "left_curly_bracket", "B −", "Right side: the cycle before.", "Compare", "compare"),
    Action("cycle_b(1)", "right_curly_bracket", "B +", "Right side: the next cycle.", "Compare", "compare"),
)

_DEPLOY = (
    Action("copy", "y", "copy", "Copy the command, or the lines.", "Deploy", "deploy"),
    Action("write", "w", "write", "Write all of it as deploy.sh.", "Deploy", "deploy", changes=True),
    Action("ask('check')", "c", "check", "Ask a running NIM whether it is ready.", "Deploy", "deploy"),
    Action("ask('container')", "i", "image", "Another NIM image of the family.", "Deploy", "deploy"),
    Action("ask('model')", "o", "model", "Name a .nemo file elsewhere.", "Deploy", "deploy"),
    Action("model(1)", "right_square_bracket", "next model", "An older model.", "Deploy", "deploy"),
    Action("model(-1)", "left_square_bracket", "model before", "A newer model.", "Deploy", "deploy", False),
)

_DRILL = (
    Action("select", "enter", "rows", "Open the term's rows.", "Terms and rows", "terms"),
    Action("back", "escape", "back", "Back to the level above.", "Terms and rows", "terms"),
    Action("term(-1)", "left_square_bracket", "term before", "The term before.", "Terms and rows", "rows"),
    Action("term(1)", "right_square_bracket", "next term", "The next term.", "Terms and rows", "rows"),
    Action("back", "escape", "back", "Back to the level above.", "Terms and rows", "rows"),
)

# --- manifest ------------------------------------------------------------------------------------
_MANIFEST = (
    Action("filter", "slash", "filter", "Filter rows: words, or field:value.", "Rows", "manifest"),
    Action("facets", "f", "facets", "Counts of the fields; Enter filters by one.", "Rows", "manifest"),
    Action("sort", "s", "sort", "Sort by the next column, then by line again.", "Rows", "manifest"),
    Action("reverse", "S", "reverse", "Sort the other way round.", "Rows", "manifest", False),
    Action("problem(1)", "p", "next problem", "To the next row with a problem.", "Problems", "manifest"),
    Action(
        "problem(-1)",
        "P",
        "problem before",
        "To the troubled row before.",
        "Problems",
        "manifest",
        False,
    ),
    Action("troubled", "t", "only problems", "Only rows with problems, or all.", "Problems", "manifest"),
    Action("select", "enter", "row", "The whole row; again, or Esc, goes back.", "Rows", "manifest"),
    Action("back", "escape", "back", "Stop work, close what is open, clear the filter.", "Rows", "manifest"),
    Action("cycle(-1)", "left_square_bracket", "cycle before", "The cycle before.", "Cycle", "manifest"),
    Action("cycle(1)", "right_square_bracket", "next cycle", "The next cycle.", "Cycle", "manifest"),
)

# --- watch ---------------------------------------------------------------------------------------
_WATCH = (
    Action("alerts", "a", "alerts", "Every alert with what to do, or only the worst.", "Run", "watch"),
    Action("retry", "r", "retry", "Try the host again now.", "Run", "watch"),
    Action("end_run", "K", "end run", "End the run: it saves a checkpoint.", "Run", "watch", changes=True),
    Action("fetch", "F", "fetch", "Bring model and logs here, checked.", "Run", "watch", changes=True),
    Action("resume", "U", "resume", "Go on from its -last checkpoint.", "Run", "watch", changes=True),
    Action("switcher", "R", "runs", "Every run of the workspace and how it is.", "Run", "watch"),
    Action("toggle_follow", "space", "follow", "Follow the end of the log, or stay.", "Log", "watch"),
    Action("search", "slash", "search", "Look for a text or regular expression.", "Log", "watch"),
    Action("filter", "f", "filter", "Show only lines with a text; ! before it hides them.", "Log", "watch"),
    Action("find(1)", "n", "next", "The next line found.", "Log", "watch", False),
    Action("find(-1)", "N", "previous", "The line found before.", "Log", "watch", False),
    Action("next_error(1)", "x", "next error", "The next error in the log.", "Log", "watch"),
    Action("next_error(-1)", "X", "error before", "The error before.", "Log", "watch", False),
    Action("enlarge('log')", "z", "large log", "Give the log all the room, or back.", "Log", "watch"),
    Action("level('info')", "i", "info", "Show or hide information lines.", "Log", "watch", False),
    Action("level('warning')", "w", "warnings", "Show or hide warning lines.", "Log", "watch", False),
    Action("level('error')", "e", "errors", "Show or hide error lines.", "Log", "watch", False),
    Action("select_lines", "v", "select", "Select lines: move to make it longer.", "Log", "watch", False),
    Action("copy_lines", "y", "copy", "Copy the selected lines, or those in view.", "Log", "watch", False),
    Action(
        "save_lines",
        "s",
        "save",
        "Save the selected or all shown lines.",
        "Log",
        "watch",
        False,
        changes=True,
    ),
    Action("wrap", "W", "wrap", "Break long log lines, or cut them.", "Log", "watch", False),
    Action("side(-1)", "less_than_sign", "left", "Move long log lines to the left.", "Log", "watch", False),
    Action("side(1)", "greater_than_sign", "right", "Move long log lines right.", "Log", "watch", False),
    Action(
        "sample(-1)",
        "comma",
        "sample −",
        "The sample before: [x] wrong, [+x] added, [-] missing.",
        "Sample",
        "watch",
    ),
    Action("sample(1)", "full_stop", "sample +", "The next sample prediction.", "Sample", "watch"),
    Action("term(1)", "t", "term", "Samples of one term: how it was learned.", "Sample", "watch"),
    Action("term(-1)", "T", "term before", "Samples of the term before.", "Sample", "watch", False),
    Action(
        "enlarge('chart')",
        "Z",
        "large chart",
        "Give the chart all the room, or back.",
        "Chart",
        "watch",
        False,
    ),
    Action("log_scale", "l", "log scale", "Logarithmic or linear loss axis.", "Chart", "watch"),
    Action("smooth(-1)", "minus", "rougher", "Smooth the loss curve less.", "Chart", "watch", False),
    Action("smooth(1)", "plus,equals_sign", "smoother", "Smooth the curve more.", "Chart", "watch", False),
    Action("zoom(1)", "shift+up,asterisk", "zoom in", "Fewer steps, also by the wheel.", "Chart", "watch"),
    Action("zoom(-1)", "shift+down,underscore", "zoom out", "More steps.", "Chart", "watch", False),
    Action("pan(-1)", "shift+left", "pan −", "Earlier steps, also by dragging.", "Chart", "watch", False),
    Action("pan(1)", "shift+right", "pan +", "Later steps; at the end it follows.", "Chart", "watch", False),
    Action("show_all", "0", "whole run", "All steps again.", "Chart", "watch", False),
    Action("overlay", "o", "other runs", "Other runs' curves behind this one.", "Chart", "watch"),
    Action("cursor(-1)", "left", "cursor −", "Read out an earlier point.", "Chart", "watch", False),
    Action("cursor(1)", "right", "cursor +", "Read out a later point.", "Chart", "watch", False),
    Action(
        "back", "escape", "clear", "Leave selection, search, filter, then cursor.", "Chart", "watch", False
    ),
    Action("run(-1)", "left_square_bracket", "run −", "The run before.", "Run", "watch"),
    Action("run(1)", "right_square_bracket", "run +", "The next run.", "Run", "watch"),
    Action("app.notices", "b", "bell", "Call at the end: off, bell, desktop.", "Run", "watch", False),
)

# --- long work -----------------------------------------------------------------------------------
_LONG_WORK = (
    *(
        Action("stop", "escape", "stop", "Stop what is being computed.", "Long work", screen, False)
        for screen in ("cycles", "gate", "leaderboard", "compare")
    ),
    *(
        Action("start_again", "r", "start again", "Compute what was stopped.", "Long work", screen, False)
        for screen in ("cycles", "manifest", "gate", "leaderboard", "compare")
    ),
)

ACTIONS: tuple[Action, ...] = (
    *_EVERYWHERE,
    *_CYCLES,
    *_MANIFEST,
    *_GATE,
    *_TRAIN,
    *_EVALUATE,
    *_BOX,
    *_WATCH,
    *_LEADERBOARD,
    *_COMPARE,
    *_DEPLOY,
    *_DRILL,
    *_LONG_WORK,
)

_KEY_NAMES = {
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "slash": "/",
    "full_stop": ".",
    "comma": ",",
    "colon": ":",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "asterisk": "*",
    "underscore": "_",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "space": "Space",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "home": "Home",
    "end": "End",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "f1": "F1",
}


def key_names(key: str, *, only_first: bool = False) -> str:
    """A Textual key list as an operator reads it: `question_mark,f1` → `? F1`, `ctrl+t` → `^t`."""
    names = []
    for one in key.split(",")[: 1 if only_first else None]:
        name = one.strip()
        if name.startswith("shift+"):
            names.append("⇧" + _KEY_NAMES.get(name[6:], name[6:]))
        elif name.startswith("ctrl+"):
            names.append("^" + _KEY_NAMES.get(name[5:], name[5:]))
        else:
            names.append(_KEY_NAMES.get(name, name))
    return " ".join(names)


def changing(screen_id: str) -> frozenset[str]:
    """Names of a screen's actions that launch, end, rent or write something."""
    return frozenset(action.id.partition("(")[0] for action in actions_for(screen_id) if action.changes)


def actions_for(screen_id: str) -> tuple[Action, ...]:
    """The actions of one screen in table order; "" gives those that work everywhere."""
    return tuple(action for action in ACTIONS if action.screen == screen_id)


def bindings_for(screen_id: str) -> list[Binding]:
    """Textual bindings of one screen's actions; "" gives the app's."""
    return [
        Binding(action.key, action.id, action.label, show=action.footer, tooltip=action.help)
        for action in actions_for(screen_id)
    ]
