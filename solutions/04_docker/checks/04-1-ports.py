"""Does the function find the ports of a container that other machines can reach?"""

from collections.abc import Mapping
from typing import Any

from course.checks import Module, Question, fail, fixture, module

question = Question("Which ports do others reach?", points=5)


@fixture
def ports() -> Module:
    """The shipped module, called in a process of its own."""
    return module("ports.py")


def attrs(bindings: Mapping[str, list[str] | None], *, running: bool = True) -> dict[str, Any]:
    """A container as the engine describes it: port → addresses of its doors, None for a port without one."""
    doors = {
        port: None
        if addresses is None
        else [{"HostIp": ip, "HostPort": str(40000 + n)} for n, ip in enumerate(addresses)]
        for port, addresses in bindings.items()
    }
    return {
        "State": {"Status": "running" if running else "exited", "Running": running, "ExitCode": 0 if running else 137},
        "Config": {"ExposedPorts": {port: {} for port in bindings}},
        "HostConfig": {"NetworkMode": "default", "PortBindings": {p: d for p, d in doors.items() if d} or None},
        "NetworkSettings": {"Ports": doors if running else {}},
    }


def expect_reachable(
    ports: Module, container: dict[str, Any], wanted: list[str], said: str, hint: str | None = None
) -> None:
    """reachable() gives these ports."""
    reached = ports.reachable(container)
    if reached != wanted:
        fail(f"reachable() is not as expected for {said}", expected=wanted, actual=reached, hint=hint)


@question.check(points=2)
def a_door_to_all_addresses_is_found(ports: Module) -> None:
    """a port that is published on all addresses is found, once"""
    shop = attrs({"8000/tcp": ["0.0.0.0", "::"], "9000/tcp": ["127.0.0.1"]})
    expect_reachable(ports, shop, ["8000/tcp"], 'port 8000 on "0.0.0.0" and "::", and port 9000 on "127.0.0.1"')
    several = attrs({"9000/tcp": ["0.0.0.0"], "53/udp": ["0.0.0.0"], "8000/tcp": ["0.0.0.0"]})
    expect_reachable(ports, several, ["53/udp", "8000/tcp", "9000/tcp"], 'three ports on "0.0.0.0"')


@question.check(points=1)
def what_only_this_machine_reaches_is_left_out(ports: Module) -> None:
    """ports that only this machine reaches, or nobody, are left out"""
    admin = attrs({"8000/tcp": ["127.0.0.1"], "9000/tcp": None, "9100/tcp": ["0.0.0.0"]})
    said = 'port 8000 on "127.0.0.1", port 9000 without a door, and port 9100 on "0.0.0.0"'
    expect_reachable(ports, admin, ["9100/tcp"], said)
    nothing = attrs({}) | {"NetworkSettings": {"Ports": None}}
    expect_reachable(ports, nothing, [], "a container whose Ports is None")


@question.check(points=1)
def a_stopped_container_has_no_door(ports: Module) -> None:
    """a stopped container has no open port, whatever was requested"""
    hint = "PortBindings says what was asked for; which part says what is?"
    expect_reachable(ports, attrs({"8000/tcp": ["0.0.0.0"]}), ["8000/tcp"], "a container that runs", hint)
    old = attrs({"8000/tcp": ["0.0.0.0"]}, running=False)
    expect_reachable(ports, old, [], "a stopped container", hint)


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    hint="127.0.0.1 is not the only address that stays inside, 0.0.0.0 not the only one that leads out",
)
def other_addresses_count(ports: Module) -> None:
    """other addresses are classified correctly, too"""
    mixed = {"1/tcp": ["::1"], "2/tcp": ["127.0.0.2"], "3/tcp": ["192.168.1.20"], "4/tcp": [""], "5/tcp": ["::"]}
    mixed |= {"6/tcp": ["127.0.0.1", "10.1.2.3"], "7/udp": ["fe80::1"], "8/tcp": []}
    expect_reachable(ports, attrs(mixed), ["3/tcp", "4/tcp", "5/tcp", "6/tcp", "7/udp"], "other addresses")


### END HIDDEN TESTS
