"""What runs in the student's sandbox: an IPython shell that runs cells and answers for the names in it.

It is started by `sandbox.Process` and spoken to by `judge`. Nothing it says is believed: it shares its process with the
student's code, so it is a convenience for honest notebooks, and `channel` and `plain` are the border.

A conversation is a request and a reply; during a call the other side may be asked to call one of its own
functions, which answers before the call does.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from course_utils.grading import plain
from course_utils.grading.channel import Channel, Gone
from course_utils.grading.ends import References, alarm
from course_utils.grading.errors import NotPlain

MOST_TEXT = 100_000  # characters of text kept from one cell
MOST_OUTPUTS = 40
MOST_IMAGE = 2 * 2**20  # bytes
RUN_OUT = "it took longer than {:g} seconds"


class TookTooLong(BaseException):
    """The time for one cell or call is over. Not an `Exception`, so that ``except Exception`` lets it pass."""


class Outputs:
    """What a cell shows, in order and bounded, in nbformat's form."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self._room = MOST_TEXT
        self._pictures = 0

    def _fits(self, text: str) -> str:
        if self._room <= 0:
            return ""
        kept = text[: self._room]
        self._room -= len(text)
        return kept if self._room > 0 else kept + "\n[... the rest is left out ...]\n"

    def stream(self, name: str, text: str) -> None:
        text = self._fits(text)
        if not text:
            return
        if self.kept and self.kept[-1].get("name") == name:
            self.kept[-1]["text"] += text
        elif len(self.kept) < MOST_OUTPUTS:
            self.kept.append({"output_type": "stream", "name": name, "text": text})

    def show(self, kind: str, data: dict[str, Any]) -> None:
        shown = {}
        if isinstance(data.get("text/plain"), str):
            shown["text/plain"] = self._fits(data["text/plain"])
        image = data.get("image/png")
        if isinstance(image, bytes):
            image = base64.b64encode(image).decode("ascii")
        if isinstance(image, str) and self._pictures + len(image) <= MOST_IMAGE:
            self._pictures += len(image)
            shown["image/png"] = image
        if shown and len(self.kept) < MOST_OUTPUTS:
            extra = {"execution_count": None} if kind == "execute_result" else {}
            self.kept.append({"output_type": kind, "data": shown, "metadata": {}, **extra})

    def error(self, name: str, value: str, lines: list[str]) -> None:
        lines = [self._fits(line) for line in lines]
        if len(self.kept) >= MOST_OUTPUTS:  # why a cell failed matters more than one more of what it showed
            self.kept.pop()
        self.kept.append({"output_type": "error", "ename": name, "evalue": value[:2000], "traceback": lines})


class _Writer:
    """What ``sys.stdout`` is while cells run."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, owner: Student, name: str) -> None:
        self._owner, self._name = owner, name

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._owner.outputs.stream(self._name, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1 if self._name == "stdout" else 2


class Student:
    """The shell with the notebook's names, and the answers to what the judge asks."""

    def __init__(self, channel: Channel, settings: dict[str, Any]) -> None:
        self.channel = channel
        self.limits = settings["limits"]
        self.outputs = Outputs()
        self.references = References()
        for module in settings["preload"]:
            with contextlib.suppress(ImportError):
                __import__(module)
        self._native = self._catch_native_output()
        sys.stdout, sys.stderr = _Writer(self, "stdout"), _Writer(self, "stderr")
        self.shell = self._make_shell()

    def _catch_native_output(self) -> int:
        """Send what is written past Python (C code, programs that are started) to a file; return its number."""
        folder = os.environ["TMPDIR"]
        file = os.open(os.path.join(folder, ".output"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        return file

    def _make_shell(self) -> Any:
        from IPython.core.displayhook import DisplayHook
        from IPython.core.displaypub import DisplayPublisher
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets import Type
        from traitlets.config import Config

        student = self

        class Hook(DisplayHook):
            def write_output_prompt(self) -> None:
                pass

            def write_format_data(self, format_dict: dict, md_dict: Any = None) -> None:
                student.outputs.show("execute_result", format_dict)

        class Publisher(DisplayPublisher):
            def publish(self, data: dict, *args: Any, **more: Any) -> None:
                student.outputs.show("display_data", data)

            def clear_output(self, wait: bool = False) -> None:
                pass

        class Shell(InteractiveShell):
            displayhook_class = Type(Hook)
            display_pub_class = Type(Publisher)

            def init_history(self) -> None:
                super().init_history()
                self.history_manager.enabled = False

            def _tee(self, channel: str) -> Any:
                """IPython would keep a second copy of all that is printed, without bound."""
                return contextlib.nullcontext()

            def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
                student.outputs.error(etype.__name__, str(evalue), [str(line) for line in stb])

            def enable_gui(self, gui: str | None = None) -> None:
                pass

        config = Config()
        config.HistoryManager.hist_file = ":memory:"
        config.InteractiveShell.colors = "nocolor"
        shell = Shell.instance(config=config)
        shell.display_formatter.active_types = ["text/plain", "image/png"]
        shell.user_ns["__name__"] = "__main__"
        with contextlib.suppress(Exception):  # matplotlib may be absent
            shell.run_line_magic("matplotlib", "inline")
        return shell

    def run(self, source: str, *, record: bool) -> tuple[bool, list[dict[str, Any]]]:
        """Run one cell; return whether it ended well, and what it showed."""
        self.outputs = Outputs()
        ended_well = False
        try:
            with self._within("cell_seconds"):
                ended_well = bool(self.shell.run_cell(source, store_history=False, silent=False).success)
        except BaseException as error:
            self.outputs.error(type(error).__name__, str(error), traceback.format_exception_only(error))
        self._take_native_output()
        return ended_well, self.outputs.kept if record else []

    def _take_native_output(self) -> None:
        with contextlib.suppress(OSError):
            text = os.pread(self._native, MOST_TEXT, 0).decode("utf-8", "replace")
            os.ftruncate(self._native, 0)
            self.outputs.stream("stdout", text)

    def _within(self, limit: str) -> contextlib.AbstractContextManager[None]:
        return alarm(self.limits[limit], TookTooLong(RUN_OUT.format(self.limits[limit])))

    def _encode(self, value: Any) -> bytes:
        from course_utils.grading import models

        return plain.encode(value, functions=self.references.number, models=models.pack)

    def _decode(self, frame: bytes) -> Any:
        from course_utils.grading import models

        return plain.decode(frame, functions=self._theirs, models=models.unpack)

    def _theirs(self, number: int) -> Callable:
        """A function of the judge's, to be called as if it were here."""

        def function(*args: Any, **kwargs: Any) -> Any:
            question = self._encode(("callback", number, args, kwargs))
            try:
                self.channel.send(question)
                frame = self.channel.receive()
            except BaseException:  # interrupted in the middle of a frame: nothing after it could be read
                os._exit(3)
            kind, *rest = self._decode(frame)
            if kind == "raised":
                raise RuntimeError(rest[0])
            return rest[0]

        return function

    def answer(self, request: tuple) -> tuple:
        """The reply to one request."""
        kind, *rest = request
        if kind == "run":
            return ("ran", *self.run(rest[0], record=rest[1]))
        self.outputs = Outputs()  # what a called function prints is not shown to anybody
        if kind == "look":
            name = rest[0]
            if name not in self.shell.user_ns:
                return ("missing",)
            return ("value", self.shell.user_ns[name])
        target, args, kwargs = rest
        if isinstance(target, int):
            function = self.references[target]
        elif target in self.shell.user_ns:
            function = self.shell.user_ns[target]
        else:
            return ("missing",)
        try:
            with self._within("call_seconds"):
                return ("value", function(*args, **kwargs))
        except TookTooLong as error:
            return ("raised", "TimeoutError", str(error))
        except (Gone, NotPlain):
            raise
        except BaseException as error:
            return ("raised", type(error).__name__, str(error)[:2000])

    def serve(self) -> None:
        """Answer until the other side closes."""
        self.channel.send(plain.encode(("ready",)))
        while True:
            request = self._decode(self.channel.receive())
            try:
                reply = self._encode(self.answer(request))
            except NotPlain as error:
                reply = plain.encode(("unfit", str(error)))
            except Gone:
                raise
            except BaseException as error:  # __reduce__, __iter__ and their like are the student's code too
                reply = plain.encode(("unfit", f"{type(error).__name__}: {str(error)[:500]}"))
            self.channel.send(reply)


def main() -> None:
    """``python -m course_utils.grading.student FD SETTINGS``."""
    from course_utils.grading.sandbox import apply_limits

    settings = json.loads(sys.argv[2])
    apply_limits(settings["limits"])
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = ["notebook"]
    sys.path.insert(0, "")
    with contextlib.suppress(Gone):
        Student(channel, settings).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
