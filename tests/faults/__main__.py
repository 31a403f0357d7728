"""The fault matrix as a program, ``python tests/faults`` (``make soak``), and the processes beside it."""

import sys
from pathlib import Path

# Behind all that is installed: folders of ours have names such as `config`.
sys.path.append(str(Path(__file__).parents[2]))


def main() -> None:
    """Be one of the helping processes, or the soak."""
    match sys.argv[1:]:
        case ["oracle"]:
            from tests.faults.oracle import serve

            serve()
        case ["sink", name, oracle_port]:
            from tests.faults import sink

            sink.serve(name, oracle_port)
        case ["airis", injections, *words]:
            from tests.faults.injections import run

            run(list(filter(None, injections.split(","))), words)
        case words:
            from tests.faults.soak import main

            sys.exit(main(words))


if __name__ == "__main__":
    main()
