"""A mail server that keeps what it is given; the messages are read by Python's own parser."""

import email
import email.policy
import re
import socketserver
import threading
import time
from email.message import EmailMessage

ARRIVES_S = 20


class Mailbox:
    """Takes mail on a free port of the loopback address."""

    def __init__(self) -> None:
        messages: list[EmailMessage] = []
        self.messages = messages

        class Talk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 mailbox")
                while line := self.rfile.readline():
                    match line.decode().strip().upper().split(" ")[0]:
                        case "QUIT":
                            self.say("221 bye")
                            return
                        case "DATA":
                            self.say("354 go on")
                            messages.append(self.message())
                            self.say("250 taken")
                        case _:
                            self.say("250 ok")

            def say(self, answer: str) -> None:
                self.wfile.write(answer.encode() + b"\r\n")

            def message(self) -> EmailMessage:
                lines = []
                while (line := self.rfile.readline()) not in {b"", b".\r\n"}:
                    lines.append(line.removeprefix(b"."))
                return email.message_from_bytes(b"".join(lines), policy=email.policy.default)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"smtp://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    def to(self, address: str, count: int = 1) -> EmailMessage:
        """The message with this number that arrived for an address; waits for it."""
        deadline = time.monotonic() + ARRIVES_S
        while time.monotonic() < deadline:
            mine = [message for message in self.messages if message["to"] == address]
            if len(mine) >= count:
                return mine[count - 1]
            time.sleep(0.05)
        raise AssertionError(f"{count} messages for {address} did not arrive")


def link_of(message: EmailMessage) -> str:
    """The link, which is the same in both forms of the message."""
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    found = re.search(r"^http\S+", plain.get_content(), re.MULTILINE)
    assert found, plain.get_content()
    assert f'href="{found[0]}"' in html.get_content()
    return found[0]
