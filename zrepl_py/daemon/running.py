"""The daemon: one service at a time, and what puts another in its place when the configuration
changes.

A reload stops the service and starts one that was made from the new configuration. To begin anew
is what this program does best: everything is observed again, and streams that were cut go on where
they were. What is known of roles is taken over, so that a primary stays one. An error in the new
configuration changes nothing: the old one goes on.
"""

import threading
from pathlib import Path
from typing import Any

from zrepl_py.adapters.control import CONTROL_SOCKET, ControlServer, Verb
from zrepl_py.adapters.worker.notify import notify
from zrepl_py.daemon.assemble import assemble_service
from zrepl_py.daemon.ending import Ending, Wish
from zrepl_py.errors import Passing, ZrError
from zrepl_py.events import Event
from zrepl_py.wiring import Parts, reread_parts, wire_parts

WATCHDOG_SECONDS = 10.0
STOP_SECONDS = 20.0
RELOAD_SECONDS = 1.0
"""So long a reload waits for streams to end by themselves: until it is done, nothing ticks."""
QUIET = (
    "status", "counters", "sync_look", "receipt_show", "receipt_verify", "proof_look",
    "role_show", "role_report", "role_look", "role_plan", "rescue_list", "rescue_place",
)  # fmt: skip
"""Verbs that change nothing, so that no event tells of them."""


class Daemon:
    """One node's daemon."""

    def __init__(self, config_path: str, ending: Ending) -> None:
        """Errors: see wiring.wire_parts."""
        self._parts = wire_parts(config_path)
        self._ending = ending
        self._service = assemble_service(self._parts, ending.fail)
        self._changing = threading.Lock()

    def run(self) -> None:
        """Serve until it should end; then finish what can be finished soon, and return."""
        node, log = self._parts.state.node, self._parts.log
        self._service.start()
        control = ControlServer(
            Path(self._parts.config.run_dir) / CONTROL_SOCKET, self._verbs(), self._heard
        )
        log.tell(Event.DAEMON_STARTED, node=node.name, uuid=node.uuid)
        notify("READY=1")
        try:
            while (wish := self._ending.wait(WATCHDOG_SECONDS)) is not Wish.END:
                if wish is Wish.RELOAD:
                    self._reload_for_signal()
                notify("WATCHDOG=1")
        finally:
            notify("STOPPING=1")
            control.close()
            with self._changing:
                whole = self._service.stop(STOP_SECONDS)
            error = self._ending.error
            why = {"reason": error.reason, "message": str(error)} if error else {}
            log.tell(Event.DAEMON_STOPPED, node=node.name, whole=whole, **why)

    def reload(self) -> list[str]:
        """Read the configuration again and go by it; returns the policies' names.

        Errors: those of wiring.reread_parts and of what cannot be started; the old one counts on.
        """
        with self._changing:
            try:
                names = self._change(reread_parts(self._parts))
            except ZrError as error:
                why = {"reason": error.reason, "message": str(error)}
                self._parts.log.tell(Event.RELOAD_REFUSED, **why)
                raise
        self._parts.log.tell(Event.RELOADED, policies=names)
        return names

    def _change(self, parts: Parts) -> list[str]:
        service = assemble_service(parts, self._ending.fail)
        if not self._service.stop(RELOAD_SECONDS):
            stuck = Passing(
                "reload-stuck",
                "Something that runs does not end, so the new configuration cannot take over.",
                "The daemon ends now; systemd starts it again, with the new configuration.",
            )
            self._ending.fail(stuck)
            raise stuck
        service.roles.roles.adopt(self._service.roles.roles)
        try:
            service.start()
        except ZrError:
            before = self._service.roles.roles
            self._service = assemble_service(self._parts, self._ending.fail)
            self._service.roles.roles.adopt(before)
            self._service.start()
            raise
        self._service, self._parts = service, parts
        return [policy.name for policy in parts.policies]

    def _reload_for_signal(self) -> None:
        try:
            self.reload()
        except ZrError:
            return  # the event has told why

    def _verbs(self) -> dict[str, Verb]:
        verbs: dict[str, Verb] = {name: self._passed_on(name) for name in self._service.verbs}
        return {**verbs, "reload": self.reload}

    def _passed_on(self, name: str) -> Verb:
        def verb(**args: Any) -> Any:
            return self._service.verbs[name](**args)

        return verb

    def _heard(self, verb: str, user: str) -> None:
        if verb not in QUIET:
            self._parts.log.tell(Event.ASKED, verb=verb, user=user)
