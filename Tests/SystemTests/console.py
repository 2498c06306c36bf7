"""A machine that is driven by its serial console."""
import os
import pty
import re
import select
import subprocess
import sys
import time


class Failure(Exception):
    """What was expected did not happen; the text says what did."""


class Console:
    """A process on a terminal of its own, with what it wrote so far."""

    def __init__(self, name, command, log):
        self.name = name
        self.text = ""
        self.position = 0
        self.log = open(log, "wb", buffering=0)
        self.terminal, other = pty.openpty()
        self.process = subprocess.Popen([str(word) for word in command], stdin=other, stdout=other, stderr=other,
                                        start_new_session=True)
        os.close(other)

    def _read(self, seconds):
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # The other side is closed.
            return False
        self.log.write(data)
        self.text += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern, seconds):
        """Waits for a pattern behind what was matched before; returns the match."""
        deadline = time.monotonic() + seconds
        is_open = True
        while True:
            match = re.compile(pattern).search(self.text, self.position)
            if match:
                self.position = match.end()
                return match
            if not is_open or time.monotonic() > deadline:
                end = "\n".join(self.text.splitlines()[-15:])
                why = "within %d s" % seconds if is_open else "before its end"
                raise Failure(f"{self.name} did not write /{pattern}/ {why}; its last lines:\n{end}")
            is_open = self._read(1)

    def send(self, text):
        data = text.encode()
        while data:
            data = data[os.write(self.terminal, data):]

    def wait(self, seconds):
        """Waits for the process to end by itself; returns its status."""
        deadline = time.monotonic() + seconds
        while self._read(1) and self.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} did not end within {seconds} s")
        return self.process.wait(max(1, deadline - time.monotonic()))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.terminal)
        self.log.close()


class DebianConsole(Console):
    """A Debian system's, from its first line on."""

    def log_in(self, password, seconds):
        self.expect(r"login: $", seconds)
        self.send("root\n")
        self.expect(r"Password: ", 60)
        self.send(password + "\n")
        self.expect(r"# $", 120)
        # From here on, what appears is what commands write.
        self.send("stty -echo; PS1=; export TERM=dumb; echo rea''dy\n")
        self.expect(r"ready\n", 60)

    def run(self, command, seconds=60, status=0):
        """Runs a command and returns what it wrote; any `status` other than the one given is a failure."""
        self.send(f"{command}\necho \"<status $?>\"\n")
        start = self.position
        match = self.expect(r"<status (\d+)>\n", seconds)
        output = self.text[start:match.start()]
        if status is not None and int(match[1]) != status:
            raise Failure(f"{self.name}: `{command}` ended with status {match[1]}:\n{output}")
        return output.strip()

    def power_off(self, seconds):
        self.send("poweroff\n")
        status = self.wait(seconds)
        if status != 0:
            raise Failure(f"{self.name} ended with status {status} after poweroff")
